"""Structured logs: one line per event, secrets taken out before anything is written."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRET_NAMES = re.compile(
    r"(api[_-]?key|secret|token|password|passkey|authorization|cookie)", re.I
)
_SECRET_IN_URL = re.compile(
    r"([?&;](?:api[_-]?key|passkey|pk|pid|token|auth|key|secret|sig)=)[^&\s\"']+", re.I
)
_SECRET_IN_HEADER = re.compile(
    r"((?:x-api-key|api[_-]?key|authorization|cookie)[\"']?\s*[:=]\s*[\"']?(?:bearer |basic )?)"
    r"[^\s\"',&;]+",
    re.I,
)
_USER_IN_URL = re.compile(r"(://)[^/\s?#]+@")
_URL = re.compile(r"(?::|%3a)(?://|%2f%2f)[^\s\"']+", re.I)
_PASSKEY_IN_PATH = re.compile(r"(/|%2f)[a-z0-9_-]{16,}(?=/|%2f|[?&#]|$)", re.I)
_HIDDEN = "[hidden]"
_MIN_KNOWN = 8
"""Shorter ones stand in words that are no secret."""


_known: set[str] = set()
"""Our own secrets, which are hidden wherever they stand."""


def hide(secrets: Iterable[str]) -> None:
    """Hide these texts in every line from now on, whatever stands around them."""
    _known.update(secret for secret in secrets if len(secret) >= _MIN_KNOWN)


def redact(text: str) -> str:
    """The text without our secrets, keys in queries and headers, passkeys, and names in URLs."""
    for secret in _known:
        text = text.replace(secret, _HIDDEN)
    text = _SECRET_IN_URL.sub(rf"\1{_HIDDEN}", text)
    text = _SECRET_IN_HEADER.sub(rf"\1{_HIDDEN}", text)
    text = _USER_IN_URL.sub(rf"\1{_HIDDEN}@", text)
    return _URL.sub(lambda url: _PASSKEY_IN_PATH.sub(rf"\1{_HIDDEN}", url[0]), text)


def _redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    if _SECRET_NAMES.search(key):
        return _HIDDEN
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: _clean(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def configure_logs(level: str = "info", style: Literal["console", "json"] = "console") -> None:
    """Send our logs and those of the libraries to standard error, in one form.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        style: `console` for people, `json` for machines.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx2", "httpcore2", "hishel", "uvicorn.error", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

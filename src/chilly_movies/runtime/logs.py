"""Structured logs: one line per event, secrets taken out before anything is written."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal

import structlog

from chilly_movies.runtime.redaction import HIDDEN, hide, redact

_SECRET_NAMES = re.compile(
    r"(api[_-]?key|secret|token|password|passkey|authorization|cookie)", re.I
)


def _clean(key: str, value: Any) -> Any:
    if _SECRET_NAMES.search(key):
        return HIDDEN
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: _clean(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def configure_logs(level: str = "info", style: Literal["text", "json"] = "text") -> None:
    """Send our logs and those of the libraries to standard error, in one form.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        style: `text` for people, `json` for machines.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        lambda _logger, _method, event: {key: _clean(key, value) for key, value in event.items()},
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
    for noisy in ("httpx2", "httpcore2", "uvicorn.error", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


__all__ = ["configure_logs", "hide", "redact"]

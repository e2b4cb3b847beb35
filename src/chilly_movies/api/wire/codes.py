"""The `code` of every error, of answers and of failed jobs; docs/errors.md explains each."""

from __future__ import annotations

from typing import Annotated

from pydantic import WithJsonSchema
from typing_extensions import TypeAliasType

from chilly_movies import errors

OF_STATUS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden_origin",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    411: "length_required",
    412: "precondition_failed",
    413: "body_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    421: "misdirected_host",
    422: "invalid_request",
    429: "too_many_requests",
    431: "headers_too_large",
    500: "internal_error",
    503: "unavailable",
}
"""The code of an answer that has no more precise one."""

_OF_GATES = {"forbidden_scope": 403, "too_many_streams": 429, "too_many_connections": 503}
"""Codes that are more precise than the status, of answers that no error of `errors.py` causes."""

_AT_START = errors.SettingsError.code
"""A setting is read before there is anybody to answer."""


_KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type)]
_FOUND = {
    **{kind.code: kind.status_hint for kind in _KINDS if issubclass(kind, errors.ChillyError)},
    **_OF_GATES,
    **{code: status for status, code in OF_STATUS.items()},
}
STATUS_OF = {code: _FOUND[code] for code in sorted(_FOUND.keys() - {_AT_START})}
"""The status that an answer with each code has."""
CODES = tuple(STATUS_OF)

ErrorCode = TypeAliasType(
    "ErrorCode",
    Annotated[
        str,
        WithJsonSchema(
            {
                "type": "string",
                "enum": list(CODES),
                "description": "Stable name of an error, for programs; docs/errors.md explains "
                "each. Later versions may know more: go by the status then.",
            }
        ),
    ],
)
"""A code in the contract. It is no enum in Python: a database may hold one of another version."""

"""Errors as `application/problem+json` (RFC 9457), one shape for all of them."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Route

from chilly_movies.api.wire.codes import OF_STATUS, STATUS_OF, ErrorCode
from chilly_movies.errors import ChillyError, DuplicateDownload, InvalidRequest

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


class FieldProblem(BaseModel):
    """One field of the request that is wrong."""

    field: str = Field(description="The field in the spelling of the wire, '' for the whole body.")
    message: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """What every error answer looks like."""

    type: str = Field(description="Always about:blank: the code says it all.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="One sentence for people.")
    code: ErrorCode
    errors: list[FieldProblem] | None = Field(None, description="With 422: what is wrong where.")
    existingId: str | None = Field(  # noqa: N815 (spelling of the wire)
        None, description="With duplicate_download: the job that has it already."
    )


def problem(
    status: int,
    detail: str,
    *,
    code: str | None = None,
    headers: dict[str, str] | None = None,
    **extra: Any,
) -> Response:
    """Builds a problem answer.

    Args:
        status: HTTP status.
        detail: one sentence for people.
        code: stable name; None = the status' own.
        headers: further header fields.
        **extra: further members.
    """
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code or OF_STATUS.get(status) or OF_STATUS[400 if status < 500 else 500],
        **extra,
    }
    return Response(json.dumps(body).encode(), status, headers, MEDIA_TYPE)


def from_error(error: ChillyError) -> Response:
    """Builds the answer to one of our own errors."""
    extra: dict[str, Any] = {}
    if isinstance(error, InvalidRequest):
        extra["errors"] = [{"field": error.field or "", "message": str(error)}]
    if isinstance(error, DuplicateDownload):
        extra["existingId"] = error.existing_id
    headers = {"Retry-After": "30"} if error.status_hint == 503 else None
    return problem(error.status_hint, str(error), code=error.code, headers=headers, **extra)


async def _on_chilly_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ChillyError)  # noqa: S101 (for the type checker)
    return from_error(error)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (for the type checker)
    errors = [
        {"field": ".".join(str(part) for part in item["loc"][1:]), "message": item["msg"]}
        for item in error.errors()[:20]
    ]
    first = errors[0] if errors else {"field": "", "message": "the request is malformed"}
    where = f"'{first['field']}': " if first["field"] else ""
    return problem(422, f"The request is not valid: {where}{first['message']}.", errors=errors)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (for the type checker)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        allowed: set[str] = set()  # of all routes of the path; the framework tells those of one
        for route in request.app.routes:
            if isinstance(route, Route) and route.path_regex.match(request.url.path):
                allowed |= route.methods or set()
        headers["Allow"] = ", ".join(sorted(allowed))
    sentences = {
        404: "There is nothing at this address.",
        405: "This address knows no such method.",
    }
    detail = sentences.get(error.status_code, str(error.detail))
    return problem(error.status_code, detail, headers=headers)


async def _on_anything(_request: Request, error: Exception) -> Response:
    log.error("a request failed", error=type(error).__name__, exc_info=error)
    return problem(500, "Something went wrong here; the log says more.")


def install(app: FastAPI) -> None:
    """Makes the application answer every error with a problem."""
    app.add_exception_handler(ChillyError, _on_chilly_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_anything)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the `responses=` of a route with these errors, besides those of all routes."""
    shape = {"schema": {"$ref": "#/components/schemas/Problem"}}
    answers: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, 400, 401, 403, 421, 431, 500, 503}):
        codes = ", ".join(f"`{code}`" for code, its in STATUS_OF.items() if its == status)
        said = f"{HTTPStatus(status).phrase}: {codes}."
        answers[status] = {"description": said, "content": {MEDIA_TYPE: shape}}
    return answers

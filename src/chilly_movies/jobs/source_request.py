"""A source as a request gives it: what its server wants to know is taken and never given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from chilly_movies.jobs.secrets import (
    MAX_SECRET,
    MAX_SECRETS,
    TOKEN,
    Secret,
    check_pairs,
    check_text,
    in_pairs,
)
from chilly_movies.jobs.spelling import Spelled

_HIDDEN: dict[str, Any] = {"writeOnly": True}
_PAIRS = {
    "type": "object",
    "maxProperties": MAX_SECRETS,
    "propertyNames": {"pattern": TOKEN},
    "additionalProperties": {"type": "string", "maxLength": MAX_SECRET},
}


def _as(check: Callable[[Any, str], Any], field: str) -> AfterValidator:
    return AfterValidator(lambda value: check(value, field))


_Cookies = Annotated[dict[str, str], _as(check_pairs, "cookies"), WithJsonSchema(_PAIRS)]
_Headers = Annotated[dict[str, str], _as(check_pairs, "headers"), WithJsonSchema(_PAIRS)]


def _secret(says: str, **more: Any) -> Any:
    return Field(None, repr=False, description=says, json_schema_extra=_HIDDEN, **more)


class Credentials(Spelled):
    """What the server of a source wants before it lets somebody in; no answer ever holds it."""

    username: Annotated[str, _as(check_text, "username")] | None = _secret(
        "For the source's server; so are a name and password in the link, which are taken out.",
        max_length=MAX_SECRET,
    )
    password: Annotated[str, _as(check_text, "password")] | None = _secret(
        "For the source's server.", max_length=MAX_SECRET
    )
    cookies: _Cookies | None = _secret("For the source's server, values by name.")
    headers: _Headers | None = _secret("For the source's server, values by name.")

    @property
    def secret(self) -> Secret:
        """All of it; empty if nothing was given."""
        cookies, headers = in_pairs(self.cookies), in_pairs(self.headers)
        return Secret(self.username, self.password, cookies, headers)

"""Sources as a request gives them: what their servers want to know is never given back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from chilly_movies.errors import InvalidRequest
from chilly_movies.jobs.models import FurtherSource, Source, SourceType
from chilly_movies.jobs.requests import MAX_URN, UNTOLD, check_kind, check_link
from chilly_movies.jobs.secrets import (
    MAX_SECRET,
    MAX_SECRETS,
    TOKEN,
    Secret,
    check_pairs,
    check_text,
    in_pairs,
    merged,
    without_user,
)
from chilly_movies.jobs.spelling import Spelled

_HIDDEN: dict[str, Any] = {"writeOnly": True}
MAX_FURTHER: Final = 50
"""Mirrors of one job, and candidates."""
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


class FurtherIn(Credentials):
    """A further place that a film can be had from."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, strict=True)
    usual: ClassVar[str] = UNTOLD

    source_type: str | None = Field(
        None, max_length=32, description="Absent: told from the sourceUrn."
    )
    source_urn: str = Field(min_length=1, max_length=MAX_URN, repr=False)
    checksum: str | None = Field(
        None,
        pattern="^(?:sha256:[0-9A-Fa-f]{64}|sha1:[0-9A-Fa-f]{40}|md5:[0-9A-Fa-f]{32})$",
        description="Of what is there, for drivers that have no hashes of their own.",
    )
    size: int | None = Field(None, ge=0, le=2**53 - 1, description="Bytes of what is there.")
    _further: FurtherSource | None = PrivateAttr(None)

    @property
    def further(self) -> FurtherSource:
        """The same as the value that a job keeps."""
        assert self._further is not None  # noqa: S101 (for the type checker)
        return self._further

    def become(self, source: Source) -> None:
        """Take the source over, once its type was found out."""
        self._further = replace(self.further, source=source)

    @model_validator(mode="after")
    def _find_source(self) -> Self:
        kind = self.usual if self.source_type is None else check_kind(self.source_type)
        link, user = without_user(check_link(self.source_urn, kind))
        source = Source(kind, link, None, merged(user, self.secret))
        self._further = FurtherSource(source, self.checksum, self.size)
        return self


class MirrorIn(FurtherIn):
    """A further place for the same bytes: an http or https link."""

    usual: ClassVar[str] = SourceType.HTTP

    @model_validator(mode="after")
    def _be_a_link(self) -> Self:
        source = self.further.source
        is_link = source.urn.lower().startswith(("http://", "https://"))
        if source.type != SourceType.HTTP or not is_link:
            sentence = "A mirror is a link that begins with http:// or https://."
            raise InvalidRequest(sentence, field="mirrors")
        return self


class CandidateIn(FurtherIn):
    """A further source for the same film."""


MIRRORS: Final = "Further places for the same bytes, whose servers are asked beside the source."
CANDIDATES: Final = "Further sources for the same film, tried in turn once its source is given up."
Mirrors = Annotated[list[MirrorIn], Field(max_length=MAX_FURTHER)]
Candidates = Annotated[list[CandidateIn], Field(max_length=MAX_FURTHER)]


def further(given: Iterable[FurtherIn] | None) -> tuple[FurtherSource, ...]:
    """What a job keeps of a list of further sources; none of a list that was not given."""
    return tuple(one.further for one in given or ())

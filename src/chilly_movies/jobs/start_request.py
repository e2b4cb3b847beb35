"""What a caller of `start` asks for: one model for Python, JSON and the upload form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic.alias_generators import to_camel

from chilly_movies.errors import InvalidRequest
from chilly_movies.jobs.labels import (
    LABEL_KEY,
    LABELS,
    MAX_LABEL_BYTES,
    MAX_LABELS,
    check_labels,
    with_labels,
)
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.options import HELD, OPTIONS, START_OPTIONS, Option, Options, chosen
from chilly_movies.jobs.requests import (
    JOB_ID_PATTERN,
    MAX_ID,
    MAX_URN,
    UNTOLD,
    check_id,
    check_kind,
    check_link,
    check_torrent,
    new_id,
)
from chilly_movies.jobs.secrets import merged, without_user
from chilly_movies.jobs.source_request import (
    CANDIDATES,
    MIRRORS,
    Candidates,
    Credentials,
    Mirrors,
)

M = TypeVar("M", bound=BaseModel)

JobId = Annotated[
    str,
    Field(
        pattern=JOB_ID_PATTERN,
        min_length=1,
        max_length=MAX_ID,
        description="The job's name, given by the caller; not '.' or '..'.",
        examples=["1"],
    ),
]
_LABEL = {"type": "string", "maxLength": MAX_LABEL_BYTES}


def _labels_of(value: Mapping[str, Any], most: int) -> dict[str, Any]:
    return {
        "type": "object",
        "maxProperties": most,
        "propertyNames": {"pattern": LABEL_KEY},
        "additionalProperties": value,
    }


Labels = Annotated[
    dict[str, str],
    AfterValidator(lambda labels: with_labels({}, check_labels(labels))),
    WithJsonSchema(_labels_of(_LABEL, MAX_LABELS)),
]
LabelChanges = Annotated[
    dict[str, str | None],
    AfterValidator(check_labels),
    WithJsonSchema(_labels_of({"anyOf": [_LABEL, {"type": "null"}]}, 2 * MAX_LABELS)),
]
EXAMPLE_URN = "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a"


def option_members(*names: str) -> dict[str, Any]:
    """The members of a model that takes options of a start.

    Args:
        *names: of `OPTIONS`; without any, all that a start may give.
    """
    wanted = [OPTIONS[name] for name in names] or START_OPTIONS.values()
    return {option.name: _member(option) for option in wanted}


def _member(option: Option) -> tuple[Any, Any]:
    kind: Any = option.given
    if option.is_list:
        each = Annotated[int, Field(**option.bounds)]
        kind = Annotated[tuple[each, ...], Field(fail_fast=True, **option.length)]
        kind = Annotated[kind, BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)]
    elif option.bounds or option.length:
        kind = Annotated[kind, Field(**option.bounds, **option.length)]
    if option.check is not None:
        kind = Annotated[kind, AfterValidator(option.check)]
    return kind | None, Field(None, description=option.says)


class _StartRequest(Credentials):
    """What to download. Further members are ignored, misspelled ones refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        strict=True,
        json_schema_extra={
            "examples": [{"id": "1", "sourceType": "torrent", "sourceUrn": EXAMPLE_URN}]
        },
    )

    id: Annotated[JobId, AfterValidator(check_id)] | None = Field(
        None, description="Made up if absent."
    )
    source_type: str = Field(
        UNTOLD,
        max_length=32,
        description="torrent, http, youtube, local, or the name of another driver that the server "
        "has; absent: told from the sourceUrn.",
    )
    source_urn: str | None = Field(
        None,
        max_length=MAX_URN,
        repr=False,
        description="Magnet link, info hash, link to a torrent file, film, metalink or page with a "
        "video, or a local path, as the server has drivers; absent: start the known id.",
        examples=[EXAMPLE_URN],
    )
    labels: Labels | None = Field(None, description=LABELS)
    mirrors: Mirrors | None = Field(None, description=MIRRORS)
    candidates: Candidates | None = Field(None, description=CANDIDATES)
    _source: Source | None = PrivateAttr(None)

    @property
    def source(self) -> Source | None:
        """Where the film comes from, None if only an id was given."""
        return self._source

    @cached_property
    def job_id(self) -> str:
        """The id, made up if none was given."""
        return self.id or new_id()

    @property
    def options(self) -> Options:
        """What is asked of the job."""
        return chosen(self)

    @property
    def is_held(self) -> bool:
        """Whether the job is to be paused from the beginning."""
        return bool(getattr(self, HELD.name))

    @model_validator(mode="after")
    def _find_source(self, info: ValidationInfo) -> Self:
        """Reads the source; a torrent file comes beside the members (`context`)."""
        torrent = (info.context or {}).get("torrent")
        kind = self.source_type
        if "source_type" in self.model_fields_set:
            check_kind(kind)
        if torrent is not None:
            kind = kind or SourceType.TORRENT
            check_torrent(torrent, kind)
        link, user = without_user(check_link(self.source_urn or "", kind))
        if link or torrent is not None:
            self._source = Source(kind, link, torrent, merged(user, self.secret))
        elif self.source_urn is not None:
            raise InvalidRequest("The sourceUrn is empty.", field="sourceUrn")
        elif self.id is None:
            raise InvalidRequest("A start needs a sourceUrn or a torrent file.", field="sourceUrn")
        return self


if TYPE_CHECKING:
    StartRequest = _StartRequest
else:
    StartRequest = create_model(
        "StartRequest", __base__=_StartRequest, __doc__=_StartRequest.__doc__, **option_members()
    )

AS_JSON: Final = {"labels": LABELS, "mirrors": MIRRORS, "candidates": CANDIDATES}
"""Members that a form gives as the text of a JSON value, and what they say."""
_WIRE = {name: str(member.alias) for name, member in StartRequest.model_fields.items()}


def parse(wishes: Mapping[str, Any]) -> StartRequest:
    """Checks what a Python program asks for.

    Args:
        wishes: `id`, `source_type` (default: told from the source), `source_urn`, `torrent` (the
            bytes of a `.torrent` file), `username`, `password`, `cookies` and `headers` for the
            source's server, `labels`, and options; camelCase works, too. None = not given; other
            keys (the seed's `status`) are ignored.

    Raises:
        InvalidRequest: a value has the wrong form.
        UnsupportedSource: no source type can have this name.
    """
    given = {_WIRE.get(key, key): value for key, value in wishes.items() if value is not None}
    return checked(StartRequest, given, torrent=given.get("torrent"))


def parse_form(fields: Mapping[str, str], torrent: bytes) -> StartRequest:
    """Checks a form with a `.torrent` file, whose other fields are text.

    Raises:
        InvalidRequest: a value has the wrong form.
    """
    given: dict[str, Any] = dict(fields)
    for name in AS_JSON:
        if name in given:
            given[name] = _json_in(given[name], name)
    for option in START_OPTIONS.values():
        if option.wire in given:
            given[option.wire] = option.from_text(given[option.wire])
    return checked(StartRequest, given, torrent=torrent)


def _json_in(text: str, name: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest(f"The {name} are no JSON.", field=name) from None


def checked(model: type[M], value: object, **beside: Any) -> M:
    """The value as a model.

    Args:
        model: the type it is to have.
        value: as it came.
        **beside: what the model's validators find in `context`.

    Raises:
        InvalidRequest: a member has the wrong form.
    """
    try:
        return model.model_validate(value, context=beside)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    where = f"'{field}': " if field else ""
    raise InvalidRequest(f"The request is not valid: {where}{first['msg']}.", field=field)

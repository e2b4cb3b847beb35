"""Members of a request that are spelled almost right: without a word they would have no effect."""

from __future__ import annotations

from pydantic import BaseModel, model_validator

from chilly_movies.errors import InvalidRequest


class Spelled(BaseModel):
    """A request whose members must be spelled as they are; what it does not know it ignores."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_misspelled(cls, given: object) -> object:
        """Refuses a member that is a known one but for case, `_` and `-`, and no other.

        Nearer to guessing than that would refuse what other programs send beside what we read.

        Raises:
            InvalidRequest: there is such a member.
        """
        known = {field.alias or name for name, field in cls.model_fields.items()}
        unknown = given.keys() - known if isinstance(given, dict) else ()
        meant = {_plain(name): name for name in known} if unknown else {}
        for name in sorted(unknown):
            if (right := meant.get(_plain(name))) is not None:
                sentence = f"There is no member '{name[:100]}'; it is spelled '{right}'."
                raise InvalidRequest(sentence, field=name[:100])
        return given


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")

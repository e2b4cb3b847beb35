"""What the server goes by: every setting, its value, and what that was taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from fastapi import Request, Response
from pydantic import Field, RootModel

from chilly_movies.api.policy import KeyScope, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.topic import Topic
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import Shown, answer
from chilly_movies.net.limits import SpeedLimits
from chilly_movies.runtime.setting_fields import Origin, SettingStanding

router = part_of_contract("settings")


class SettingOut(Shown):
    """One setting."""

    name: str = Field(description="As in the file; CHILLY_<NAME> in the environment.")
    value: bool | int | float | str | list[str] | None = Field(
        description="What it is; of a secret `set` or `not set`."
    )
    secret: bool = Field(description="Its value is not told.")
    origin: Origin = Field(
        description="Where it was set; `command` = on the command line, `stored` = while the "
        "server ran, or remembered."
    )
    changeable: bool = Field(description="It can be changed while the server runs.")
    meaning: str


class SettingsOut(RootModel[list[SettingOut]]):
    """Every setting of the server."""


@dataclass(frozen=True, slots=True)
class _Settings:
    """All settings, with what was changed since the server began.

    Attributes:
        standings: how they stood then.
        limits: the limits as they are now.
    """

    standings: Callable[[], Iterable[SettingStanding]]
    limits: SpeedLimits

    def now(self) -> Iterator[SettingStanding]:
        """Yields how each setting stands."""
        stored = self.limits.stored
        limits = {"download_limit": stored.download_limit, "upload_limit": stored.upload_limit}
        for one in self.standings():
            if (limit := limits.get(one.name)) is not None:
                yield replace(one, value=limit, origin="stored", changeable=True)
            else:
                yield replace(one, changeable=one.name in limits)


@router.get("/settings", response_model=SettingsOut, responses=documented())
@Policy(KeyScope.ADMIN)
async def list_settings(request: Request) -> Response:
    """Every setting of the server, and what it was taken from; secrets are not told."""
    found: _Settings = request.app.state.settings
    return answer(SettingsOut([SettingOut.model_validate(one) for one in found.now()]))


TOPIC = Topic(
    "settings",
    router,
    lambda given, downloader, _facts: _Settings(given or tuple, downloader.limits),
)

"""The speed limits as the user sets them while the server runs: usual ones, and others by hours.

What was set is stored and wins over environment, file and defaults until it is taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any, Final, Protocol

import structlog
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from chilly_movies.errors import InvalidRequest
from chilly_movies.net.limit_hours import Hours, end_of, within, zone_named
from chilly_movies.net.limiter import MAX_RATE, Rates, SpeedLimiter
from chilly_movies.runtime.clocks import utc_now
from chilly_movies.runtime.single_flight import SingleFlight
from chilly_movies.runtime.tasks import every

log = structlog.get_logger(__name__)

MAX_HOURS: Final = 50
_STORED_AS: Final = "limits"
_LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks at the clock, which may leap."""


class SettingStore(Protocol):
    """Keeps what the user set while the server runs, a text for each name.

    All methods raise `StoreError` when the store cannot do it.
    """

    async def load_setting(self, name: str) -> str | None:
        """What was saved last under the name; None if nothing was. Opens the store."""
        ...

    async def save_setting(self, name: str, text: str) -> None:
        """Replace it. Returns when it is durable."""
        ...


class NothingStored:
    """A `SettingStore` that forgets."""

    async def load_setting(self, name: str) -> str | None:
        """See `SettingStore`."""

    async def save_setting(self, name: str, text: str) -> None:
        """See `SettingStore`."""


def _is_known(name: str) -> str:
    try:
        zone_named(name)
    except ValueError as error:
        sentence = f"{str(error).capitalize()}; names are like Europe/Berlin."
        raise InvalidRequest(sentence, field="alternative.timeZone") from None
    return name


Rate = Annotated[int, Field(ge=0, le=MAX_RATE)]
ZoneName = Annotated[str, Field(max_length=100), AfterValidator(_is_known)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAlternative:
    """What the user set of the alternative limits; None = nothing.

    Attributes:
        download_limit: bytes per second, 0 = unlimited.
        upload_limit: bytes per second, 0 = unlimited.
        enabled: whether they hold at all times.
        time_zone: the IANA name of the zone whose clock counts for the hours.
        hours: of the week, in which they hold.
        off_until: they were switched off by hand within their hours, which are over then.
    """

    download_limit: Rate | None = None
    upload_limit: Rate | None = None
    enabled: bool | None = None
    time_zone: ZoneName | None = None
    hours: Annotated[tuple[Hours, ...], Field(max_length=MAX_HOURS)] | None = None
    off_until: datetime | None = None

    def by_hours(self, now: datetime) -> bool:
        """Tells whether it is within the hours."""
        return within(self.hours or (), now, zone_named(self.time_zone))

    def hold(self, now: datetime) -> bool:
        """Tells whether they hold at a moment."""
        is_off = self.off_until is not None and now < self.off_until
        return bool(self.enabled) or (not is_off and self.by_hours(now))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLimits:
    """What the user set; None = nothing, as the settings say."""

    download_limit: Rate | None = None
    upload_limit: Rate | None = None
    alternative: StoredAlternative = Field(default_factory=StoredAlternative)


_STORED: Final = TypeAdapter(StoredLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """The alternative limits; see `StoredAlternative`.

    Attributes:
        active: whether they hold now.
    """

    download_limit: int
    upload_limit: int
    enabled: bool
    time_zone: str | None
    hours: tuple[Hours, ...]
    active: bool
    off_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The usual limits, in bytes per second, 0 = unlimited; and the alternative ones."""

    download_limit: int
    upload_limit: int
    alternative: Alternative

    @property
    def rates(self) -> Rates:
        """Those that hold now."""
        holding = self.alternative if self.alternative.active else self
        return Rates(holding.download_limit, holding.upload_limit)


class SpeedLimits:
    """Lets the limiter have the limits that the user set, by hand or for hours of the week.

    Args:
        limiter: what all drivers go by; its usual limits are those of the settings.
        store: where they are kept; None = they are forgotten at the end.
        clock: the time of day, aware.
        interval: seconds between two looks at it while there are hours.

    Attributes:
        limiter: the same.
        stored: what the user set.
    """

    def __init__(
        self,
        limiter: SpeedLimiter | None = None,
        store: SettingStore | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        interval: float = _LOOK_INTERVAL,
    ) -> None:
        self.limiter = limiter or SpeedLimiter()
        self._store = store or NothingStored()
        self._clock = clock
        self._interval = interval
        self.stored = StoredLimits()
        self._opening = SingleFlight(self._open_once, "limits-opening")
        self._changing = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None
        self._is_open = self._is_closed = False

    async def open(self) -> None:
        """Read what is stored, and let it hold. Idempotent.

        Raises:
            StoreError: it cannot be read.
        """
        if not self._is_open:
            await self._opening.run()

    async def _open_once(self) -> None:
        text = await self._store.load_setting(_STORED_AS)
        try:
            self.stored = StoredLimits() if text is None else _STORED.validate_json(text)
        except (ValidationError, InvalidRequest):
            log.warning("the stored limits are damaged and left out, set them again")
        self._is_open = True
        self._hold()
        if self.stored != StoredLimits():
            rates = self.limiter.rates
            log.info("stored speed limits hold", download=rates.download, upload=rates.upload)

    async def aclose(self) -> None:
        """Look at the clock no more. Idempotent."""
        self._is_closed = True
        await self._opening.wait_idle()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            await asyncio.wait([watch])

    def now(self) -> Limits:
        """The limits, and which of them hold at the moment."""
        usual, stored, alternative = self.limiter.usual, self.stored, self.stored.alternative
        return Limits(
            download_limit=_first(stored.download_limit, usual.download),
            upload_limit=_first(stored.upload_limit, usual.upload),
            alternative=Alternative(
                download_limit=alternative.download_limit or 0,
                upload_limit=alternative.upload_limit or 0,
                enabled=bool(alternative.enabled),
                time_zone=alternative.time_zone,
                hours=alternative.hours or (),
                active=alternative.hold(self._clock()),
                off_until=alternative.off_until,
            ),
        )

    async def change(self, changes: Mapping[str, Any]) -> Limits:
        """Set limits, which hold when this returns, and after a restart.

        Whoever switches the alternative limits off within their hours is obeyed until these hours
        are over, as in other clients: `enabled` is False, and nothing is said of the hours.

        Args:
            changes: by the names of `StoredLimits`; `alternative` is such a mapping of its own.
                What is not named stays, None = back to what the settings say.

        Raises:
            InvalidRequest: a value is none that can be.
            StoreError: nothing changed.
        """
        await self.open()
        async with self._changing:
            stored = self._checked(changes)
            await self._store.save_setting(_STORED_AS, _STORED.dump_json(stored).decode())
            self.stored = stored
            self._hold()
        return self.now()

    def _checked(self, changes: Mapping[str, Any]) -> StoredLimits:
        old = self.stored.alternative
        wanted = changes.get("alternative", {})
        merged = {} if wanted is None else {**asdict(old), **wanted}
        try:
            stored = _STORED.validate_python(
                {**asdict(self.stored), **changes, "alternative": merged}
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise InvalidRequest(f"The limits are malformed: {where}.", field=where) from None
        new, now = stored.alternative, self._clock()
        if wanted and wanted.get("enabled") is False and "hours" not in wanted:
            over = end_of(new.hours or (), now, zone_named(new.time_zone))
            new = replace(new, off_until=over if new.by_hours(now) else None)
        elif new.enabled or (new.hours, new.time_zone) != (old.hours, old.time_zone):
            new = replace(new, off_until=None)
        return replace(stored, alternative=new)

    def _hold(self) -> None:
        """Lets those limits hold that are to hold now, and watches the clock if it decides."""
        self.limiter.set(self.now().rates)
        if self.stored.alternative.hours and self._watch is None and not self._is_closed:
            self._watch = asyncio.create_task(
                every(self._interval, self._look, "looking at the clock"), name="limit-hours"
            )

    async def _look(self) -> None:
        self.limiter.set(self.now().rates)


def _first(stored: int | None, usual: int) -> int:
    return usual if stored is None else stored

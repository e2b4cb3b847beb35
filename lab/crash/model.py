"""What must be true of each job, given what was acknowledged and what was in the air at a kill."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lab.crash.films import Film


class Intent(StrEnum):
    """What a job was last told to be."""

    NONE = "none"
    RUN = "run"
    PAUSED = "paused"
    CANCELED = "canceled"
    COMPLETED = "completed"
    REMOVED = "removed"


MISSING = "missing"
_ALLOWED: dict[Intent, frozenset[str]] = {
    Intent.NONE: frozenset({MISSING}),
    Intent.RUN: frozenset({"queued", "active", "completed"}),
    Intent.PAUSED: frozenset({"paused"}),
    Intent.CANCELED: frozenset({"canceled"}),
    Intent.COMPLETED: frozenset({"completed"}),
    Intent.REMOVED: frozenset({MISSING}),
}
AFTER_IN_THE_AIR = {Intent.REMOVED: frozenset({Intent.REMOVED, Intent.CANCELED})}
"""A verb that was not acknowledged may have come halfway: removing begins with canceling."""
_FINAL = {"completed": Intent.COMPLETED, "canceled": Intent.CANCELED}


@dataclass
class Told:
    """One job as the outside knows it.

    Attributes:
        id: its name.
        intents: one if everything was acknowledged, more if a call was in the air at a kill.
        may_fail: whether a fault is at work that may end it.
        before: the intents before the last call.
    """

    id: str
    intents: frozenset[Intent] = frozenset({Intent.NONE})
    may_fail: bool = False
    before: frozenset[Intent] = frozenset()

    @property
    def allowed(self) -> frozenset[str]:
        """The statuses it may be in."""
        found = frozenset[str]().union(*(_ALLOWED[intent] for intent in self.intents))
        return found | {"failed"} if self.may_fail and Intent.RUN in self.intents else found

    def observe(self, status: str) -> str:
        """Take in a status at a time when nothing is in the air.

        Returns:
            Which promise it breaks, or nothing.
        """
        if status not in self.allowed:
            told = "/".join(sorted(self.intents))
            return f"job {self.id} was told to be {told} and is {status}"
        self.intents = frozenset(i for i in self.intents if status in _ALLOWED[i]) or self.intents
        if status in _FINAL:
            self.intents = frozenset({_FINAL[status]})
        return ""

    @property
    def intent(self) -> Intent:
        """The only intent, or RUN while it is not sure."""
        return next(iter(self.intents)) if len(self.intents) == 1 else Intent.RUN


@dataclass
class Wanted(Told):
    """A job with its film.

    Attributes:
        film: what it downloads.
        published: where its film lies and what it looked like when it was verified.
        doomed: it was to be removed with its film, and whether that came through is not known.
    """

    film: Film = field(kw_only=True)
    published: Published | None = None
    doomed: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """A film that was verified; nobody may touch it."""

    path: Path
    inode: int
    modified: int
    size: int

    @classmethod
    def at(cls, path: Path) -> Published:
        """As it is now."""
        found = path.stat()
        return cls(path, found.st_ino, found.st_mtime_ns, found.st_size)

    def touched(self) -> str:
        """Says what happened to it, or nothing."""
        if not self.path.exists():
            return f"{self.path.name} was deleted"
        return "" if Published.at(self.path) == self else f"{self.path.name} was touched"


@dataclass
class Tally:
    """What a run did, for the summary."""

    seed: int
    rounds: int = 0
    starts: int = 0
    kills: int = 0
    early_kills: int = 0
    terms: int = 0
    acks: int = 0
    refusals: int = 0
    unknown: int = 0
    completed: int = 0
    canceled: int = 0
    removed: int = 0
    events: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    wasted: list[int] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def breaks(self, *promises: str) -> None:
        """Keep what was broken, once a round; empty texts say nothing."""
        for promise in promises:
            told = f"round {self.rounds}: {promise}"
            if promise and told not in self.broken:
                self.broken.append(told)

    def summary(self) -> str:
        """A few lines for people."""
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return "\n".join(
            [
                (
                    f"seed {self.seed}: {self.rounds} rounds, {self.starts} starts of the server, "
                    f"{self.kills} kills ({self.early_kills} of them while it started), "
                    f"{self.terms} polite stops"
                ),
                f"faults: {faults or 'none'}",
                (
                    f"{self.acks} acknowledged verbs, {self.refusals} refused, "
                    f"{self.unknown} in the air at a kill; {self.events} events heard"
                ),
                (
                    f"jobs: {self.completed} completed and verified, {self.canceled} canceled, "
                    f"{self.removed} removed"
                ),
                (
                    f"bytes sent twice in the life before: median {_mib(_mid(self.wasted))}, "
                    f"max {_mib(max(self.wasted, default=0))} of {len(self.wasted)} downloads"
                ),
                (
                    f"of it pieces that were finished before: median {_mib(_mid(self.repeated))}, "
                    f"max {_mib(max(self.repeated, default=0))} of {len(self.repeated)} downloads"
                ),
                (
                    f"ready after: median {_mid(self.ready):.2f} s, "
                    f"max {max(self.ready, default=0):.2f} s"
                ),
                *self.notes,
                f"broken promises: {len(self.broken)}",
                *self.broken,
            ]
        )


def _mid(values: list[int] | list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def _mib(size: float) -> str:
    return f"{size / (1 << 20):.2f} MiB"

"""Shows jobs while they change: bars on a terminal, lines in a log, or JSON lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from chilly_movies.cli import render
from chilly_movies.cli.output import Output

if TYPE_CHECKING:
    from rich.progress import TaskID

_LINE_INTERVAL = 5.0
_NAME_WIDTH = 40


class Board(Protocol):
    """A place where jobs are shown, between `with` and its end."""

    def __enter__(self) -> Self:
        """Begins to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leaves the last state standing."""

    def show(self, job: render.Wire, event: str) -> None:
        """Shows the job as it is after an event of this name."""


def board_for(out: Output) -> Board:
    """Returns the board that fits where the output goes."""
    if out.as_json:
        return JsonBoard(out)
    return LiveBoard(out) if out.is_live else LineBoard(out)


class _Plain:
    """A board that needs no setup."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


class JsonBoard(_Plain):
    """A board that writes one JSON object per event."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def show(self, job: render.Wire, event: str) -> None:
        """See `Board`."""
        self._out.record({"event": event, **job})


class LineBoard(_Plain):
    """A board that writes a line when a job's status changes, and every few seconds while it moves.

    Args:
        out: where the lines go.
        interval: seconds between two lines about the same job in the same status.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        out: Output,
        *,
        interval: float = _LINE_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._interval = interval
        self._clock = clock
        self._said: dict[str, tuple[str, str, float]] = {}

    def show(self, job: render.Wire, event: str) -> None:
        """See `Board`."""
        now, text = self._clock(), render.line(job)
        status, before, at = self._said.get(job["id"], ("", "", 0.0))
        if text == before or (status == job["status"] and now - at < self._interval):
            return
        self._said[job["id"]] = (job["status"], text, now)
        self._out.say(text)


class LiveBoard:
    """A board with a bar for each job, redrawn in place."""

    def __init__(self, out: Output) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[figures]}", markup=False),
            console=out.console,
            refresh_per_second=4,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def show(self, job: render.Wire, event: str) -> None:
        """See `Board`."""
        name = render.name_of(job)
        short = name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 3] + "..."
        shown: dict[str, Any] = {
            "description": short, "figures": render.figures(job), "completed": render.percent(job),
        }  # fmt: skip
        if event == "removed":
            if job["id"] in self._tasks:
                self._bars.remove_task(self._tasks.pop(job["id"]))
        elif job["id"] in self._tasks:
            self._bars.update(self._tasks[job["id"]], **shown)
        else:
            self._tasks[job["id"]] = self._bars.add_task(total=100.0, **shown)

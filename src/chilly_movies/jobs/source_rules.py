"""When a source counts as dead though it did not fail: silent, slow, or no film. Pure.

Only asked while the job has another source. What other programs do: curl gives up below a speed for
a time (`--speed-limit`, `--speed-time`), aria2 below `--lowest-speed-limit`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from chilly_movies.jobs.disk_guard import amount
from chilly_movies.jobs.models import MediaFile, Phase, Report

FETCHING = (None, Phase.METADATA, Phase.DOWNLOADING)
"""The phases in which something is to come from the source."""
_SAMPLES = 30
"""How often the bytes are noted in the time over which a speed is averaged."""
_OFF_BY = 0.5
"""The part of the announced size that a source may have more or less."""
_NO_FILM = frozenset(
    ("zip", "rar", "7z", "gz", "bz2", "xz", "zst", "tar", "tgz", "cab", "ace", "arj", "lzh",
     "txt", "nfo", "diz", "md", "rtf", "doc", "docx", "odt", "pdf", "epub", "url", "webloc", "lnk",
     "htm", "html", "xhtml", "mht", "json", "xml", "csv", "jpg", "jpeg", "png", "gif", "bmp",
     "webp", "sfv", "md5", "sha1", "sha256", "par2", "torrent", "magnet", "srt", "sub", "idx",
     "ass", "ssa", "vtt", "smi")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SourceRules:
    """When a source is left for the job's next one.

    Attributes:
        silence: seconds without data, metadata included; 0 = never for that.
        slow: seconds below `min_speed` on average; 0 = never for that.
        min_speed: bytes per second.
    """

    silence: float = 90.0
    slow: float = 300.0
    min_speed: int = 30_000


class SourceWatch:
    """Follows one source of a job over its attempts.

    Args:
        rules: when it is left.
        now: seconds that only grow.
    """

    def __init__(self, rules: SourceRules, now: float) -> None:
        self._rules = rules
        self._since = now
        self._due: float | None = None
        self._most, self._has_metadata = 0, False
        self._samples: deque[tuple[float, int]] = deque()

    def pause(self, now: float, seconds: float) -> bool:
        """An attempt failed, another is to begin later; whether that is too late for the source."""
        self._due = now + seconds
        return bool(self._rules.silence) and self._due - self._since > self._rules.silence

    def go_on(self, now: float) -> None:
        """Another attempt begins; how long it waited for its turn does not count."""
        if self._due is not None:
            self._since += max(0.0, now - self._due)
            self._due = None
        self._samples.clear()

    def verdict(self, report: Report, now: float, *, halted: bool, most: float) -> str | None:
        """Why it is to be left, in a sentence; None if it is not.

        Args:
            report: its newest.
            now: seconds that only grow.
            halted: nothing may be sent or received, which is not the source's fault.
            most: bytes per second that our own limits let the job have.
        """
        phase, useful = report.progress.phase, _useful(report)
        begins = phase is Phase.DOWNLOADING and not self._has_metadata
        if halted or phase not in FETCHING or useful > self._most or begins:
            self._since = now
        self._has_metadata = self._has_metadata or begins
        self._most = max(self._most, useful)
        return self._silence(report, now) or self._slowness(
            phase, useful, now, counts=not halted and most >= 2 * self._rules.min_speed
        )

    def _silence(self, report: Report, now: float) -> str | None:
        seconds = now - self._since
        if not self._rules.silence or seconds < self._rules.silence:
            return None
        what = "No metadata" if report.progress.phase is Phase.METADATA else "Nothing"
        why = report.reason or "nothing was sent"
        return f"{what} came for {seconds:.0f} s: {why.removesuffix('.')}."

    def _slowness(
        self, phase: Phase | None, useful: int, now: float, *, counts: bool
    ) -> str | None:
        if not (self._rules.slow and counts) or phase is not Phase.DOWNLOADING:
            self._samples.clear()
            return None
        samples, window = self._samples, self._rules.slow
        if not samples or now - samples[-1][0] >= window / _SAMPLES:
            samples.append((now, useful))
        while len(samples) > 1 and now - samples[1][0] >= window:
            samples.popleft()
        began, before = samples[0]
        if now - began < window:
            return None
        speed = (useful - before) / (now - began)
        if speed >= self._rules.min_speed:
            return None
        floor = amount(self._rules.min_speed)
        return f"Only {amount(round(speed))} a second came for {window:.0f} s, less than {floor}."


def _useful(report: Report) -> int:
    """Bytes that came and are of use; of a torrent also those whose piece is not whole yet."""
    if report.figures is None:
        return report.progress.bytes_downloaded
    return max(0, report.figures.downloaded - report.figures.wasted)


def why_no_film(files: Sequence[MediaFile], announced: int | None) -> str | None:
    """Why what a source has cannot be the film, in a sentence; None if it can.

    Args:
        files: all there are.
        announced: bytes that whoever named the source said it has, None if nobody did.
    """
    rest = [file for file in files if not file.blocked]
    if files and all(_suffix(file) in _NO_FILM for file in rest):
        biggest = max(files, key=lambda file: file.size)
        return f"It holds no film; its largest file is '{biggest.path.rpartition('/')[2]}'."
    size = sum(file.size for file in files)
    if announced and size and abs(size - announced) > _OFF_BY * announced:
        return f"It has {amount(size)}, but {amount(announced)} were announced."
    return None


def _suffix(file: MediaFile) -> str:
    return file.path.rpartition(".")[2].lower()


def own_limit(job_limit: int | None, all_limit: int, active: int) -> float:
    """Bytes per second that our own limits let one of the active jobs have; inf = no limit."""
    of_all = all_limit / max(1, active) if all_limit else math.inf
    return min(job_limit or math.inf, of_all)

"""When a source is left though it did not fail: silent, slow, or without a film."""

from __future__ import annotations

import math

import pytest

from chilly_movies.jobs.figures import Figures
from chilly_movies.jobs.models import MediaFile, Phase, Progress, Report
from chilly_movies.jobs.source_rules import SourceRules, SourceWatch, own_limit, why_no_film

KB = 1000
GB = 10**9


class Watched:
    """A source and its watch; time and bytes move by hand."""

    def __init__(self, rules: SourceRules | None = None) -> None:
        self.now, self.done = 1000.0, 0
        self.watch = SourceWatch(rules or SourceRules(), self.now)

    def says(
        self,
        seconds: float,
        *,
        phase: Phase | None = Phase.DOWNLOADING,
        halted: bool = False,
        most: float = math.inf,
        figures: Figures | None = None,
        reason: str | None = None,
    ) -> str | None:
        """What is said of its report after so many seconds."""
        self.now += seconds
        report = Report(Progress(phase=phase, bytes_downloaded=self.done), reason, figures=figures)
        return self.watch.verdict(report, self.now, halted=halted, most=most)

    def sends(self, speed: float, seconds: int, most: float = math.inf) -> str | None:
        """What is said while it sends at a speed."""
        for _ in range(seconds):
            self.done += int(speed)
            if (why := self.says(1, most=most)) is not None:
                return why
        return None


def test_a_source_without_a_byte_is_left_after_90_s_and_not_before() -> None:
    source = Watched()
    assert source.sends(10**6, 5) is None
    assert source.says(89) is None
    said = source.says(1, reason="looking for peers.")
    assert said == "Nothing came for 90 s: looking for peers."


def test_metadata_that_does_not_come_is_silence_and_metadata_that_comes_is_none() -> None:
    source = Watched()
    assert source.says(89, phase=Phase.METADATA) is None
    assert source.says(0.5) is None
    assert source.says(89) is None
    other = Watched()
    said = other.says(90, phase=Phase.METADATA)
    assert said == "No metadata came for 90 s: nothing was sent."


def test_a_halted_network_and_work_on_the_disk_are_not_the_sources_fault() -> None:
    source = Watched()
    assert source.says(1000, halted=True) is None
    for phase in (Phase.CHECKING, Phase.POST_PROCESSING):
        assert source.says(1000, phase=phase) is None
    assert source.says(89) is None
    assert source.says(1)


def test_data_that_is_wrong_again_and_again_is_silence() -> None:
    source, whole = Watched(), 4_000_000
    said = None
    for second in range(200):
        came = whole + 50_000 * second
        said = said or source.says(1, figures=Figures(downloaded=came, wasted=came - whole))
    assert said == "Nothing came for 90 s: nothing was sent."


def test_data_of_a_large_piece_that_is_not_whole_is_no_silence() -> None:
    source = Watched()
    for second in range(200):
        assert source.says(1, figures=Figures(downloaded=50_000 * second)) is None


def test_a_source_below_the_floor_is_left_after_5_min_and_one_above_it_never() -> None:
    slow, fair = Watched(), Watched()
    assert slow.sends(29 * KB, 299) is None
    assert slow.sends(29 * KB, 15) == "Only 29 kB a second came for 300 s, less than 30 kB."
    assert fair.sends(31 * KB, 3000) is None


def test_a_fast_beginning_does_not_excuse_five_slow_minutes() -> None:
    source = Watched()
    assert source.sends(10**6, 60) is None
    assert source.sends(KB, 280) is None
    assert source.sends(KB, 40)


def test_a_pause_in_a_fast_source_is_no_slowness() -> None:
    source = Watched()
    for _ in range(20):
        assert source.sends(2000 * KB, 20) is None
        assert source.sends(0, 80) is None


@pytest.mark.parametrize(
    ("job_limit", "all_limit", "active", "most"),
    [(None, 0, 3, math.inf), (0, 0, 1, math.inf), (20, 0, 1, 20), (None, 90, 3, 30),
     (20, 90, 3, 20), (None, 90, 0, 90)],
)  # fmt: skip
def test_our_own_limits_say_what_a_job_can_have(
    job_limit: int | None, all_limit: int, active: int, most: float
) -> None:
    assert own_limit(job_limit, all_limit, active) == most


def test_a_source_that_our_own_limit_slows_down_is_not_slow() -> None:
    source = Watched()
    assert source.sends(20 * KB, 1000, most=59 * KB) is None
    assert source.sends(20 * KB, 330, most=60 * KB)


def test_rules_that_are_off_leave_nothing() -> None:
    source = Watched(SourceRules(silence=0, slow=0))
    assert source.sends(0, 2000) is None
    assert Watched(SourceRules(min_speed=0)).sends(1, 2000) is None


def test_silence_lasts_over_failed_attempts_but_not_while_the_job_waits_for_its_turn() -> None:
    source = Watched()
    assert source.says(10, phase=Phase.METADATA) is None
    assert not source.watch.pause(source.now, 5.0)
    source.now += 500  # no slot was free
    source.watch.go_on(source.now)
    assert source.says(74, phase=Phase.METADATA) is None
    assert not source.watch.pause(source.now, 1.0)
    assert source.watch.pause(source.now, 1.1)


def _files(*named: str, size: int = GB, blocked: bool = False) -> tuple[MediaFile, ...]:
    return tuple(MediaFile(i, f"F/{name}", size, blocked=blocked) for i, name in enumerate(named))


@pytest.mark.parametrize(
    "files",
    [
        _files("film.mkv"), _files("film.mkv", "nfo.txt", "cover.jpg"), _files("song.flac"),
        _files("disc.iso"), _files("film without a suffix"), _files("VIDEO.TS"), (),
        (*_files("film.mkv"), *_files("setup.exe", blocked=True)),
    ],
)  # fmt: skip
def test_what_may_be_a_film_is_not_refused(files: tuple[MediaFile, ...]) -> None:
    assert why_no_film(files, None) is None


@pytest.mark.parametrize(
    "files",
    [
        _files("setup.exe", blocked=True), _files("film.rar", "password.txt"), _files("index.html"),
        (*_files("setup.exe", blocked=True), *_files("readme.TXT")), _files("film.mkv.zip"),
    ],
)  # fmt: skip
def test_programs_archives_and_texts_are_no_film(files: tuple[MediaFile, ...]) -> None:
    said = why_no_film(files, None)
    assert said is not None
    assert said.startswith("It holds no film; its largest file is '")


@pytest.mark.parametrize(
    ("size", "announced", "fits"),
    [(GB, GB, True), (GB // 2, GB, True), (GB // 2 - 1, GB, False), (3 * GB // 2, GB, True),
     (3 * GB // 2 + 2, GB, False), (0, GB, True), (5, None, True), (5, 0, True)],
)  # fmt: skip
def test_a_size_that_is_off_by_more_than_half_is_a_lie(
    size: int, announced: int | None, fits: bool
) -> None:
    why = why_no_film(_files("film.mkv", size=size), announced)
    assert (why is None) is fits
    assert why is None or why.endswith("but 1 GB were announced.")

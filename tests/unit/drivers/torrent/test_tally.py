"""The figures of a job go on from what is stored, whatever the engine remembers."""

from __future__ import annotations

from dataclasses import replace

from chilly_movies.drivers.torrent.engine.figures import TorrentState
from chilly_movies.drivers.torrent.tally import Tally
from chilly_movies.jobs.figures import Figures
from tests.doubles import NOON, Clock

STATE = TorrentState(has_metadata=True, uploaded=10, downloaded=20, wasted=3)


class Tallying:
    """A tally and its clocks."""

    def __init__(self, known: Figures | None = None) -> None:
        self.at = 100.0
        self.clock = Clock()
        self.tally = Tally(known, lambda: self.at, self.clock)
        self.tally.begin()

    def after(self, seconds: float, state: TorrentState) -> Figures:
        self.at += seconds
        self.clock.forward(seconds)
        return self.tally.count(state)


def test_seconds_are_counted_while_the_engine_tells_nothing_new() -> None:
    run = Tallying(Figures(seconds_active=50, seconds_seeding=5))
    seeding = replace(STATE, finished=True)
    run.after(1.0, STATE)
    for _ in range(30):
        run.after(1.0, seeding)
    figures = run.after(9.0, seeding)
    assert (figures.seconds_active, figures.seconds_seeding) == (50 + 40, 5 + 39)


def test_a_check_of_what_is_there_is_no_activity() -> None:
    run = Tallying()
    assert run.after(9.0, replace(STATE, checking=True)).seconds_active == 0


def test_what_stands_still_gives_the_same_figures_again() -> None:
    run = Tallying()
    first = run.after(1.0, STATE)
    assert all(run.after(1.0, STATE) is first for _ in range(9))
    assert run.after(1.0, STATE) is not first


def test_the_time_of_the_last_activity_is_when_payload_moved_and_not_when_it_was_remembered() -> (
    None
):
    run = Tallying(Figures(uploaded=5))
    assert run.after(1.0, STATE).last_activity_at is None
    assert run.after(1.0, replace(STATE, seeds=2)).last_activity_at is None
    moved = run.after(1.0, replace(STATE, uploaded=11)).last_activity_at
    assert moved is not None
    assert (moved - NOON).total_seconds() == 3
    assert run.after(60.0, replace(STATE, uploaded=11, peers=1)).last_activity_at == moved


def test_figures_never_go_back() -> None:
    run = Tallying(Figures(uploaded=500, downloaded=600, wasted=7, seconds_active=80))
    figures = run.after(1.0, STATE)
    assert (figures.uploaded, figures.downloaded, figures.wasted) == (500, 600, 7)
    assert figures.seconds_active == 81


def test_a_job_of_an_older_version_takes_over_what_its_resume_data_counted() -> None:
    run = Tallying(None)
    figures = run.after(1.0, replace(STATE, active_time=900, seeding_time=400))
    assert (figures.uploaded, figures.downloaded) == (10, 20)
    assert (figures.seconds_active, figures.seconds_seeding) == (900, 400)

"""What all jobs moved: added up once, kept beyond the life of each."""

from __future__ import annotations

from dataclasses import replace

from chilly_movies.jobs.figures import Figures, Moved, Totals
from tests.doubles import NOON, make_job

SOME = Figures(uploaded=10, downloaded=100, wasted=5)
MORE = Figures(uploaded=30, downloaded=150, wasted=6)


def test_what_a_job_moved_counts_for_the_session_and_for_all_time() -> None:
    totals = Totals(lambda: NOON)
    totals.load(Moved(NOON, downloaded=1000, uploaded=2000, wasted=3000))
    totals.add(SOME, MORE)
    assert totals.session == Moved(NOON, 50, 20, 1)
    assert totals.all_time == Moved(NOON, 1050, 2020, 3001)


def test_what_was_moved_before_anybody_counted_is_not_moved_now() -> None:
    totals = Totals(lambda: NOON)
    totals.add(None, MORE)
    assert totals.session == totals.all_time == Moved(NOON)


def test_figures_that_go_back_take_nothing_away() -> None:
    totals = Totals(lambda: NOON)
    totals.add(MORE, SOME)
    assert totals.session == Moved(NOON)


def test_totals_are_stored_once_they_grew_and_not_for_time_that_passed() -> None:
    totals, saved = Totals(lambda: NOON), []
    saved.append(totals.is_saved)  # or `since` would move with each start
    totals.load(totals.all_time)
    totals.add(SOME, replace(SOME, seconds_active=7))
    saved.append(totals.is_saved)
    totals.add(SOME, MORE)
    saved.append(totals.is_saved)
    assert saved == [False, True, False]


def test_a_job_that_does_not_run_shows_nothing_of_its_swarm() -> None:
    job = make_job(counted=replace(SOME, distributed_copies=1.5, swarm_seeds=2, swarm_peers=9))
    assert job.figures == SOME
    assert make_job(counted=None).figures == Figures()

"""The state machine, walked over every status and event."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.errors import IllegalTransition
from chilly_movies.jobs import events as e
from chilly_movies.jobs.figures import Figures
from chilly_movies.jobs.lifecycle import TRANSITIONS, apply
from chilly_movies.jobs.models import (
    FurtherSource,
    Job,
    JobError,
    MediaFile,
    Phase,
    Progress,
    Source,
    SourceFacts,
    SourceType,
    Status,
    TrackerChoice,
    Transports,
)
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.secrets import Secret
from tests.doubles import NOON, make_job

LATER = NOON + timedelta(minutes=5)
DUE = NOON + timedelta(hours=1)
ERROR = JobError("disk_error", "The disk is full.")
MOVING = Progress(
    percent=40.0, bytes_downloaded=4, bytes_total=10, download_speed=5, upload_speed=6,
    time_remaining=7, peers=8, seeds=9, ratio=0.25, phase=Phase.DOWNLOADING,
    transports=Transports(tcp=5, webrtc=3),
)  # fmt: skip
STILL = Progress(percent=40.0, bytes_downloaded=4, bytes_total=10, ratio=0.25)
DONE = Progress(percent=100.0, bytes_downloaded=10, bytes_total=10, phase=Phase.SEEDING)

EVENTS: dict[str, e.Event] = {
    "Queued": e.Queued(),
    "Held": e.Held(),
    "Started": e.Started(),
    "MetadataReceived": e.MetadataReceived(SourceFacts(("btih:1",), "Film")),
    "Progressed": e.Progressed(MOVING),
    "Publishing": e.Publishing("Film", DONE),
    "FilesChosen": e.FilesChosen(((0, 4), (1, 0))),
    "FolderChosen": e.FolderChosen("Films"),
    "Placed": e.Placed((-1, "8"), "b"),
    "Adjusted": e.Adjusted(Options(seed_time=5), {"k": "1"}, (MediaFile(0, "Film", 9),)),
    "TrackersChosen": e.TrackersChosen(TrackerChoice((("https://a.example/announce", 1),))),
    "SecretReplaced": e.SecretReplaced(Secret("user", "word")),
    "Moving": e.Moving("Films/Film"),
    "Moved": e.Moved("Films/Film"),
    "NotMoved": e.NotMoved("no room"),
    "Paused": e.Paused(),
    "Resumed": e.Resumed(),
    "Retrying": e.Retrying(ERROR, DUE),
    "Waiting": e.Waiting(ERROR, DUE),
    "SourceChanged": e.SourceChanged(key="k2", error=ERROR),
    "BegunAnew": e.BegunAnew(reason="It changed."),
    "Completed": e.Completed(DONE, seeding=True),
    "SeedingStopped": e.SeedingStopped("goal reached"),
    "Checked": e.Checked(MOVING, "checked"),
    "Damaged": e.Damaged(ERROR),
    "Failed": e.Failed(ERROR),
    "Canceled": e.Canceled(),
    "Removed": e.Removed(),
}

KINDS = {k for k in vars(e).values() if isinstance(k, type) and issubclass(k, e.Event)} - {e.Event}

WALK = """
                  queued    active     paused    completed  failed    canceled
Queued            .         .          .         .          .         .
Held              .         .          .         .          .         .
Started           active    .          .         .          .         .
MetadataReceived  .         active     .         .          .         .
Progressed        queued    active     paused    completed  failed    .
Publishing        .         active     .         .          .         .
FilesChosen       queued    active     paused    .          failed    .
FolderChosen      queued    active     paused    .          failed    .
Placed            queued    active     paused    .          .         .
Adjusted          queued    active     paused    completed  failed    .
TrackersChosen    queued    active     paused    completed  failed    .
SecretReplaced    queued    active     paused    completed  failed    .
Moving            .         .          .         completed  .         .
Moved             .         .          .         completed  .         .
NotMoved          .         .          .         completed  .         .
Paused            paused    paused     .         .          .         .
Resumed           .         .          queued    .          queued    .
Retrying          .         queued     .         .          .         .
Waiting           .         queued     .         .          .         .
SourceChanged     .         queued     .         .          .         .
BegunAnew         .         active     .         .          .         .
Completed         .         completed  .         .          .         .
SeedingStopped    .         .          .         completed  .         .
Checked           .         .          paused    completed  failed    .
Damaged           .         .          .         failed     .         .
Failed            .         failed     .         .          .         .
Canceled          canceled  canceled   canceled  .          canceled  .
Removed           queued    active     paused    completed  failed    canceled
"""


def cells() -> list[tuple[str, Status, str]]:
    head, *rows = [line.split() for line in WALK.strip().splitlines()]
    return [
        (row[0], Status(source), target)
        for row in rows
        for source, target in zip(head, row[1:], strict=True)
    ]


def walk(status: Status, event: e.Event, **changes: object) -> Job:
    return apply(make_job("a", status, **changes), event, LATER)


def test_the_walk_covers_every_status_and_every_event_there_is() -> None:
    assert {(name, status) for name, status, _ in cells()} == {
        (name, status) for name in EVENTS for status in Status
    }
    assert {type(event) for event in EVENTS.values()} == KINDS
    assert set(TRANSITIONS) == KINDS


@pytest.mark.parametrize(("name", "source", "target"), cells())
def test_each_step_leads_where_the_table_says_or_is_refused(
    name: str, source: Status, target: str
) -> None:
    job = make_job("a", source, progress=MOVING, reason="because")
    if target == ".":
        with pytest.raises(IllegalTransition):
            apply(job, EVENTS[name], LATER)
    else:
        after = apply(job, EVENTS[name], LATER)
        assert (after.status, after.updated_at) == (Status(target), LATER)


def test_a_refusal_names_the_job_and_both_states() -> None:
    with pytest.raises(IllegalTransition, match="'a' is completed and cannot become queued"):
        walk(Status.COMPLETED, e.Resumed())


def test_a_refusal_of_a_step_that_leads_nowhere_else_says_only_where_the_job_is() -> None:
    with pytest.raises(IllegalTransition, match=r"^Job 'a' is completed: this is not possible\.$"):
        walk(Status.COMPLETED, EVENTS["FilesChosen"])


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_no_event_touches_who_the_job_is(event: e.Event) -> None:
    same = ["id", "source", "created_at"]
    if not isinstance(event, e.SourceChanged):
        same.append("key")
    if not isinstance(event, e.Placed):
        same += ["position", "fraction"]
    asks = e.FilesChosen | e.FolderChosen | e.Adjusted | e.SourceChanged | e.Moved | e.NotMoved
    if not isinstance(event, asks):
        same.append("options")
    for source in TRANSITIONS[type(event)].sources:
        before = make_job("a", source, options=replace(make_job().options, files=(1,)))
        after = apply(before, event, LATER)
        assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]


def test_the_start_is_noted_once_and_ends_the_wait_for_a_retry() -> None:
    first = walk(Status.QUEUED, e.Started(), reason="waiting", next_attempt_at=DUE, attempts=2)
    assert (first.started_at, first.reason, first.next_attempt_at) == (LATER, None, None)
    assert first.attempts == 2
    again = walk(Status.QUEUED, e.Started(), started_at=NOON)
    assert again.started_at == NOON


def test_a_retry_counts_the_attempt_and_stands_still_until_it_is_due() -> None:
    job = walk(Status.ACTIVE, e.Retrying(ERROR, DUE), attempts=1, progress=MOVING, reason="x")
    assert (job.attempts, job.next_attempt_at, job.error) == (2, DUE, ERROR)
    assert (job.progress, job.reason) == (STILL, None)


def test_waiting_for_the_disk_counts_no_attempt_and_says_what_for() -> None:
    job = walk(Status.ACTIVE, e.Waiting(ERROR, DUE), attempts=1, progress=MOVING, reason="x")
    assert (job.attempts, job.next_attempt_at, job.error) == (1, DUE, ERROR)
    assert (job.progress, job.reason) == (STILL, ERROR.message)


def test_a_failure_counts_the_attempt_and_keeps_its_error() -> None:
    job = walk(Status.ACTIVE, e.Failed(ERROR), attempts=4, progress=MOVING, reason="x")
    assert (job.attempts, job.error, job.progress, job.reason) == (5, ERROR, STILL, None)


@pytest.mark.parametrize("status", [Status.PAUSED, Status.FAILED])
def test_resume_forgets_errors_and_attempts(status: Status) -> None:
    job = walk(status, e.Resumed(), error=ERROR, attempts=5, next_attempt_at=DUE, reason="x")
    assert (job.error, job.attempts, job.next_attempt_at, job.reason) == (None, 0, None, None)


@pytest.mark.parametrize("event", [e.Paused(), e.Canceled()])
@pytest.mark.parametrize("status", [Status.QUEUED, Status.ACTIVE])
def test_pause_and_cancel_stop_all_figures_and_the_planned_retry(
    status: Status, event: e.Event
) -> None:
    job = walk(status, event, progress=MOVING, next_attempt_at=DUE, reason="x", error=ERROR)
    assert (job.progress, job.next_attempt_at, job.reason) == (STILL, None, None)
    assert job.error == ERROR


@pytest.mark.parametrize("seeding", [True, False])
def test_completion_clears_the_past_and_says_whether_it_seeds(seeding: bool) -> None:
    before = {"error": ERROR, "attempts": 3, "reason": "x"}
    job = walk(Status.ACTIVE, e.Completed(DONE, seeding=seeding), **before)
    assert (job.progress, job.seeding, job.completed_at) == (DONE, seeding, LATER)
    assert (job.error, job.attempts, job.reason) == (None, 0, None)
    assert job.is_running is seeding


def test_the_end_of_seeding_keeps_the_job_completed_and_says_why() -> None:
    job = walk(Status.COMPLETED, e.SeedingStopped("goal"), seeding=True, progress=MOVING)
    assert (job.status, job.seeding, job.reason) == (Status.COMPLETED, False, "goal")
    assert (job.progress, job.is_running) == (STILL, False)


def test_metadata_adds_identities_and_replaces_name_and_files() -> None:
    facts = SourceFacts(("btih:1", "btmh:2"), "Film", (MediaFile(0, "Film.mkv", 9),))
    job = walk(Status.ACTIVE, e.MetadataReceived(facts), identities=("url:x", "btih:1"))
    assert job.identities == ("url:x", "btih:1", "btmh:2")
    assert (job.name, job.files) == ("Film", facts.files)


def test_metadata_may_come_with_a_note_which_is_the_reason_from_then_on() -> None:
    facts = SourceFacts(("btih:1",), "Film", note="Programs are left out.")
    for reason in (None, "old"):
        assert walk(Status.ACTIVE, e.MetadataReceived(facts), reason=reason).reason == facts.note
    silent = e.MetadataReceived(replace(facts, note=None))
    assert walk(Status.ACTIVE, silent, reason="old").reason == "old"


def test_a_choice_marks_the_files_with_a_priority_as_wanted_and_no_others() -> None:
    was = (True, False, False, True, True)
    files = tuple(MediaFile(i, f"F/{i}", 1, wanted) for i, wanted in enumerate(was))
    event = e.FilesChosen(((0, 0), (1, 1), (2, 7), (3, 4)))
    job = walk(Status.ACTIVE, event, files=files)
    assert [file.wanted for file in job.files] == [False, True, True, True, False]
    assert [replace(file, wanted=True) for file in job.files] == [
        replace(file, wanted=True) for file in files
    ]
    assert (job.options.files, job.options.priorities) == ((1, 2, 3), ((1, 1), (2, 7)))


def test_progress_replaces_figures_and_reason() -> None:
    job = walk(Status.ACTIVE, e.Progressed(MOVING, "slow"), reason="old")
    assert (job.progress, job.reason) == (MOVING, "slow")
    assert walk(Status.ACTIVE, e.Progressed(MOVING), reason="old").reason is None


@pytest.mark.parametrize(
    ("path", "files", "moved"),
    [
        ("Film (2).mkv", ["Film.mkv"], ["Film (2).mkv"]),
        ("F (2)", ["F/a.mkv", "F/extra/b.srt"], ["F (2)/a.mkv", "F (2)/extra/b.srt"]),
        ("Film", [], []),
    ],
)
def test_publishing_renames_the_first_component_of_every_file(
    path: str, files: list[str], moved: list[str]
) -> None:
    known = tuple(MediaFile(i, name, 1) for i, name in enumerate(files))
    job = walk(Status.ACTIVE, e.Publishing(path, DONE), files=known, reason="x")
    assert (job.path, job.progress, job.reason) == (path, DONE, None)
    assert [file.path for file in job.files] == moved
    assert [(file.index, file.size) for file in job.files] == [(f.index, f.size) for f in known]


@pytest.mark.parametrize(
    ("path", "target", "files", "moved"),
    [
        ("Film.mkv", "A/Film.mkv", ["Film.mkv"], ["A/Film.mkv"]),
        ("A/B/F", "F", ["A/B/F/a.mkv", "A/B/F/x/b.srt"], ["F/a.mkv", "F/x/b.srt"]),
        ("A/F", "A/F (2)", ["A/F/F/F"], ["A/F (2)/F/F"]),
    ],
)
def test_a_move_takes_every_file_of_the_film_along_and_nothing_of_their_own_paths(
    path: str, target: str, files: list[str], moved: list[str]
) -> None:
    known = tuple(MediaFile(i, name, 1) for i, name in enumerate(files))
    before = make_job("a", Status.COMPLETED, path=path, files=known, seeding=True)
    going = apply(before, e.Moving(target), LATER)
    assert (going.path, going.moving_to, going.files) == (path, target, known)
    after = apply(going, e.Moved(target), LATER)
    assert (after.path, after.moving_to) == (target, None)
    assert [file.path for file in after.files] == moved
    assert (after.options.folder, after.goes_to) == (target.rpartition("/")[0], None)


def test_a_film_that_could_not_be_moved_stays_and_wants_nothing_else_any_more() -> None:
    options = replace(make_job().options, folder="B")
    job = make_job("a", Status.COMPLETED, path="A/Film", options=options, moving_to="B/Film")
    assert (job.is_running, job.goes_to) == (True, "B/Film")
    after = apply(job, e.NotMoved("no room"), LATER)
    assert (after.path, after.moving_to, after.reason) == ("A/Film", None, "no room")
    assert (after.is_running, after.goes_to, after.options.folder) == (False, None, "A")


def test_the_folder_of_a_film_that_is_not_there_yet_is_only_a_wish() -> None:
    job = walk(Status.ACTIVE, e.FolderChosen("A/B"), progress=MOVING, reason="x")
    assert (job.options.folder, job.path, job.moving_to) == ("A/B", None, None)
    assert (job.progress, job.reason, job.goes_to) == (MOVING, "x", None)


def test_an_adjustment_sets_what_is_asked_and_kept_and_touches_no_figure() -> None:
    files = (MediaFile(0, "Film", 9, wanted=False),)
    event = e.Adjusted(Options(upload_limit=7), {"k": "1"}, files, "Films/Film")
    before = make_job("a", Status.COMPLETED, progress=MOVING, reason="x", labels={"l": "2"})
    job = apply(before, event, LATER)
    assert (job.options, job.labels, job.files) == (event.options, event.labels, files)
    assert (job.moving_to, job.progress, job.reason) == ("Films/Film", MOVING, "x")


@given(st.lists(st.sampled_from(list(EVENTS)), max_size=40))
def test_no_sequence_of_events_leaves_the_states_or_breaks_a_job(names: list[str]) -> None:
    job = make_job()
    for step, name in enumerate(names):
        at = NOON + timedelta(seconds=step)
        try:
            after = apply(job, EVENTS[name], at)
        except IllegalTransition:
            continue
        assert isinstance(after.status, Status)
        assert (job.status, after.status) in REACHABLE[name]
        # figures of a job that does not run: it is compared with its hashes
        stands = after.status in (Status.PAUSED, Status.FAILED, Status.CANCELED)
        if stands and name not in (
            "Progressed",
            "Removed",
            "FilesChosen",
            "FolderChosen",
            "Adjusted",
            "Placed",
            "TrackersChosen",
        ):
            assert (after.progress.download_speed, after.progress.phase) == (0, None)
        assert after.next_attempt_at is None or after.status is Status.QUEUED
        assert not after.seeding or after.status is Status.COMPLETED
        job = after


REACHABLE = {
    name: {(source, Status(target)) for n, source, target in cells() if n == name and target != "."}
    for name in EVENTS
}


@given(st.sampled_from(list(EVENTS)), st.sampled_from(list(Status)))
def test_an_illegal_event_changes_nothing(name: str, status: Status) -> None:
    job = make_job("a", status, progress=MOVING, reason="x")
    twin = replace(job)
    try:
        after = apply(job, EVENTS[name], LATER)
    except IllegalTransition:
        assert (status, name) not in {(s, name) for s, _ in REACHABLE[name]}
    else:
        assert after is not job
    assert job == twin


def test_every_event_has_a_name_listeners_can_ask_for() -> None:
    assert {kind.name for kind in KINDS} == set(e.EVENT_NAMES) - set(e.NEWS)
    assert [kind for kind in KINDS if not kind.durable] == [e.Progressed]


def test_what_began_anew_has_nothing_and_says_why_and_is_another_generation() -> None:
    job = walk(Status.ACTIVE, e.BegunAnew(reason="It changed."), progress=MOVING, generation=1)
    assert (job.generation, job.reason, job.key) == (2, "It changed.", make_job("a").key)
    assert job.progress == Progress(phase=Phase.DOWNLOADING)


def test_what_a_source_that_is_left_sent_was_in_vain_and_stays_counted() -> None:
    counted = Figures(uploaded=1, downloaded=100, wasted=5, seconds_active=7)
    job = walk(Status.ACTIVE, EVENTS["SourceChanged"], counted=counted, generation=3)
    assert (job.counted, job.generation) == (replace(counted, wasted=100), 4)
    assert job.as_run.counted == Figures()
    assert Figures(downloaded=9).plus(job.left) == replace(counted, downloaded=109, wasted=100)


def test_a_source_that_was_silent_or_slow_is_tried_once_more_when_no_other_is_left() -> None:
    own, *others = sources = [Source(SourceType.HTTP, f"https://{name}/") for name in "abcd"]
    job = make_job("a", Status.ACTIVE, source=own, candidates=tuple(map(FurtherSource, others)))
    tried = []
    for may_return, done in ((True, 5), (False, 5), (True, 0), (True, 9), (True, 0), (True, 9)):
        after = job.next_source
        assert after is not None
        tried.append(after.urn[8])
        changed = e.SourceChanged(
            job.running_source, after, key="k", error=ERROR, may_return=may_return
        )
        progress = Progress(bytes_downloaded=done)
        job = replace(apply(replace(job, progress=progress), changed, LATER), status=Status.ACTIVE)
    # b has no film; c sent nothing, so it comes before those that did
    assert ("".join(tried), job.next_source) == ("bcdcad", None)
    assert {source.name for source in sources} == set(job.spent)
    failed = apply(apply(job, e.Failed(ERROR), LATER), e.Resumed(), LATER)
    assert failed.next_source == own

"""Turns jobs into text. Pure. Jobs are the JSON objects of the contract."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.table import Table
from rich.text import Text

from chilly_movies.cli.output import clean
from chilly_movies.jobs.models import Job, Progress

Wire = Mapping[str, Any]
_UNITS = ("B", "kB", "MB", "GB", "TB")
_NEXT = 999.95
"""From here on one decimal would read as 1,000 of a unit, which is one of the next."""


def count(number: int, word: str) -> str:
    """Writes how many of something there are: `1 job`, `2 jobs`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def size(number: int) -> str:
    """Writes bytes in decimal units, from kB on with one decimal: `67.1 MB`; 1 MB is 10^6 bytes."""
    value, unit = float(number), 0
    while value >= _NEXT and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{number} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def speed(number: int) -> str:
    """Writes bytes a second in decimal units: `1.2 MB/s`."""
    return f"{size(number)}/s"


def duration(seconds: int) -> str:
    """Writes seconds for people, in at most two neighbouring units."""
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    for (length, unit), (shorter, smaller) in itertools.pairwise(units):
        if seconds >= length:
            whole, rest = f"{seconds // length} {unit}", seconds % length // shorter
            return f"{whole} {rest} {smaller}" if rest else whole
    return f"{seconds} s"


def introduction(job: Job) -> str:
    """Writes of which kind a job's source is, what is in it and how large it is."""
    wanted = [file for file in job.files if file.wanted]
    total = sum(file.size for file in wanted)
    what = f"{count(len(wanted), 'file')}, {size(total)}" if total else count(len(wanted), "file")
    return f"{job.name or job.id} ({job.running_source.type}): {what}"


def peers(number: int) -> str:
    """Writes a number of peers: `1 peer`, `2 peers`."""
    return "1 peer" if number == 1 else f"{number} peers"


def wire_of(job: Job) -> dict[str, Any]:
    """Writes a job of our own process in the spelling of the contract."""
    out: dict[str, Any] = {"id": job.id, "name": job.name, "status": str(job.status)}
    out["progress"] = wire_of_progress(job.progress)
    out["reason"] = job.reason
    out["error"] = job.error and {"code": job.error.code, "message": job.error.message}
    out["path"] = job.path
    due = job.next_attempt_at
    out["nextAttemptAt"] = None if due is None else due.isoformat()
    return out


def wire_of_progress(progress: Progress) -> dict[str, Any]:
    """Writes figures of our own process in the spelling of the contract."""
    return {
        re.sub("_(.)", lambda found: found[1].upper(), name): value
        for name, value in asdict(progress).items()
    }


def name_of(job: Wire) -> str:
    """Returns the film's name, or the job's id as long as there is none."""
    return clean(str(job.get("name") or job["id"]))


def percent(job: Wire) -> float:
    """Returns how far the job is, 0 to 100."""
    return float(job["progress"]["percent"])


def figures(job: Wire) -> str:
    """Describes a job on one line, without its name."""
    status, progress = job["status"], job["progress"]
    if status == "completed":
        return _completed(job)
    if status == "failed":
        return f"failed: {_message(job)}"
    if status == "canceled":
        return "canceled"
    share = f"{percent(job):.1f} %"
    if status == "paused":
        return f"{share}, paused"
    if job.get("error"):
        due = job.get("nextAttemptAt")
        left = datetime.fromisoformat(str(due)) - datetime.now(UTC) if due else timedelta()
        seconds = math.ceil(left.total_seconds())
        when = f" in {duration(seconds)}" if seconds > 0 else ""  # else not known, or now
        return f"{share}, will be tried again{when}: {_message(job)}"
    if job.get("reason"):
        return f"{share}, {clean(str(job['reason']))}"
    return f"{share}, waiting" if status == "queued" else f"{share}, {_moving(progress)}"


def _completed(job: Wire) -> str:
    progress = job["progress"]
    text = f"complete, {size(progress['bytesDownloaded'])}"
    if job.get("missing"):
        return f"{text}, but the film is not there any more ({clean(str(job.get('path')))})"
    if job.get("reason"):
        return f"{text}, {clean(str(job['reason']))}"
    if progress["phase"] != "seeding":
        return text
    given = f"ratio {progress['ratio']:.2f}, {peers(progress['peers'])}"
    return f"{text}, seeding at {speed(progress['uploadSpeed'])}, {given}"


def _message(job: Wire) -> str:
    error = job.get("error") or {}
    return clean(str(error.get("message") or "no reason is known"))


def _moving(progress: Wire) -> str:
    if progress["phase"] in ("metadata", "checking", "post-processing"):
        return str(progress["phase"])
    if progress["phase"] is None:
        return "starting"
    total = progress["bytesTotal"]
    done = size(progress["bytesDownloaded"])
    parts = [f"{done} of {size(total)}" if total else done]
    parts += [speed(progress["downloadSpeed"]), peers(progress["peers"])]
    if progress["timeRemaining"] is not None:
        parts.append(f"{duration(progress['timeRemaining'])} left")
    return ", ".join(parts)


def line(job: Wire) -> str:
    """Writes a job as one line of text."""
    return f"{name_of(job)}: {figures(job)}"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Builds a table of plain columns that are never cut."""
    made = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(clean(cell)) for cell in row))
    return made


def job_table(jobs: Iterable[Wire]) -> Table:
    """Builds a table of jobs, one per row."""
    rows = [(str(job["id"]), str(job["status"]), name_of(job), figures(job)) for job in jobs]
    return table(("ID", "STATUS", "NAME", "PROGRESS"), rows)


def queue_table(jobs: Iterable[Wire]) -> Table:
    """Builds a table of the jobs of the queue with their positions, one per row."""
    rows = [(str(job["position"]), str(job["id"]), str(job["status"]), line(job)) for job in jobs]
    return table(("", "ID", "STATUS", "JOB"), rows)


def detail(job: Wire) -> Table:
    """Builds a table of all that matters of one job, one fact per row."""
    facts = [("id", job["id"]), ("name", job.get("name")), ("status", job["status"])]
    facts += [("progress", figures(job)), ("source", job["sourceUrn"] or "an uploaded torrent")]
    facts += [("path", job.get("path")), ("created", job["createdAt"])]
    facts += [("completed", job.get("completedAt"))]
    facts += [(f"label {key}", value) for key, value in job.get("labels", {}).items()]
    for file in job["files"]:
        left_out = "" if file["wanted"] else ", left out"
        facts += [(f"file {file['index']}", f"{file['path']}, {size(file['size'])}{left_out}")]
    return table(("", ""), [(name, str(value)) for name, value in facts if value])

"""Breaks one line of the core after the other in a copy, and sees whether the model test finds it.

`python -m lab.model_breaks` prints a table; it ends with 1 if a break is not found.
"""

from __future__ import annotations

import sys

from lab.breaking import Breakage, is_noticed, report

_WITHIN = 600.0
_EXAMPLES = "800"
"""Of them; as many as the suite has miss some of these breaks."""

_SHIELDED = "        return await asyncio.shield(task)\n\n    async def wait_idle"
BREAKS = (
    Breakage("a canceled job may be resumed", "jobs/lifecycle.py",
          "e.Resumed: _rule(PAUSED, FAILED, to", "e.Resumed: _rule(PAUSED, FAILED, CANCELED, to"),
    Breakage("a failed attempt leads to active", "jobs/lifecycle.py",
          "e.Retrying: _rule(ACTIVE, to=QUEUED)", "e.Retrying: _rule(ACTIVE, to=ACTIVE)"),
    Breakage("a failed job cannot be canceled", "jobs/lifecycle.py",
          "e.Canceled: _rule(QUEUED, ACTIVE, PAUSED, FAILED,",
          "e.Canceled: _rule(QUEUED, ACTIVE, PAUSED,"),
    Breakage("a paused job becomes active without a slot", "jobs/lifecycle.py",
          "e.Resumed: _rule(PAUSED, FAILED, to=QUEUED)",
          "e.Resumed: _rule(PAUSED, FAILED, to=ACTIVE)"),
    Breakage("a failed job cannot go to another folder", "jobs/lifecycle.py",
          "e.FolderChosen: _rule(QUEUED, ACTIVE, PAUSED, FAILED)",
          "e.FolderChosen: _rule(QUEUED, ACTIVE, PAUSED)"),
    Breakage("told before stored", "jobs/ledger.py",
          "            seq = await write(job, change)\n",
          "            self._bus.publish(replace(change, seq=change.seq + 1))\n"
          "            seq = await write(job, change)\n"),
    Breakage("in memory before stored, and gone from it before", "jobs/ledger.py",
          "            seq = await write(job, change)\n",
          "            keep(job)\n            seq = await write(job, change)\n"),
    Breakage("told under the number of before", "jobs/ledger.py",
          "publish(replace(change, seq=seq))", "publish(change)"),
    Breakage("figures draw numbers", "jobs/ledger.py",
          "publish(e.Change.of(self._seq, e.Progressed.name,",
          "publish(e.Change.of(self._seq + 1, e.Progressed.name,"),
    Breakage("verbs take no lock", "jobs/downloader.py",
          "            async with self._ledger.lock(job_id):\n                job: Job",
          "            async with asyncio.Lock():\n                job: Job"),
    Breakage("reports take no lock", "jobs/ledger.py",
          "        lock = self.lock(job_id)\n        await lock.acquire()",
          "        lock = asyncio.Lock()\n        await lock.acquire()"),
    Breakage("nothing is shielded", "jobs/ledger.py",
          _SHIELDED, _SHIELDED.replace("asyncio.shield(task)", "task")),
    Breakage("more jobs run than there are slots", "jobs/scheduler.py",
          "None if taken < limit else f", "None if True else f"),
    Breakage("the last in the queue starts first", "jobs/scheduler.py",
          "        left = self._waits.left(queued)\n",
          "        queued.reverse()\n        left = self._waits.left(queued)\n"),
    Breakage("cancel deletes the data before the row", "jobs/verbs.py",
          "        await self._ledger.record(job.id, e.Canceled())\n"
          "        failpoints.reach(\"canceled.stored\")\n        await self._runner.stop(job.id)\n"
          "        await self._forget(self._ledger.get(job.id), delete_files=False)\n",
          "        await self._runner.stop(job.id)\n"
          "        await self._forget(self._ledger.get(job.id), delete_files=False)\n"
          "        await self._ledger.record(job.id, e.Canceled())\n"),
    Breakage("attempts begin anew with each failure", "jobs/lifecycle.py",
          '{**changes, "attempts": job.attempts + 1, "next_attempt_at": due}',
          '{**changes, "attempts": 1, "next_attempt_at": due}'),
    Breakage("numbers fall after a restart", "jobs/ledger.py",
          "        self._seq = loaded.last_seq\n", "        self._seq = 0\n"),
    Breakage("a forced job takes a slot", "jobs/scheduler.py",
          "        if not job.options.forced:\n", "        if True:\n"),
    Breakage("a forced job waits for a slot", "jobs/scheduler.py",
          "return job.options.forced or self._is_read", "return self._is_read"),
    Breakage("a held job waits for a slot", "jobs/lifecycle.py",
          "e.Held: _rule(to=PAUSED)", "e.Held: _rule(to=QUEUED)"),
    Breakage("two jobs get one place", "jobs/queue.py",
          "    return (low[0], _digits_between(", "    return high or (low[0], _digits_between("),
    Breakage("listeners hear of another neighbour", "jobs/queue.py",
          "following.place), following.id)", "following.place), others[goes - 1].id)"),
    Breakage("numbers are used again after a removal", "storage/memory.py",
          "max(self._last_seq, change.seq) + 1", "max(len(self._jobs), change.seq) + 1"),
    Breakage("a failed job cannot be changed", "jobs/lifecycle.py",
          "e.Adjusted: _rule(QUEUED, ACTIVE, PAUSED, COMPLETED, FAILED)",
          "e.Adjusted: _rule(QUEUED, ACTIVE, PAUSED, COMPLETED)"),
    Breakage("labels that are not named are lost", "jobs/adjustments.py",
          "with_labels(job.labels, changes)", "with_labels({}, changes)"),
    Breakage("what is so already is told anew", "jobs/adjustments.py",
          "    return None if is_so and _secrets(change) == _secrets(job) else change\n",
          "    return change\n"),
    Breakage("a driver is not told of other options", "jobs/verbs.py",
          "            await driver.adjust(changed.as_run)\n", "            pass\n"),
    Breakage("a move is told that is not stored first", "jobs/verbs.py",
          "            await self._ledger.record(job.id, e.Moving(target))\n",
          "            pass\n"),
    Breakage("a source is left and its data is not", "jobs/runner.py",
          "                await driver.remove(before, delete_files=False)\n",
          "                pass\n"),
    Breakage("two sources of a job share a key", "jobs/lifecycle.py",
          '        "key": event.key,\n', '        "key": job.key,\n'),
    Breakage("a source that was given up is taken again", "jobs/lifecycle.py",
          "tuple(dict.fromkeys((*job.spent, event.before.name)))", "job.spent"),
    Breakage("a resume does not begin with all sources again", "jobs/lifecycle.py",
          '"spent": (), "again": ()} if job.status is FAILED', '} if job.status is FAILED'),
    Breakage("a job is no longer what it was started with", "jobs/lifecycle.py",
          "dict.fromkeys((*event.facts.identities, *job.identities))",
          "dict.fromkeys(event.facts.identities)"),
    Breakage("a source is left at its first trouble", "jobs/retry.py",
          "Patience.SHORT: self.short_attempts", "Patience.SHORT: 1"),
    Breakage("a source that another job has is taken", "jobs/runner.py",
          "refuse_duplicate(job.id, self._facts_of(source).identities)",
          "refuse_duplicate(job.id, ())"),
    Breakage("two jobs learn at once that they are one film", "jobs/ledger.py",
          "        self.refuse_duplicate(job_id, new)\n", ""),
    Breakage("a source that is run keeps the user of before", "jobs/models.py",
          "source=next(same, active)", "source=active"),
    Breakage("a tracker stays under its old address", "jobs/swarm_verbs.py",
          "            without = choice.without_tracker(old.url)\n",
          "            without = choice\n"),
    Breakage("a driver is not told of other trackers", "jobs/swarm_verbs.py",
          "                await control.choose_trackers(job)\n", "                pass\n"),
    Breakage("what another server took is written", "storage/memory.py",
          "known is not None and known.epoch == job.epoch", "known is not None"),
    Breakage("a job that another server took goes on", "jobs/ledger.py",
          "            self._lost.add(job_id)\n", "            pass\n"),
)  # fmt: skip


def verdict_of(one: Breakage) -> tuple[bool, str]:
    """Break it; whether the model test fails, and how."""
    words = ["--timeout", "0", "tests/model/test_model.py", "-k", "memory"]
    return is_noticed(one, words, _WITHIN, {"CHILLY_MODEL_BREAKS": _EXAMPLES})


def main() -> int:
    """The command line: all breaks, or those whose description holds a word that is given."""
    return report([b for b in BREAKS if all(word in b.what for word in sys.argv[1:])], verdict_of)


if __name__ == "__main__":
    sys.exit(main())

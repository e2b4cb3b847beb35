"""Breaks one line of the core after the other in a copy, and sees whether the model test finds it.

`python -m tests.model.breaks` prints a table; it ends with 1 if a break is not found.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_WITHIN = 600.0


@dataclass(frozen=True)
class Break:
    """One line that is changed.

    Attributes:
        what: is broken then.
        module: below the package.
    """

    what: str
    module: str
    right: str
    wrong: str


_SHIELDED = "        return await asyncio.shield(task)\n\n    def _forget"
BREAKS = (
    Break("a canceled job may be resumed", "lifecycle.py",
          "e.Resumed: _rule(PAUSED, FAILED, to", "e.Resumed: _rule(PAUSED, FAILED, CANCELED, to"),
    Break("a failed attempt leads to active", "lifecycle.py",
          "e.Retrying: _rule(ACTIVE, to=QUEUED)", "e.Retrying: _rule(ACTIVE, to=ACTIVE)"),
    Break("a failed job cannot be canceled", "lifecycle.py",
          "e.Canceled: _rule(QUEUED, ACTIVE, PAUSED, FAILED,",
          "e.Canceled: _rule(QUEUED, ACTIVE, PAUSED,"),
    Break("a paused job becomes active without a slot", "lifecycle.py",
          "e.Resumed: _rule(PAUSED, FAILED, to=QUEUED)",
          "e.Resumed: _rule(PAUSED, FAILED, to=ACTIVE)"),
    Break("a failed job cannot go to another folder", "lifecycle.py",
          "e.FolderChosen: _rule(QUEUED, ACTIVE, PAUSED, FAILED)",
          "e.FolderChosen: _rule(QUEUED, ACTIVE, PAUSED)"),
    Break("told before stored", "ledger.py",
          "            await self._store.record(job, change)\n            self._put(job)",
          "            self._bus.publish(change)\n"
          "            await self._store.record(job, change)\n            self._put(job)"),
    Break("in memory before stored", "ledger.py",
          "            await self._store.record(job, change)\n            self._put(job)",
          "            self._put(job)\n            await self._store.record(job, change)"),
    Break("removed from memory before the store", "ledger.py",
          "            await self._store.delete(change)\n            self._drop(job)",
          "            self._drop(job)\n            await self._store.delete(change)"),
    Break("told in the order in which writes end", "ledger.py",
          "        while self._outbox and self._outbox[0].settled:\n"
          "            change = self._outbox.popleft().change\n",
          "        for done in [entry for entry in self._outbox if entry.settled]:\n"
          "            self._outbox.remove(done)\n            change = done.change\n"),
    Break("verbs take no lock", "downloader.py",
          "            async with self._ledger.lock(job_id):\n                job: Job",
          "            async with asyncio.Lock():\n                job: Job"),
    Break("reports take no lock", "ledger.py",
          "        lock = self.lock(job_id)\n        await lock.acquire()",
          "        lock = asyncio.Lock()\n        await lock.acquire()"),
    Break("nothing is shielded", "ledger.py",
          _SHIELDED, _SHIELDED.replace("asyncio.shield(task)", "task")),
    Break("more jobs run than there are slots", "scheduler.py",
          "full = len(active) >= self._max_active and", "full = False and"),
    Break("the last in the queue starts first", "scheduler.py",
          "key=lambda j: j.position\n", "key=lambda j: -j.position\n"),
    Break("cancel deletes the data before the row", "verbs.py",
          "        await self._ledger.record(job.id, e.Canceled())\n"
          "        failpoints.reach(\"canceled.stored\")\n        await self._runner.stop(job.id)\n"
          "        await self._forget(self._ledger.get(job.id), delete_files=False)\n",
          "        await self._runner.stop(job.id)\n"
          "        await self._forget(self._ledger.get(job.id), delete_files=False)\n"
          "        await self._ledger.record(job.id, e.Canceled())\n"),
    Break("attempts begin anew with each failure", "lifecycle.py",
          '{"error": error, "attempts": job.attempts + 1, "next_attempt_at": due}',
          '{"error": error, "attempts": 1, "next_attempt_at": due}'),
    Break("numbers are used again after a restart", "ledger.py",
          "        self._seq = loaded.last_seq\n", "        self._seq = 0\n"),
    Break("a move is told that is not stored first", "verbs.py",
          "            await self._ledger.record(job.id, e.Moving(target))\n",
          "            pass\n"),
)  # fmt: skip


def find(one: Break, folder: Path) -> tuple[bool, str]:
    """Break it in a copy; whether the model test fails, and how."""
    copy = folder / "src"
    shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
    module = copy / "chilly_movies" / one.module
    text = module.read_text()
    if text.count(one.right) != 1:
        sys.exit(f"'{one.what}': its line is not in {one.module} any more; mend this list")
    module.write_text(text.replace(one.right, one.wrong))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout",
               "0", "tests/model/test_model.py", "-k", "memory"]  # fmt: skip
    path = {"PYTHONPATH": str(copy), "CHILLY_MODEL_SHRINK": "0"}
    try:
        run = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **path}, capture_output=True, text=True,
            timeout=_WITHIN, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True, f"hangs for {_WITHIN:.0f} s"
    said = re.findall(r"(?m)^E\s+(?:\w+\.)*(\w*(?:Error|Group)\b.*)", run.stdout)
    return run.returncode == 1, (said[0] if said else run.stdout.strip().splitlines()[-1])[:90]


def main() -> int:
    """The command line: all breaks, or those whose description holds a word that is given."""
    wanted = [b for b in BREAKS if all(word in b.what for word in sys.argv[1:])]
    missed = 0
    for one in wanted:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="chilly-break-") as folder:
            found, how = find(one, Path(folder))
        missed += not found
        word = "found" if found else "NOT FOUND"
        sys.stdout.write(f"{word:9}  {time.monotonic() - began:4.0f} s  {one.what}: {how}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(wanted) - missed} of {len(wanted)} found\n")
    return min(1, missed)


if __name__ == "__main__":
    sys.exit(main())

"""Faults from outside: each is done to a running server, seen in one sentence, and undone.

A fault is a function for `Fire.round`: it injects, waits for the sentence, heals, and waits
until the job it concerned goes on by itself. Other jobs are in random hands meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.crash import mounts
from lab.crash.films import MIB, PIECE, Film
from lab.crash.fire import Fire
from lab.crash.life import Life
from lab.crash.model import Intent, Wanted
from lab.crash.tracker import Tracker

SEEN_WITHIN = 15.0
WELL_WITHIN = 40.0
_LIBRARY = Path(f"/usr/lib/{os.uname().machine}-linux-gnu/faketime/libfaketimeMT.so.1")


def said(job: Mapping[str, Any]) -> str:
    """What a job tells people: its reason and its error."""
    error = job.get("error") or {}
    return f"{job.get('reason') or ''} {error.get('message') or ''}".strip()


async def sentence(fire: Fire, life: Life, job_id: str, pattern: str, fault: str) -> str:
    """Wait until the job says so."""
    seen = ""
    try:
        async with asyncio.timeout(SEEN_WITHIN):
            while True:
                seen = said(await life.server.job(job_id)) or seen
                if re.search(pattern, seen, re.IGNORECASE):
                    return seen
                await asyncio.sleep(0.05)
    except TimeoutError:
        fire.tally.breaks(f"{fault}: {job_id} never said why; the last was {seen!r}")
        return seen


async def past(life: Life, job_id: str, size: int, within: float = WELL_WITHIN) -> float:
    """Wait until so many bytes have arrived; returns after how many seconds."""
    began = time.perf_counter()
    async with asyncio.timeout(within):
        while True:
            job = await life.server.job(job_id)
            if job["progress"]["bytesDownloaded"] > size or job["status"] == "completed":
                return time.perf_counter() - began
            await asyncio.sleep(0.05)


async def completes(fire: Fire, life: Life, job: Wanted, within: float = WELL_WITHIN) -> float:
    """Wait until the job is completed and verify its film; returns after how many seconds."""
    began = time.perf_counter()
    shown: dict[str, Any] = {}
    try:
        async with asyncio.timeout(within):
            while (shown := await life.server.job(job.id))["status"] != "completed":
                fire.tally.breaks(job.observe(shown["status"]))
                await asyncio.sleep(0.1)
    except TimeoutError:
        fire.tally.breaks(f"{job.id} does not go on by itself: {shown['status']}, {said(shown)}")
        return time.perf_counter() - began
    fire.verify(job, fire.media / shown["path"])
    return time.perf_counter() - began


@asynccontextmanager
async def victim(fire: Fire, life: Life, film: Film | None = None) -> AsyncIterator[Wanted]:
    """A job of the first film that no random hand touches; it is removed at the end."""
    number = fire.films[0].number
    async with fire.held(number):
        for job in [job for job in fire.jobs.values() if job.film.number == number]:
            await fire.told(life, job, Intent.REMOVED, "DELETE", f"/downloads/{job.id}")
        job = await fire.begin(life, film or fire.films[0], fire.random)
        yield job
        job.published = None
        query = {"deleteFiles": "true"}
        path = f"/downloads/{job.id}"
        await fire.told(life, job, Intent.REMOVED, "DELETE", path, params=query)


async def verb(fire: Fire, life: Life, job: Wanted, name: str) -> None:
    """Pause or resume."""
    after = Intent.PAUSED if name == "pause" else Intent.RUN
    await fire.told(life, job, after, "POST", f"/download/{name}", json={"id": job.id})


# --- the disk -----------------------------------------------------------------------------------


async def full_disk(fire: Fire, life: Life) -> None:
    """The disk fills up in the middle; then there is room again."""
    filler = fire.media / "filler"
    async with victim(fire, life) as job:
        await past(life, job.id, MIB // 2)
        await fire.swarm.limit(
            job.film.name, MIB // 4
        )  # or it might be there before the disk is full
        try:
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while True:  # until there is no room, whoever else writes meanwhile
                    file.write(bytes(MIB))
            await sentence(fire, life, job.id, "room|space|full", "full disk")
        finally:
            filler.unlink()
            await fire.swarm.limit(job.film.name, fire.rate)
        await completes(fire, life, job)


async def read_only(fire: Fire, life: Life) -> None:
    """The media root is read-only for a while; nothing may be open then, so all is paused."""
    async with victim(fire, life) as job, fire.held(*(film.number for film in fire.films[1:])):
        await past(life, job.id, MIB // 2)
        running = [j for j in fire.jobs.values() if j.intent is Intent.RUN and j is not job]
        for other in (job, *running):
            await verb(fire, life, other, "pause")
        mounts.remount(fire.media, "ro")
        try:
            await verb(fire, life, job, "resume")
            await sentence(fire, life, job.id, "read-only|written|media folder", "read-only root")
        finally:
            mounts.remount(fire.media, "rw")
        await completes(fire, life, job)


async def vanished(fire: Fire, life: Life) -> None:
    """The media root is not there for a while, as a stick that was pulled."""
    async with victim(fire, life) as job, fire.held(*(film.number for film in fire.films[1:])):
        await past(life, job.id, MIB // 2)
        await verb(fire, life, job, "pause")
        with mounts.hidden(fire.media):
            await verb(fire, life, job, "resume")
            await sentence(fire, life, job.id, "media|read-only|written", "vanished root")
        await completes(fire, life, job)


# --- the process and its clock ------------------------------------------------------------------


async def stopped(fire: Fire, life: Life, seconds: float = 3.0, within: float = 10.0) -> None:
    """SIGSTOP, as a laptop that sleeps; progress again soon after."""
    async with victim(fire, life) as job, fire.held(*(film.number for film in fire.films[1:])):
        await fire.swarm.limit(job.film.name, MIB)
        await past(life, job.id, MIB // 2)
        before = (await life.server.job(job.id))["progress"]["bytesDownloaded"]
        os.kill(life.server.pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        os.kill(life.server.pid, signal.SIGCONT)
        # more than what waited in the socket: the peer must be spoken to again
        took = await past(life, job.id, before + 3 * MIB)
        fire.tally.notes.append(f"SIGSTOP for {seconds:g} s: progress again after {took:.1f} s")
        if took > within:
            fire.tally.breaks(f"after SIGSTOP progress came only after {took:.1f} s")
        await fire.swarm.limit(job.film.name, fire.rate)
        await completes(fire, life, job)


def faked_clock(stamp: Path) -> dict[str, str]:
    """Settings under which a process takes its time of day from a file."""
    stamp.write_text("+0")
    return {
        "LD_PRELOAD": str(_LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_CACHE_DURATION": "1",  # reading the file at each look makes all slow
        "DONT_FAKE_MONOTONIC": "1",
    }


def clock_missing() -> str:
    """Says that the library for false clocks is not installed, or nothing."""
    return "" if _LIBRARY.exists() else "libfaketime is not installed"


async def clock_jumps(fire: Fire, life: Life) -> None:
    """The time of day leaps forward and back while everything goes on."""
    stamp = Path(fire.settings["FAKETIME_TIMESTAMP_FILE"])
    assert _LIBRARY.name in Path(f"/proc/{life.server.pid}/maps").read_text(), "no false clock"
    async with victim(fire, life) as job:
        try:
            for leap in ("+2h", "-1d", "+0"):
                await past(life, job.id, 0)
                stamp.write_text(leap)
                await asyncio.sleep(1.1)  # until the process has read it
                before = (await life.server.job(job.id))["progress"]["bytesDownloaded"]
                took = await past(life, job.id, before)
                if took > 20:
                    fire.tally.breaks(f"after the clock's leap {leap} nothing for {took:.1f} s")
        finally:
            stamp.write_text("+0")
        await completes(fire, life, job)


# --- neighbours ---------------------------------------------------------------------------------


async def dead_tracker(fire: Fire, life: Life) -> None:
    """The only tracker is dead; when it lives again the job finds its peer."""
    film = fire.films[0]
    tracker = Tracker(film.host, film.port)
    await tracker.start()
    await tracker.stop()  # its port is known, and nobody is there
    lonely = replace(film, link=f"{film.torrent.magnet}&tr={tracker.url}")
    async with victim(fire, life, lonely) as job:
        await sentence(fire, life, job.id, "tracker", "dead tracker")
        await tracker.start()
        try:
            await completes(fire, life, job)
        finally:
            await tracker.stop()


async def bad_data(fire: Fire, life: Life) -> None:
    """One peer sends nothing but rubbish; an honest one comes later."""
    film = fire.films[0]
    folder = fire.folder / "rubbish"
    folder.mkdir(exist_ok=True)
    rubbish = bytes(byte ^ 0x55 for byte in range(256)) * (film.size // 256)
    (folder / film.torrent.name).write_bytes(rubbish)
    fire.liars += 1
    name, host = f"liar{fire.liars}", f"{film.host.rpartition('.')[0]}.{200 + fire.liars % 50}"
    port = await fire.swarm.seed(name, film.torrent.path, folder, host=host, blind=True)
    await fire.swarm.offline(film.name, away=True)
    both = replace(film, link=f"{film.magnet}&x.pe={host}:{port}")
    async with victim(fire, life, both) as job:
        try:
            await sentence(fire, life, job.id, "wrong|corrupt|damaged|bad|broken", "bad data")
        finally:
            await fire.swarm.offline(film.name, away=False)
        await completes(fire, life, job)
    wasted = (await fire.swarm.sent(name)).payload
    fire.tally.notes.append(f"a peer of bad data got rid of {wasted / MIB:.2f} MiB")
    if wasted > max(MIB, 10 * PIECE):
        fire.tally.breaks(f"{wasted} bytes of bad data were taken")
    await fire.swarm.offline(name, away=True)


# --- damage -------------------------------------------------------------------------------------


async def damaged(fire: Fire, life: Life) -> None:
    """While it is paused, its file loses its end and gets wrong bytes in the middle."""
    async with victim(fire, life) as job:
        for damage in (cut_short, flip):
            await past(life, job.id, MIB)
            await verb(fire, life, job, "pause")
            damage(next(fire.unfinished(job)))
            await verb(fire, life, job, "resume")
        await completes(fire, life, job)


def cut_short(path: Path) -> None:
    """The file loses half of what it has."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path: Path) -> None:
    """Every hundred thousandth byte becomes another one."""
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 100_000):
        data[at] ^= 0xFF
    path.write_bytes(data)

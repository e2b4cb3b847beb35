"""Makes an installation with 20 jobs in all states, as a fixture for later versions.

`python -m lab.old_state FILE.tar.xz` starts the installed program, lets it download from a seeder
on loopback, and ends it by SIGKILL. The archive gets `state/`, `media/` and `jobs.json`: what
the API said of each job. The films are pseudo-random bytes, so a test can make them again; the
seeder's address is written in the magnets.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

from tests.acceptance.backend import Backend
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import Torrent, make_film, make_torrent

HOST, PORT = "127.73.21.9", 46881
"""A loopback address that no other program uses, as the magnets keep it."""
PIECE = 16 * 1024
SIZE = 4 * PIECE
HALF = range(2)

WHOLE = ("whole-1", "whole-2", "whole-in-folder", "seeding-1", "seeding-2", "removed", "damaged")
PARTS = ("half-paused-1", "half-paused-2", "half-active", "half-canceled")
NEVER = ("queued-1", "queued-2", "queued-3", "queued-4", "paused-magnet", "active-magnet-1",
         "active-magnet-2", "canceled-magnet")  # fmt: skip


def make_torrents(folder: Path) -> dict[str, Torrent]:
    """Makes a film and a torrent for each name, the same ones each time."""
    made = {}
    for number, name in enumerate((*WHOLE, *PARTS, *NEVER)):
        make_film(folder / "films" / f"{name}.mkv", SIZE, seed=number)
        made[name] = make_torrent(
            folder / "films" / f"{name}.mkv", folder / f"{name}.torrent", piece_size=PIECE
        )
    return made


def seeder() -> LibtorrentPeer:
    """The peer that the magnets name."""
    return LibtorrentPeer(host=HOST, settings={"listen_interfaces": f"{HOST}:{PORT}"})


def magnet(torrent: Torrent) -> str:
    """A magnet with the seeder in it."""
    return f"{torrent.magnet}&x.pe={HOST}:{PORT}"


async def make(ours: Backend, torrents: dict[str, Torrent]) -> None:
    """Brings every job into its state."""
    async with seeder() as peer:
        for name in WHOLE:
            await peer.seed(torrents[name].path, torrents[name].folder)
        for name in PARTS:
            await peer.seed(torrents[name].path, torrents[name].folder, have=HALF)
        for name in WHOLE:
            await ours.start(magnet(torrents[name]), id=name, **options_of(name))
        for name in WHOLE:
            await ours.wait(name)
        for name in PARTS:
            await ours.start(magnet(torrents[name]), id=name)
            await ours.until(name, lambda event: event["progress"]["bytesDownloaded"] >= 2 * PIECE)
            if name != "half-active":
                await ours.verb("cancel" if "canceled" in name else "pause", {"id": name})
        await damage(ours)
    await adopt(ours)
    await ours.start("http://127.73.21.9:9/gone.torrent", id="retrying-link")
    await ours.until("retrying-link", lambda event: event["event"] == "retrying")
    for name in ("active-magnet-1", "active-magnet-2", *NEVER):
        await ours.start(magnet(torrents[name]), id=name)
    await ours.verb("pause", {"id": "paused-magnet"})
    await ours.verb("cancel", {"id": "canceled-magnet"})
    await ours.http.delete("/downloads/removed", params={"deleteFiles": "true"})
    await asyncio.sleep(2.5)  # progress is stored once a second


def options_of(name: str) -> dict[str, Any]:
    """The start options of a job."""
    if name.startswith("seeding"):
        return {"seedRatio": 5.0, "seedTime": 10**8}
    return {"folder": "Series/One"} if name == "whole-in-folder" else {}


async def damage(ours: Backend) -> None:
    """Changes a finished film and has it checked, so that its job fails."""
    film = ours.media / "damaged.mkv"
    film.write_bytes(b"x" * film.stat().st_size)
    answer = await ours.http.post("/downloads/damaged/recheck")
    assert answer.status_code == 200, answer.text
    await ours.until("damaged", lambda event: event["status"] == "failed")


async def adopt(ours: Backend) -> None:
    """Offers a film that was there before."""
    make_film(ours.media / "adopted.mkv", SIZE, seed=99)
    answer = await ours.http.post(
        "/torrents/create", json={"path": "adopted.mkv", "seed": True, "id": "adopted"}
    )
    assert answer.status_code in (200, 201), answer.text
    await ours.until("adopted", lambda event: event["status"] == "completed")


async def report(ours: Backend, folder: Path) -> None:
    """Writes what the API says of all jobs."""
    page = (await ours.http.get("/downloads", params={"limit": 100})).json()
    folder.joinpath("jobs.json").write_text(json.dumps(page, indent=1, sort_keys=True))


# --- what later versions make of it -----------------------------------------------------------


def opened_again(left: Path, folder: Path) -> None:
    """Puts a copy of what was left at a place where, as far as it knows, it always was."""
    shutil.copytree(left, folder)
    media = folder / "media"
    mark = {"path": str(media), "device": media.stat().st_dev, "mounted": False}
    (folder / "state" / "media-root.json").write_text(json.dumps(mark))


def stored_events(folder: Path) -> list[tuple[int, str, str]]:
    """Number, job and name of every event that is stored."""
    with closing(sqlite3.connect(folder / "state" / "chilly.db")) as database:
        return list(database.execute("SELECT id, job_id, event FROM events ORDER BY id"))


async def replayed(ours: Backend, last: int, since: int = 0) -> list[tuple[int, str, str]]:
    """What a listener who heard all up to one number is told, up to another."""
    told: list[tuple[int, str, str]] = []
    async with asyncio.timeout(30), ours.listen("/events", last_id=since) as events:
        async for event in events:
            told.append((event["_id"], event["id"], event["event"]))
            if event["_id"] >= last:
                break
    return told


def same_member(name: str, before: Any, now: Any) -> bool:
    """Whether a member of a job is what it was, as far as that does not move by itself."""
    if name in ("progress", "reason", "updatedAt", "nextAttemptAt", "error", "attempts", "status"):
        return True
    if name == "position":  # counts from 1 by now, and only what waits or runs
        return True
    if name == "options":  # more may be asked of a job by now
        return all(now[option] == value for option, value in before.items())
    return bool(before == now)


async def main(target: Path) -> None:
    """Makes everything and packs it into the target."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        torrents = make_torrents(folder / "made")
        settings = {"CHILLY_MAX_ACTIVE": "3", "CHILLY_METADATA_TIMEOUT": "86400"}
        ours = await stack.enter_async_context(Backend(folder / "installation", settings))
        await make(ours, torrents)
        await report(ours, folder / "installation")
        await ours.kill()
        with tarfile.open(target, "x:xz") as archive:
            for name in ("jobs.json", "state", "media"):
                archive.add(folder / "installation" / name, name, filter=without_owner)


def without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """An archive's member without the names and numbers of this machine's users."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

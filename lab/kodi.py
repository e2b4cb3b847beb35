"""Kodi reads a tree that we filed: 60 films and 5 series, from their NFO files alone.

`python -m lab.kodi` needs Debian's packages kodi and xvfb, and rights to make a network namespace,
in which Kodi runs without any network but loopback. It prints what Kodi took for something else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from chilly_movies.disk.roots import Root, RootedPath
from chilly_movies.disk.tree import DiskTree
from chilly_movies.library.filing import Filer
from chilly_movies.library.models import FileRole, Item, ItemFacts, ItemFile
from chilly_movies.library.naming import Naming
from chilly_movies.library.templates import NamingStyle
from chilly_movies.storage.library.memory import MemoryLibraryStore

KODI = Path("/usr/lib/x86_64-linux-gnu/kodi/kodi.bin")
DISPLAY = ":77"
PORT = 9090
PATHS = (("Movies/", "movies"), ("Shows/", "tvshows"))
FACTS = ItemFacts(overview="What happens.", runtime=61, rating=7.5, votes=12, genres=("Drama",),
                  cast=("A. Actor",), roles=("Part",), directors=("D. Director",))  # fmt: skip


async def file_all(folder: Path, style: NamingStyle) -> list[Item]:
    """Files the items of the tests in a tree below a folder."""
    from tests.unit.library.test_naming_rules import films, shows

    media, tree = folder / "media", folder / "tree"
    tree.mkdir()
    root = Root("media", media, media)

    def source(file: ItemFile) -> RootedPath:
        return RootedPath(root, PurePosixPath(file.path).parts)

    filer = Filer(DiskTree(tree), Naming(style), MemoryLibraryStore(), source)
    items = []
    for number, made in enumerate([*films(), *shows()]):
        files = []
        for file in made.files:
            path = media / str(number) / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"\0" * 1024)
            files.append(replace(file, path=str(path.relative_to(media)), size=1024))
        item = replace(made, files=tuple(files), facts=FACTS)
        await filer.file(await filer.plan(item))
        items.append(item)
    return items


@contextlib.contextmanager
def kodi(home: Path) -> Iterator[None]:
    """Kodi on a display of its own; what it needs ends with it."""
    env = {**os.environ, "HOME": str(home), "DISPLAY": DISPLAY, "LIBGL_ALWAYS_SOFTWARE": "1"}
    log = (home / "out").open("ab")
    running = [subprocess.Popen(["Xvfb", DISPLAY, "-screen", "0", "640x480x24"],
                                stdout=log, stderr=log)]  # fmt: skip
    try:
        time.sleep(2)
        running.append(
            subprocess.Popen([KODI, "--standalone"], env=env, cwd=home, stdout=log, stderr=log)
        )
        yield
    finally:
        for process in reversed(running):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()


def ask(method: str, **params: Any) -> Any:
    """One JSON-RPC call over TCP; notifications that come in between are passed over."""
    with socket.create_connection(("127.0.0.1", PORT), 20) as line:
        wanted = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        line.sendall(json.dumps(wanted).encode())
        line.settimeout(60)
        data, decoder = "", json.JSONDecoder()
        while True:
            data += line.recv(1 << 20).decode()
            while data:
                try:
                    found, end = decoder.raw_decode(data)
                except ValueError:
                    break
                data = data[end:].lstrip()
                if found.get("id") == 7:
                    if "error" in found:
                        raise RuntimeError(str(found["error"]))
                    return found["result"]


def wait_until_there(seconds: float = 150) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            ask("JSONRPC.Ping")
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(1)
        else:
            return


def name_sources(home: Path, tree: Path) -> None:
    """Tells Kodi what its folders hold, and that only files on the disk say more of it."""
    (database,) = (home / ".kodi/userdata/Database").glob("MyVideos*.db")
    with contextlib.closing(sqlite3.connect(database)) as known, known:
        for name, content in PATHS:
            known.execute(
                "INSERT INTO path (strPath, strContent, strScraper, scanRecursive, useFolderNames,"
                " strSettings, noUpdate, exclude) VALUES (?, ?, 'metadata.local', ?, 0, '', 0, 0)",
                (f"{tree}/{name}", content, 2147483647 if content == "movies" else 0),
            )


def scan() -> None:
    ask("VideoLibrary.Scan", showdialogs=False)
    time.sleep(5)
    while ask("XBMC.GetInfoBooleans", booleans=["Library.IsScanningVideo"])[
        "Library.IsScanningVideo"
    ]:
        time.sleep(1)


def wrong_films(items: list[Item]) -> list[str]:
    asked = ["title", "year", "uniqueid", "file", "plot", "genre", "director", "cast", "rating"]
    movies = ask("VideoLibrary.GetMovies", properties=asked)["movies"]
    by_id = {one["uniqueid"].get("tmdb"): one for one in movies}
    wrong = []
    for item in items:
        found = by_id.get(str(item.ref).rpartition(":")[2])
        if found is None or (found["title"], found["year"]) != (item.title, item.year):
            wrong.append(f"{item.title} ({item.year}): {found}")
        elif (found["plot"], found["genre"], found["director"]) != (
            FACTS.overview, [*FACTS.genres], [*FACTS.directors],
        ) or found["cast"][0]["role"] != "Part":  # fmt: skip
            wrong.append(f"{item.title}: {found}")
    return wrong


def wrong_shows(items: list[Item]) -> list[str]:
    asked = ["title", "uniqueid", "plot"]
    shows = {one["title"]: one for one in ask("VideoLibrary.GetTVShows", properties=asked).get(
        "tvshows", [])}  # fmt: skip
    wrong = []
    for item in items:
        if item.title not in shows:
            wrong.append(f"{item.title}: not there")
            continue
        found = ask("VideoLibrary.GetEpisodes", tvshowid=shows[item.title]["tvshowid"],
                    properties=["season", "episode", "title"])["episodes"]  # fmt: skip
        titles = {(one.season, one.number): one.title for one in item.episodes}
        wanted = {
            (file.season, number, titles.get((file.season or 0, number), f"Episode {number}"))
            for file in item.files
            if file.role is FileRole.MAIN
            for number in file.episodes
        }
        if (got := {(one["season"], one["episode"], one["title"]) for one in found}) != wanted:
            wrong.append(f"{item.title}: {sorted(got ^ wanted, key=str)}")
    return wrong


def look(style: NamingStyle) -> list[str]:
    folder = Path(tempfile.mkdtemp(prefix="kodi-"))
    try:
        items = asyncio.run(file_all(folder, style))
        (folder / ".kodi/userdata").mkdir(parents=True)
        with kodi(folder):
            wait_until_there()
            ask("Application.Quit")
            time.sleep(3)
        name_sources(folder, folder / "tree")
        with kodi(folder):
            wait_until_there()
            scan()
            return [*wrong_films(items[:60]), *wrong_shows(items[60:])]
    finally:
        shutil.rmtree(folder)


def main() -> None:
    if not KODI.exists() or shutil.which("Xvfb") is None:
        sys.exit("Kodi or Xvfb is missing: apt-get install kodi xvfb")
    if "--inside" not in sys.argv:  # Kodi asks the network for much; here it reaches nothing
        os.execvp("unshare", ["unshare", "-n", sys.executable, "-m", "lab.kodi", "--inside"])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for style in (NamingStyle.KODI, NamingStyle.JELLYFIN):
        wrong = look(style)
        print(f"{style}: 60 films and 5 series, {len(wrong)} wrong", *wrong, sep="\n  ", flush=True)
        if wrong:
            sys.exit(1)


if __name__ == "__main__":
    main()

"""Films of one name that end at once are all kept, and nothing is replaced (A18)."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chilly_movies.disk.files import free_name, publish

JOBS = 100


def test_a_hundred_films_of_one_name_that_end_at_once_are_all_kept(tmp_path: Path) -> None:
    media, ready = tmp_path / "media", threading.Barrier(JOBS)
    media.mkdir()
    (media / "Film.mkv").write_bytes(b"the user's own, and longer than all others")

    def end(number: int) -> None:
        staged = tmp_path / f"staged-{number}"
        staged.write_bytes(b"%d" % number)
        ready.wait(30)
        while True:
            try:
                publish(staged, media / free_name(media, "Film.mkv"))
            except FileExistsError:
                continue  # as the driver does: somebody took the name meanwhile
            return

    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(end, range(JOBS)))
    kept = {path.read_bytes() for path in media.iterdir()}
    assert kept == {
        b"the user's own, and longer than all others",
        *(b"%d" % n for n in range(JOBS)),
    }

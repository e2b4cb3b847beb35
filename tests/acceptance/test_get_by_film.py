"""`chilly get` thinks in films: each goes on, or is there, whatever is wanted beside it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from chilly_movies.tracker.http import run_tracker
from tests.acceptance.test_command_line import (
    assert_sentence,
    chilly,
    ended,
    engine,
    line,
    running,
)
from tests.peers.libtorrent_peer import LibtorrentPeer
from tests.peers.torrents import make_film, make_torrent, sha256_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]
MIB = 1 << 20


async def test_a_film_goes_on_and_a_finished_one_is_not_fetched_again(tmp_path: Path) -> None:
    """`get A B`, Ctrl-C once B is there, then each alone; meanwhile `doctor` sees what is left."""
    env = engine(tmp_path / "home", CHILLY_MEDIA_ROOT=str(tmp_path / "to"))
    (tmp_path / "home").mkdir()
    slow, quick = tmp_path / "from" / "slow.mkv", tmp_path / "from" / "quick.mkv"
    digest = make_film(slow, 16 * MIB)
    make_film(quick, MIB, seed=1)
    async with run_tracker() as announce, LibtorrentPeer() as peer:
        films = [make_torrent(one, one.with_suffix(".torrent"), trackers=[announce])
                 for one in (slow, quick)]  # fmt: skip
        keys = [await peer.seed(film.path, film.folder) for film in reversed(films)][::-1]
        await peer.set_upload_limit(2 * MIB)
        links = [film.magnet for film in films]
        async with running("get", *links, "--json", env=env) as process:
            share, done = 0.0, False
            while share < 25 or not done:
                said = json.loads(await line(process))
                if said["name"] == "slow.mkv":
                    share = said["progress"]["percent"]
                done = done or (said["name"], said["status"]) == ("quick.mkv", "completed")
            await peer.set_upload_limit(MIB // 8)
            assert_sentence(await chilly("get", links[0], env=env), 2, "Another 'chilly get'")
            process.send_signal(signal.SIGINT)
            assert "'chilly get' goes on from it" in (await ended(process)).err
        findings = (await chilly("doctor", "--json", env=env)).json["findings"]
        told = [one["message"] for one in findings]
        [unfinished] = [one for one in told if "% of 'slow.mkv'" in one]
        [folder] = [p for p in (tmp_path / "to" / ".incomplete").iterdir() if p.is_dir()
                    and any(p.iterdir())]  # fmt: skip
        assert str(folder) in unfinished
        assert not any("No job goes on" in one or "belong to no job" in one for one in told)
        assert any("remembers 1 finished films" in one for one in told)
        await peer.set_upload_limit(0)
        before = [(await peer.stats(key)).uploaded for key in keys]
        got = await chilly("get", str(films[0].path), env=env)  # the same film by its torrent file
        assert (got.code, sha256_of(tmp_path / "to" / "slow.mkv")) == (0, digest)
        again = await chilly("get", films[1].v1 or "", env=env)  # and by its hash alone
        assert again.out.splitlines()[-1] == f"quick.mkv lies at {tmp_path / 'to' / 'quick.mkv'}"
        after = [(await peer.stats(key)).uploaded for key in keys]
    assert after[0] < 16 * MIB + 4 * MIB
    assert after[1] == before[1]
    assert sorted(p.name for p in (tmp_path / "to").iterdir() if p.name[0] != ".") == [
        "quick.mkv", "slow.mkv",
    ]  # fmt: skip

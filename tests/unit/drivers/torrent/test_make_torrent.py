"""What goes into a torrent we make, and what is refused in one sentence."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from chilly_movies.drivers.mock.maker import MockTorrentMaker
from chilly_movies.drivers.torrent.making import content
from chilly_movies.drivers.torrent.making.create import make_torrent, with_websockets
from chilly_movies.drivers.torrent.making.maker import MediaTorrentMaker
from chilly_movies.errors import ChillyError, DiskError, InvalidRequest, PathNotFound
from chilly_movies.jobs.torrents import TorrentVersion, TorrentWish
from tests.peers.torrents import make_film, make_films

pytestmark = pytest.mark.anyio

NOBODY = 65534


def read(data: bytes) -> Any:
    return lt.bdecode(data)


@pytest.mark.parametrize(("version", "has"), [("v1", "1"), ("v2", "2"), ("hybrid", "12")])
async def test_a_version_has_its_hashes_and_no_others(
    tmp_path: Path, version: str, has: str
) -> None:
    make_film(tmp_path / "film.mkv", 40_000)
    made = await make_torrent(tmp_path / "film.mkv", version=version)
    assert (made.v1 is not None, made.v2 is not None) == ("1" in has, "2" in has)
    assert [f"urn:btih:{made.v1}" in made.magnet, f"urn:btmh:1220{made.v2}" in made.magnet] == [
        "1" in has, "2" in has,
    ]  # fmt: skip
    assert "dn=film.mkv" in made.magnet
    assert (made.name, made.size, made.piece_size) == ("film.mkv", 40_000, 16_384)


async def test_what_the_user_says_of_it_is_in_it(tmp_path: Path) -> None:
    make_films(tmp_path / "show", {"a.mkv": 20_000, "b.mkv": 30_000})
    trackers = ["udp://one.example:6969", "wss://two.example"]
    made = await make_torrent(
        tmp_path / "show", trackers=[*trackers, f" {trackers[0].upper()} "], web_seeds=["HTTPS://w.example/"],
        private=True, piece_size=32_768, name="Other", comment="by us",
    )  # fmt: skip
    torrent = read(made.data)
    assert torrent[b"announce-list"] == [[trackers[0].encode()], [trackers[1].encode()]]
    assert torrent[b"url-list"] in (b"https://w.example/", [b"https://w.example/"])
    assert torrent[b"comment"] == b"by us"
    assert torrent[b"created by"].startswith(b"Chilly Movies ")
    info = torrent[b"info"]
    assert (info[b"private"], info[b"name"], info[b"piece length"]) == (1, b"Other", 32_768)
    assert (made.name, made.piece_size) == ("Other", 32_768)
    assert [file.path for file in made.files] == ["show/a.mkv", "show/b.mkv"]


async def test_pad_files_are_not_shown(tmp_path: Path) -> None:
    make_films(tmp_path / "show", {"a.mkv": 20_000, "b.mkv": 30_000})
    made = await make_torrent(tmp_path / "show")
    assert b".pad" in made.data
    assert [(file.index, file.size) for file in made.files] == [(0, 20_000), (2, 30_000)]


async def test_hidden_files_and_symlinks_are_left_out(tmp_path: Path) -> None:
    make_films(
        tmp_path / "show",
        {"a.mkv": 1000, ".hidden": 10, ".git/x": 10, "sub/.x": 10, "sub/b.mkv": 10, "empty": 0},
    )
    make_film(tmp_path / "secret.txt", 1000)
    (tmp_path / "show" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "show" / "loop").symlink_to(tmp_path / "show", target_is_directory=True)
    os.mkfifo(tmp_path / "show" / "pipe")
    made = await make_torrent(tmp_path / "show", version="v1")
    assert [file.path for file in made.files] == ["show/a.mkv", "show/empty", "show/sub/b.mkv"]


async def test_the_same_folder_gives_the_same_hashes(tmp_path: Path) -> None:
    for place in ("one", "two"):
        make_films(tmp_path / place / "show", {"b": 10, "a": 20, "c/d": 30})
    one, two = [await make_torrent(tmp_path / place / "show") for place in ("one", "two")]
    assert (one.v1, one.v2) == (two.v1, two.v2)


def _nothing(_path: Path) -> None:
    pass


def _few_of_them(path: Path) -> None:
    make_films(path, {str(number): 1 for number in range(6)})


def _only_hidden(path: Path) -> None:
    make_films(path, {".a": 10})


def _with_a_file_called(name: str) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        path.mkdir(exist_ok=True)
        (path / name).write_text("x")

    return prepare


def _with_files_called(*names: str) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        for name in names:
            _with_a_file_called(name)(path)

    return prepare


@pytest.mark.parametrize(
    ("prepare", "kind", "words"),
    [
        (_nothing, PathNotFound, "There is nothing at 'it'."),
        (lambda path: path.mkdir(), InvalidRequest, "The folder 'it' holds nothing to share."),
        (_only_hidden, InvalidRequest, "The folder 'it' holds nothing to share."),
        (lambda path: path.touch(), InvalidRequest, "The file 'it' holds nothing to share."),
        (os.mkfifo, InvalidRequest, "'it' is neither a file nor a folder."),
        (_with_a_file_called("new\nline"), InvalidRequest, "cannot be part of a torrent"),
        (_with_a_file_called("back\\slash"), InvalidRequest, "cannot be part of a torrent"),
        (_with_a_file_called("\u202egnp.exe"), InvalidRequest, "cannot be part of a torrent"),
        (_with_a_file_called("latin\udcff"), InvalidRequest, "cannot be part of a torrent"),
        (
            _with_files_called("\udcff.mkv", "ok.mkv"),
            InvalidRequest,
            "The name '\ufffd.mkv' cannot",
        ),
        (
            _with_files_called("ok.mkv", "\udcff.mkv"),
            InvalidRequest,
            "The name '\ufffd.mkv' cannot",
        ),
        (
            _with_files_called("a.mkv", "\u202eb.mkv"),
            InvalidRequest,
            "The name '\ufffdb.mkv' cannot",
        ),
        (_with_a_file_called("it"), InvalidRequest, "only v1 can tell that"),
        (_few_of_them, InvalidRequest, "The folder has more than 2 files: only v1 takes those."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_shared_is_refused_in_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Path], None],
    kind: type[ChillyError],
    words: str,
) -> None:
    monkeypatch.setattr(content, "MAX_FILES", 5)
    prepare(tmp_path / "it")
    with pytest.raises(kind) as refused:
        await make_torrent(tmp_path / "it")
    sentence = str(refused.value)
    assert words in sentence
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert str(tmp_path) not in sentence


async def test_more_files_than_we_would_download_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "MAX_FILES", 5)
    _few_of_them(tmp_path / "it")
    with pytest.raises(InvalidRequest, match="more than 5 files"):
        await make_torrent(tmp_path / "it", version="v1")


@pytest.fixture
def without_privileges() -> Iterator[None]:
    """Permissions do not stop root, so step down."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("what", ["sub", "sub/b"])
@pytest.mark.usefixtures("without_privileges")
async def test_what_may_not_be_read_is_named(what: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder, "show")
        make_films(top, {"a": 10, "sub/b": 10})
        (top / what).chmod(0)
        with pytest.raises(InvalidRequest, match=f"'{Path(what).name}' cannot be read"):
            await make_torrent(top)
        (top / what).chmod(0o700)


async def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    make_film(tmp_path / "film.mkv", 40_000)
    found = content.read_content(tmp_path / "film.mkv")
    found.refuse_if_changed()
    make_film(tmp_path / "film.mkv", 40_001)
    with pytest.raises(DiskError, match=r"'film.mkv' was changed while it was read"):
        found.refuse_if_changed()
    (tmp_path / "film.mkv").unlink()
    with pytest.raises(DiskError):
        found.refuse_if_changed()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"version": "v3"}, "version"),
        ({"piece_size": 1000}, "pieceSize"),
        ({"piece_size": 1 << 28}, "pieceSize"),
        ({"piece_size": -16_384}, "pieceSize"),
        ({"trackers": ["ftp://x.example"]}, "trackers"),
        ({"trackers": ["http://"]}, "trackers"),
        ({"trackers": ["http://x.example:port"]}, "trackers"),
        ({"trackers": ["http://x.example/a b"]}, "trackers"),
        ({"trackers": ["http://ü.example"]}, "trackers"),
        ({"trackers": [f"http://x.example/{i}" for i in range(101)]}, "trackers"),
        ({"web_seeds": ["udp://x.example"]}, "webSeeds"),
        ({"comment": "x" * 2001}, "comment"),
        ({"name": "a/b"}, "path"),
        ({"name": ".."}, "path"),
        ({"name": ""}, "path"),
    ],
)
async def test_a_malformed_wish_names_its_field(
    tmp_path: Path, arguments: dict[str, Any], field: str
) -> None:
    make_film(tmp_path / "film.mkv", 1000)
    with pytest.raises(InvalidRequest) as refused:
        await make_torrent(tmp_path / "film.mkv", **arguments)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("missing.mkv", PathNotFound), ("film.mkv/below", PathNotFound), ("out", InvalidRequest),
        ("out/secret", InvalidRequest), ("../secret", InvalidRequest), ("/etc", InvalidRequest),
        ("loop", InvalidRequest), ("x" * 300, InvalidRequest), (".incomplete/a", InvalidRequest),
        ("", InvalidRequest), ("a\0b", InvalidRequest), ("\ud800", InvalidRequest),
    ],
)  # fmt: skip
async def test_the_maker_stays_in_the_media_folder(
    tmp_path: Path, path: str, kind: type[ChillyError]
) -> None:
    media = tmp_path / "media"
    make_film(media / "film.mkv", 1000)
    make_film(media / ".incomplete" / "a", 1000)
    make_film(tmp_path / "secret", 1000)
    (media / "out").symlink_to(tmp_path)
    (media / "loop").symlink_to(media / "loop")
    with pytest.raises(kind) as refused:
        await MediaTorrentMaker(media).make(TorrentWish(path))
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(
    ("private", "version", "added"),
    [(False, "hybrid", True), (False, "v1", True), (True, "v1", False), (False, "v2", False)],
)
async def test_websocket_trackers_are_added_where_browsers_may_come(
    tmp_path: Path, private: bool, version: str, added: bool
) -> None:
    make_film(tmp_path / "film.mkv", 1000)
    maker = MediaTorrentMaker(tmp_path, ["wss://t.example"])
    wish = TorrentWish("./film.mkv", TorrentVersion(version), ("udp://u.example:1",), (), private)
    made = await maker.make(wish)
    assert ("wss" in made.magnet) is added
    assert "udp" in made.magnet


def test_a_tracker_is_not_added_twice() -> None:
    given = with_websockets(["wss://a"], ["wss://a", "wss://b"], TorrentVersion.V1, private=False)
    assert given == ("wss://a", "wss://b")


async def test_the_mock_makes_the_same_torrent_of_the_same_path() -> None:
    maker = MockTorrentMaker()
    one, two = [await maker.make(TorrentWish("films/ü.mkv")) for _ in range(2)]
    assert one == two
    assert (one.name, read(one.data)[b"info"][b"name"].decode()) == ("ü.mkv", "ü.mkv")
    with pytest.raises(InvalidRequest):
        await maker.make(TorrentWish("../x"))

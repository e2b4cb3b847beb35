"""Sources become add parameters, metadata becomes values, and private addresses get lost."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.typed import Typed, read_typed
from chilly_movies.errors import InvalidSource, SourceRejected
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.options import Options
from tests.peers.torrents import Version, make_films, make_torrent

V1 = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a"
V2 = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e"
MAGNET = f"magnet:?xt=urn:btih:{V1}"
ADDRESSES = (
    MAGNET + "&x.pe=127.0.0.1:5&x.pe=1.1.1.1:6&x.pe=[::1]:7"
    "&tr=http://127.0.0.1/announce&tr=udp://tracker.example:1/announce&tr=http://0x7f.1/a"
    "&ws=http://192.168.1.1/film&ws=https://films.example/film"
)


def torrent(urn: str = "", data: bytes | None = None) -> Source:
    return Source(SourceType.TORRENT, urn, data)


def request(
    source: Source, options: Options | None = None, *, allow_private: bool = False, **more: Any
) -> p.AddRequest:
    folder = Path("/save")
    return p.AddRequest(
        source, folder, folder / "parts", options or Options(), allow_private=allow_private, **more
    )


def make(
    folder: Path, version: Version = "v1", names: Iterable[str] = ("a.mkv",), **more: Any
) -> bytes:
    """A torrent of a folder `film` with these files."""
    make_films(folder / "film", dict.fromkeys(names, 40_000))
    made = make_torrent(folder / "film", folder / "x.torrent", version=version, **more)
    return made.path.read_bytes()


def raw_torrent(**info: Any) -> bytes:
    """A v1 torrent as somebody hostile would write it."""
    content = {b"name": b"film", b"piece length": 16384, b"pieces": b"x" * 20, b"length": 16384}
    content |= {key.replace("_", " ").encode(): value for key, value in info.items()}
    info_dictionary: Any = {k: v for k, v in content.items() if v is not None}
    return lt.bencode({b"info": info_dictionary})


def files_of(data: bytes, priorities: Iterable[int] = ()) -> dict[int, tuple[str, int, bool]]:
    info = p.parse_torrent(data).ti
    assert info is not None
    facts = p.read_metadata(info, list(priorities)).facts
    return {file.index: (file.path, file.size, file.wanted) for file in facts.files}


@pytest.mark.parametrize(
    "urn",
    [
        MAGNET, MAGNET.upper().replace("MAGNET:?XT=URN:BTIH", "MAGNET:?xt=urn:btih"), V1,
        V1.upper(), f"urn:btih:{V1}", base64.b32encode(bytes.fromhex(V1)).decode(),
        base64.b32encode(bytes.fromhex(V1)).decode().lower(),
        f"magnet:?xt=urn:btih:{base64.b32encode(bytes.fromhex(V1)).decode()}",
        f"magnet:?dn=x&xt=urn:btih:{V1}&tr=udp://t.example:1",
    ],
)  # fmt: skip
def test_every_spelling_of_a_v1_hash_is_the_same_film(urn: str) -> None:
    assert p.identify(torrent(urn)).identities == (f"btih:{V1}",)


@pytest.mark.parametrize(
    "urn", [V2, V2.upper(), f"1220{V2}", f"urn:btmh:1220{V2}", f"magnet:?xt=urn:btmh:1220{V2}"]
)
def test_every_spelling_of_a_v2_hash_is_the_same_film(urn: str) -> None:
    assert p.identify(torrent(urn)).identities == (f"btmh:{V2}",)


def test_a_hybrid_magnet_has_both_identities() -> None:
    facts = p.identify(torrent(f"{MAGNET}&xt=urn:btmh:1220{V2}"))
    assert facts.identities == (f"btih:{V1}", f"btmh:{V2}")


def test_a_magnets_name_is_made_safe() -> None:
    assert p.identify(torrent(f"{MAGNET}&dn=..%2F..%2Fetc%2Fpasswd")).name == "_._.._etc_passwd"
    assert p.identify(torrent(MAGNET)).name is None
    broken = p.identify(torrent(f"{MAGNET}&dn=a%ff%feb")).name
    assert broken is None or broken.isprintable()


@pytest.mark.parametrize(
    "urn",
    [
        "x", "magnet:", "magnet:?", "magnet:?xt=urn:btih:", f"magnet:?xt=urn:btih:{V1[:-1]}",
        "magnet:?xt=urn:btih:" + "z" * 40, "magnet:?xt=urn:sha1:" + "A" * 32, "magnet:?dn=film",
        V1[:-1], V1 + "0", "z" * 40, V2[:-1], "ftp://films.example/x.torrent", "/etc/passwd",
        "file:///etc/passwd", "1" * 32, "magnet:?xt=urn:btmh:1220" + "g" * 64,
    ],
)  # fmt: skip
def test_what_names_no_torrent_is_refused_in_one_sentence(urn: str) -> None:
    with pytest.raises(InvalidSource) as refused:
        p.identify(torrent(urn))
    assert refused.value.field == "sourceUrn"
    assert "\n" not in str(refused.value)
    assert "libtorrent" not in str(refused.value)


def test_a_link_is_identified_by_itself_until_it_is_fetched() -> None:
    source = torrent("HTTPS://films.example/x.torrent")
    assert p.is_url(source)
    assert p.identify(source).identities == ("url:HTTPS://films.example/x.torrent",)
    assert not p.is_url(torrent("https://films.example/x.torrent", b"d"))


@pytest.mark.parametrize(
    ("version", "kinds"), [("v1", ["btih"]), ("v2", ["btmh"]), ("hybrid", ["btih", "btmh"])]
)
def test_a_torrent_file_of_each_version_is_identified(
    tmp_path: Path, version: Version, kinds: list[str]
) -> None:
    data = make(tmp_path, version, ["a.mkv", "b/c.srt"])
    facts = p.identify(torrent(data=data))
    assert [identity.split(":")[0] for identity in facts.identities] == kinds
    assert (facts.name, facts.files) == ("film", ())
    magnet = lt.make_magnet_uri(lt.load_torrent_buffer(data))
    assert p.identify(torrent(magnet)).identities == facts.identities


@pytest.mark.parametrize("version", ["v1", "v2", "hybrid"])
def test_metadata_lists_the_films_files_and_no_padding(tmp_path: Path, version: Version) -> None:
    found = files_of(make(tmp_path, version, ["a.mkv", "b/c.srt"]))
    assert sorted(found.values()) == [("film/a.mkv", 40_000, True), ("film/b/c.srt", 40_000, True)]


def test_file_indices_count_padding_as_the_torrent_does() -> None:
    pad = {b"length": 6384, b"path": [b".pad", b"6384"], b"attr": b"p"}
    files = [{b"length": 10_000, b"path": [b"a"]}, pad, {b"length": 16_384, b"path": [b"b"]}]
    data = raw_torrent(length=None, files=files, pieces=b"x" * 40)
    assert files_of(data) == {0: ("film/a", 10_000, True), 2: ("film/b", 16_384, True)}


def test_files_of_priority_0_are_unwanted_and_the_rest_is_wanted(tmp_path: Path) -> None:
    data = make(tmp_path, names=["a", "b", "c"])
    assert [wanted for _, _, wanted in files_of(data, [4, 0]).values()] == [True, False, True]
    with pytest.raises(SourceRejected, match="None of the chosen files"):
        files_of(data, [0, 0, 0])


@pytest.mark.parametrize(
    "parts",
    [[b"..", b"..", b"etc", b"passwd"], [b"/etc/passwd"], [b"a\\..\\b"], [b".hidden"], [b"con"],
     [b"a\x00b\n"], [b"\xff\xfe"], [b"x" * 400 + b".mkv"], [b"a\xe2\x80\xaegnp.exe"]],
)  # fmt: skip
def test_hostile_names_in_a_torrent_stay_below_its_folder(parts: list[bytes]) -> None:
    files = [{b"length": 10_000, b"path": parts}, {b"length": 6_384, b"path": [b"b"]}]
    for path, _, _ in files_of(raw_torrent(length=None, files=files)).values():
        components = path.split("/")
        assert components[0] == "film"
        assert all(c not in ("", ".", "..") and len(c.encode()) < 230 for c in components)
        assert not any(c.startswith(".") or "\\" in c or "\0" in c for c in components)


def test_two_files_that_a_case_blind_disk_takes_for_one_are_told_apart() -> None:
    files = [{b"length": 10_000, b"path": [b"A"]}, {b"length": 6_384, b"path": [b"a"]}]
    found = files_of(raw_torrent(length=None, files=files))
    assert len({path.casefold() for path, _, _ in found.values()}) == 2


@pytest.mark.parametrize(
    "data",
    [b"", b"d", b"de", b"x" * 100, b"i5e", b"l" * 5000 + b"e" * 5000, b"d4:infodee",
     raw_torrent(pieces=b"x" * 19), raw_torrent(name=None), raw_torrent(piece_length=0),
     raw_torrent(length=-1), raw_torrent(length=2**62)],
)  # fmt: skip
def test_what_is_no_torrent_file_is_refused_and_the_part_is_named(data: bytes) -> None:
    with pytest.raises(InvalidSource) as refused:
        p.identify(torrent(data=data))
    assert refused.value.field == "torrent"
    assert "\n" not in str(refused.value)


def test_a_torrent_with_too_many_pieces_or_files_is_refused() -> None:
    pieces = 200_001
    with pytest.raises(InvalidSource):
        p.parse_torrent(raw_torrent(length=16384 * pieces, pieces=b"x" * 20 * pieces))
    many = [{b"length": 1, b"path": [b"%d" % i]} for i in range(20_001)]
    with pytest.raises(InvalidSource, match="more than 20000 files"):
        p.parse_torrent(raw_torrent(length=None, files=many, pieces=b"x" * 40))


def test_added_torrents_wait_for_us_and_lie_where_we_say() -> None:
    made = p.build(request(torrent(MAGNET), Options(download_limit=5, upload_limit=0)))
    assert made.flags & lt.torrent_flags.paused
    assert not made.flags & lt.torrent_flags.auto_managed
    assert made.flags & lt.torrent_flags.duplicate_is_error
    assert (made.save_path, made.part_file_dir) == ("/save", "/save/parts")
    assert (made.download_limit, made.upload_limit) == (5, -1)


def test_private_addresses_are_dropped_from_a_magnet() -> None:
    made = p.build(request(torrent(ADDRESSES)))
    assert made.trackers == ["udp://tracker.example:1/announce"]
    assert len(made.tracker_tiers) == 1
    assert made.url_seeds == ["https://films.example/film"]
    assert made.peers == [("1.1.1.1", 6)]


def test_private_addresses_stay_if_the_user_allows_them() -> None:
    made = p.build(request(torrent(ADDRESSES), allow_private=True))
    assert (len(made.trackers), len(made.url_seeds), len(made.peers)) == (3, 2, 3)


def test_private_addresses_are_dropped_from_a_torrent_file(tmp_path: Path) -> None:
    trackers = ["http://10.0.0.1/announce", "http://tracker.example/announce"]
    data = make(tmp_path, trackers=trackers, web_seeds=["http://localhost/f", "http://f.example/"])
    made = p.build(request(torrent(data=data)))
    assert made.trackers == trackers[1:]
    assert made.url_seeds == ["http://f.example/"]


def test_private_nodes_are_dropped_wherever_they_are_named() -> None:
    decoded: Any = lt.bdecode(raw_torrent())
    decoded[b"nodes"] = [[b"127.0.0.1", 5], [b"node.example", 6], [b"192.168.0.1", 7]]
    assert p.build(request(torrent(data=lt.bencode(decoded)))).dht_nodes == [("node.example", 6)]
    magnet = MAGNET + "&dht=10.0.0.1:5&dht=1.1.1.1:6"
    assert p.build(request(torrent(magnet))).dht_nodes == [("1.1.1.1", 6)]


def test_the_lists_of_trackers_and_web_seeds_are_capped() -> None:
    lists = (f"&tr=http://t{i}.example/a&ws=http://w{i}.example/f" for i in range(300))
    urn = MAGNET + "".join(lists)
    made = p.build(request(torrent(urn)))
    assert (len(made.trackers), len(made.tracker_tiers), len(made.url_seeds)) == (100, 100, 20)
    assert made.trackers[0] == "http://t0.example/a"


def test_a_magnets_own_file_selection_counts_unless_the_caller_chose() -> None:
    magnet = torrent(MAGNET + "&so=0,2")
    assert p.build(request(magnet)).file_priorities == [4, 0, 4]
    made = p.build(request(magnet, Options(files=(1, 3))))
    assert made.file_priorities == [0, 4, 0, 4]
    assert made.flags & lt.torrent_flags.default_dont_download


def resume_data(source: Source) -> bytes:
    made = p.build(request(source, allow_private=True))
    made.have_pieces = [True]
    return bytes(lt.write_resume_data_buf(made))


def test_resume_data_brings_back_what_is_there_unless_it_is_not_trusted() -> None:
    source = torrent(data=raw_torrent())
    resume = resume_data(source)
    trusted = p.build(request(source, resume=resume))
    assert list(trusted.have_pieces)[:2] == [True, False]
    assert list(p.build(request(source, resume=resume, trust_resume=False)).have_pieces) == []
    assert trusted.ti is not None


def test_private_addresses_in_resume_data_are_dropped_too() -> None:
    source = torrent(ADDRESSES)
    made = p.build(request(source, resume=resume_data(source)))
    assert made.trackers == ["udp://tracker.example:1/announce"]
    assert made.peers == [("1.1.1.1", 6)]


def test_what_was_left_out_is_named_without_what_may_be_a_key() -> None:
    hidden = torrent(MAGNET + "&tr=http://10.0.0.1:8000/announce?key=s3cret&x.pe=192.168.1.5:6881")
    dropped = p.prepare(request(hidden))[1]
    assert dropped.why == (
        "the tracker http://10.0.0.1:8000 and 1 more address are private and left out "
        "(CHILLY_ALLOW_PRIVATE_ADDRESSES=true lets it in)"
    )
    plain = p.prepare(request(torrent(MAGNET + "&tr=ws://tracker.example:8000/announce")))[1]
    assert plain.why is not None
    assert "CHILLY_WEBTORRENT_TRACKERS" in plain.why
    chosen = torrent(MAGNET + "&tr=ws://localhost:8000/announce")
    mine = request(chosen, websockets=("ws://localhost:8000/announce",))
    assert p.prepare(mine)[1].why is None
    assert p.prepare(request(torrent(ADDRESSES), allow_private=True))[1].why is None


def test_what_was_left_out_is_kept_in_the_resume_data_and_passes_the_gate_anew() -> None:
    """Of a link to a torrent file nothing else is kept."""
    source = torrent(data=raw_torrent())
    link, private = torrent("http://films.example/x.torrent"), "http://10.0.0.1:8000/announce"
    made = p.build(request(source, allow_private=True))
    made.trackers, made.tracker_tiers = [private], [0]
    made.url_seeds = ["http://10.0.0.1/film"]
    first, dropped = p.prepare(request(link, resume=bytes(lt.write_resume_data_buf(made))))
    assert (first.trackers, first.url_seeds) == ([], [])
    dropped.put_back(first)
    stored = bytes(lt.write_resume_data_buf(first))
    assert p.build(request(link, resume=stored)).trackers == []
    healed = p.build(request(link, resume=stored, allow_private=True))
    assert (healed.trackers, healed.url_seeds) == ([private], ["http://10.0.0.1/film"])


def test_resume_data_of_older_versions_gets_back_what_the_source_names() -> None:
    source = torrent(ADDRESSES)
    old = bytes(lt.write_resume_data_buf(p.build(request(source))))
    assert len(p.build(request(source, resume=old)).trackers) == 1
    healed = p.build(request(source, resume=old, allow_private=True))
    assert (len(healed.trackers), len(healed.url_seeds), len(healed.peers)) == (3, 2, 3)


def test_a_swarm_with_a_typed_private_address_is_kept_to_what_was_typed() -> None:
    typed = Typed(("http://10.0.0.1:8000/announce",), (("10.0.0.2", 6881),), alone=True)
    made, dropped = p.prepare(request(torrent(ADDRESSES + "&dht=1.1.1.1:6"), typed=typed))
    assert (made.trackers, made.peers) == ([typed.trackers[0]], [("10.0.0.2", 6881)])
    assert (made.url_seeds, made.dht_nodes) == ([], [])
    assert made.flags & lt.torrent_flags.disable_dht
    assert made.flags & lt.torrent_flags.disable_pex
    assert dropped.why is None
    dropped.put_back(made)
    later = p.build(request(torrent(ADDRESSES), resume=bytes(lt.write_resume_data_buf(made))))
    assert later.trackers == ["udp://tracker.example:1/announce"]
    assert not later.flags & (lt.torrent_flags.disable_dht | lt.torrent_flags.disable_pex)


def test_a_typed_public_tracker_is_asked_besides_the_others_in_a_tier_of_its_own() -> None:
    typed = Typed(("http://typed.example/announce",))
    made = p.build(request(torrent(ADDRESSES), typed=typed))
    assert made.trackers == ["udp://tracker.example:1/announce", typed.trackers[0]]
    assert len(set(made.tracker_tiers)) == 2


@pytest.mark.parametrize(
    ("typed", "alone"),
    [
        ("http://10.0.0.1:8000/announce", True),
        ("http://localhost:8000/announce", True),
        ("udp://[::1]:8000", True),
        ("http://1.1.1.1/announce", False),
        ("wss://[2606:4700:4700::1111]/", False),
    ],
)
async def test_only_a_private_address_keeps_the_swarm_to_what_was_typed(
    typed: str, alone: bool
) -> None:
    allowed: Any = {"own_ports": {3000}, "allow_private": False}
    assert (await read_typed([typed], [], **allowed)).alone is alone
    assert not (await read_typed([typed], [], **{**allowed, "allow_private": True})).alone
    assert (await read_typed([], ["192.168.1.5:6881"], **allowed)).alone
    assert not (await read_typed([], ["[2606:4700:4700::1111]:6881"], **allowed)).alone


@pytest.mark.parametrize("resume", [b"", b"nonsense", b"de", b"\xff" * 1000])
def test_useless_resume_data_is_as_good_as_none(resume: bytes) -> None:
    made = p.build(request(torrent(MAGNET), resume=resume))
    assert str(made.info_hashes.v1) == V1


def test_renames_win_over_what_the_resume_data_says() -> None:
    made = p.build(request(torrent(data=raw_torrent()), renames={0: "film (2)"}))
    assert dict(made.renamed_files) == {0: "film (2)"}


def test_networks_are_told_to_the_engine_as_first_and_last_address() -> None:
    assert list(p.networks(["10.0.0.0/8", "fc00::/7"])) == [
        ("10.0.0.0", "10.255.255.255"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ]


def test_the_engines_words_come_without_its_code() -> None:
    assert p.plain(RuntimeError("invalid torrent [libtorrent:5]")) == "invalid torrent"
    assert p.plain(RuntimeError("broken. [system:2] ")) == "broken"


def test_a_few_websocket_trackers_are_kept_each_in_a_tier_of_its_own() -> None:
    urls = [f"wss://t{i}.example" for i in range(20)]
    params = p.build(request(torrent(MAGNET + "".join(f"&tr={url}" for url in urls))))
    assert params.trackers == urls[:5]
    assert len(set(params.tracker_tiers)) == 5


# --- what a torrent file spells its own way -----------------------------------------------------


def with_members(**members: Any) -> bytes:
    """A torrent file with these members beside `info`."""
    torrent_file: Any = lt.bdecode(raw_torrent())
    torrent_file |= {key.replace("_", "-").encode(): value for key, value in members.items()}
    return lt.bencode(torrent_file)


def test_web_seeds_of_a_torrent_file_are_not_encoded_twice() -> None:
    seeds = [b"http://h.example/a%20[x].mkv", b"HTTP://h.example/f\r\n", "http://h.example/é".encode(),
             b"http://h.example/\xe9", 7]  # fmt: skip
    made = p.build(request(torrent(data=with_members(url_list=seeds))))
    assert made.url_seeds == [
        "http://h.example/a%20%5Bx%5D.mkv", "http://h.example/f", "http://h.example/%C3%A9",
        "http://h.example/%E9",
    ]  # fmt: skip
    one = p.build(request(torrent(data=with_members(url_list=b"http://h.example/a%20b"))))
    assert one.url_seeds == ["http://h.example/a%20b"]


def test_a_web_seed_of_several_files_is_a_folder() -> None:
    decoded: Any = lt.bdecode(raw_torrent())
    files = [{b"length": 8192, b"path": [name]} for name in (b"a", b"b")]
    decoded[b"info"] = {**decoded[b"info"], b"files": files}
    del decoded[b"info"][b"length"]
    decoded[b"url-list"] = [b"http://h.example/a%20b", b"http://h.example/c/"]
    made = p.build(request(torrent(data=lt.bencode(decoded))))
    assert made.url_seeds == ["http://h.example/a%20b/", "http://h.example/c/"]


def test_trackers_of_a_torrent_file_may_have_blanks_and_capitals() -> None:
    one = p.build(request(torrent(data=with_members(announce=b" http://h.example/announce \r\n"))))
    assert one.trackers == ["http://h.example/announce"]
    tiers = [[b"HTTP://H.example/A", b"http://h.example/\xff "], 5, [b"udp://h.example:1"], b"x"]
    data = with_members(announce_list=tiers, announce=b"http://other.example/")
    many = p.build(request(torrent(data=data)))
    assert many.trackers == ["http://h.example/A", "http://h.example/%FF", "udp://h.example:1"]
    assert many.tracker_tiers == [0, 0, 2]


@pytest.mark.parametrize(
    "broken",
    [
        raw_torrent().replace(b"6:pieces", b"6:pieces20:" + b"y" * 20 + b"6:pieces", 1),
        raw_torrent().replace(b"i16384e", b"i016384e", 1),
        raw_torrent().replace(b"4:name", b"04:name", 1),
        raw_torrent()[:-1] + b"1:xi-0ee",
        raw_torrent()[:-1] + b"4:infodee",
    ],
    ids=["a key twice", "a zero in a number", "a zero in a length", "minus zero", "info twice"],
)
def test_a_torrent_that_two_programs_would_read_differently_is_refused(broken: bytes) -> None:
    with pytest.raises(InvalidSource, match=r"usable|names no files") as refused:
        p.identify(torrent(data=broken))
    assert refused.value.field == "torrent"


def test_what_was_only_written_in_another_order_or_goes_on_behind_its_end_is_taken() -> None:
    unsorted = raw_torrent().replace(b"6:lengthi16384e", b"", 1)[:-2] + b"6:lengthi16384eee"
    assert p.identify(torrent(data=unsorted)).name == "film"
    assert p.identify(torrent(data=raw_torrent() + b"\n")).name == "film"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            b"\n<!DOCTYPE html><html><title>Log in</title>",
            "it is a web page, perhaps one that asks",
        ),
        (b"\xef\xbb\xbf<html>", "it is a web page"),
        (b'{"error": "not found"}', "it does not begin like one"),
        (b"", "it does not begin like one"),
        (
            raw_torrent(length=16384 * 200_001, pieces=b"x" * 20 * 200_001),
            "more than 200000 pieces",
        ),
        (b"d10:magnet-uri%d:%se" % (len(MAGNET), MAGNET.encode()), "names no files"),
    ],
    ids=["login page", "with BOM", "JSON", "empty", "pieces", "only a magnet"],
)
def test_what_is_sent_instead_of_a_torrent_is_called_by_its_name(
    data: bytes, sentence: str
) -> None:
    with pytest.raises(InvalidSource, match=sentence):
        p.identify(torrent(data=data))


@pytest.mark.parametrize("version", ["v1", "hybrid", "v2"])
def test_ordinary_torrents_are_read_without_a_change(tmp_path: Path, version: Version) -> None:
    seeds, trackers = ["http://f.example/a%20b/"], ["udp://t.example:1", "http://t.example/a"]
    data = make(tmp_path, version, ["a.mkv", "b.mkv"], trackers=trackers, web_seeds=seeds)
    made = p.build(request(torrent(data=data)))
    assert (made.trackers, made.url_seeds, made.tracker_tiers) == (trackers, seeds, [0, 1])


# --- names --------------------------------------------------------------------------------------


def named(top: bytes, *files: bytes, **members: Any) -> list[str]:
    """The paths of a torrent with these names, as they will be on the disk."""
    decoded: Any = lt.bdecode(raw_torrent(name=top))
    info = decoded[b"info"]
    if files:
        del info[b"length"]
        info[b"files"] = [{b"length": 10, b"path": [name]} for name in files]
    decoded |= {key.encode(): value for key, value in members.items()}
    data = lt.bencode(decoded)
    parsed = p.parse_torrent(data).ti
    assert parsed is not None
    found = p.read_metadata(parsed, encoding=p.encoding_of(torrent(data=data)))
    assert p.identify(torrent(data=data)).name == found.facts.name
    return [found.facts.name or "", *found.disk_paths.values()]


def test_names_in_an_old_charset_are_read_as_the_torrent_says_or_as_they_all_fit() -> None:
    assert named("Amélie.mkv".encode("cp1252")) == ["Amélie.mkv"] * 2
    assert named("電影.mkv".encode("gbk"), encoding=b"GBK") == ["電影.mkv"] * 2
    assert named("Серия".encode("koi8-r"), encoding=b"koi8-r")[0] == "Серия"
    names = ["Ирония судьбы 1.avi", "Ирония судьбы 2.avi", "Субтитры.srt"]
    folder = named("Ирония судьбы".encode("cp1251"), *(name.encode("cp1251") for name in names))
    assert folder == ["Ирония судьбы", *(f"Ирония судьбы/{name}" for name in names)]


def test_a_name_that_is_utf8_beside_one_that_is_not_keeps_its_letters() -> None:
    assert named(b"film", "é.mkv".encode(), "Für Alle.mkv".encode("cp1252"))[1:] == [
        "film/é.mkv", "film/Für Alle.mkv"]  # fmt: skip


@pytest.mark.parametrize("said", [b"hex", b"idna", b"unicode_escape", b"\xff\x00", b"utf-8", 7])
def test_an_encoding_that_is_none_is_not_believed(said: object) -> None:
    assert named("Für Ärzte.mkv".encode("cp1252"), encoding=said) == ["Für Ärzte.mkv"] * 2


def test_a_charset_hides_no_way_out_of_the_folder() -> None:
    for path in named(b"caf\xe9", b"..", b"\xe9/../../x", b"\xe9\x00.mkv")[1:]:
        assert path.startswith("café/")
        assert not {"", ".", ".."} & set(path.split("/"))
        assert path.count("/") == 1
    assert named(b"caf\xe9", b"..", b"")[1:] == ["café/_", "café/_ (2)"]


def test_a_file_in_the_way_of_a_folder_gets_a_number() -> None:
    for names in ([[b"a"], [b"a", b"b.mkv"]], [[b"A", b"b.mkv"], [b"a"]]):
        files = [{b"length": 8192, b"path": path} for path in names]
        found = {path for path, _, _ in files_of(raw_torrent(length=None, files=files)).values()}
        assert any(path.casefold() == "film/a/b.mkv" for path in found)
        assert "film/a (2)" in found

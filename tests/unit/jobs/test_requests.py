"""What a caller of `start` may ask for, and which field is named when it may not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chilly_movies.errors import InvalidRequest, UnsupportedSource
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.jobs.options import Options
from chilly_movies.jobs.requests import MAX_TORRENT_BYTES, check_id, missing_source
from chilly_movies.jobs.start_request import parse

URN = "magnet:?xt=urn:btih:" + "a" * 40


def refused(**wishes: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(wishes)
    assert str(caught.value).endswith(".")
    return caught.value


def test_the_seeds_mapping_is_understood_and_its_status_ignored() -> None:
    request = parse({"id": "1", "sourceType": "torrent", "sourceUrn": URN, "status": "queued"})
    assert (request.id, request.source) == ("1", Source(SourceType.TORRENT, URN))
    assert request.options == Options()


def test_wire_and_python_spelling_mean_the_same() -> None:
    wire = parse(
        {"id": "1", "sourceType": "http", "sourceUrn": "x", "files": [3, 1, 3], "seedRatio": 2,
         "downloadLimit": 5, "uploadLimit": 6, "seedTime": 7}
    )  # fmt: skip
    python = parse(
        {"id": "1", "source_type": SourceType.HTTP, "source_urn": "x", "files": (1, 3),
         "seed_ratio": 2.0, "download_limit": 5, "upload_limit": 6, "seed_time": 7}
    )  # fmt: skip
    assert wire == python
    assert wire.options == Options((1, 3), 5, 6, 2.0, 7)


def test_none_counts_as_not_given() -> None:
    assert parse({"id": "1", "sourceUrn": URN, "files": None, "torrent": None}).source is not None
    assert parse({"id": "1", "sourceUrn": None}).source is None


def test_an_absent_id_is_made_up_and_never_twice_the_same() -> None:
    made = [parse({"sourceUrn": URN}).job_id for _ in range(50)]
    assert len(set(made)) == 50
    assert all(check_id(job_id) == job_id for job_id in made)


def test_an_id_alone_is_a_wish_without_a_source() -> None:
    assert parse({"id": "known"}).source is None


def test_nothing_at_all_is_refused_and_the_source_is_named() -> None:
    assert refused().field == "sourceUrn"
    assert missing_source("x").field == "sourceUrn"


@pytest.mark.parametrize("job_id", ["a", "1", "A.b_c:d-e", "x" * 128, "...", ".a", "-"])
def test_ids_of_the_allowed_form_are_taken_as_they_are(job_id: str) -> None:
    assert check_id(job_id) == job_id


@pytest.mark.parametrize(
    "job_id",
    ["", ".", "..", "x" * 129, "a/b", "a\\b", "a b", "é", "a\n", "\n", "a\x00", "%2e", 1, None,
     True, b"a", ["a"], "a\u202e", "１"],
)  # fmt: skip
def test_any_other_id_is_refused_and_named(job_id: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_id(job_id)
    assert caught.value.field == "id"


@given(st.text(max_size=200))
def test_an_id_that_passes_is_no_path(job_id: str) -> None:
    try:
        check_id(job_id)
    except InvalidRequest:
        return
    assert job_id.isascii()
    assert 1 <= len(job_id) <= 128
    assert not set(job_id) & set("/\\ \0\n%")
    assert job_id not in (".", "..")


@pytest.mark.parametrize("kind", [5, True, ["torrent"], "x" * 33])
def test_a_source_type_that_can_be_none_is_refused_and_named(kind: object) -> None:
    assert refused(id="1", sourceType=kind, sourceUrn=URN).field == "sourceType"


@pytest.mark.parametrize("kind", ["", "a\nb", "a\u202eb"])
def test_a_source_type_that_no_driver_can_have_is_refused_and_none_offered_that_may_not_be_there(
    kind: object,
) -> None:
    problem = refused(id="1", sourceType=kind, sourceUrn=URN)
    assert isinstance(problem, UnsupportedSource)
    assert problem.field == "sourceType"
    assert [known for known in SourceType if known in str(problem)] == [SourceType.TORRENT]


@pytest.mark.parametrize("kind", [*SourceType, "disc", "My Driver 2"])
def test_every_source_type_that_a_driver_can_have_is_read(kind: str) -> None:
    request = parse({"sourceType": str(kind), "sourceUrn": " x "})
    assert request.source == Source(kind, "x")


@pytest.mark.parametrize(
    "urn", ["", "   ", "x" * 65_537, 5, b"x", ["x"], "a\nb", "a\x00", "\ud800", "a\u202eb"]
)
def test_a_source_that_is_no_link_is_refused_and_named(urn: object) -> None:
    assert refused(id="1", sourceUrn=urn).field == "sourceUrn"


@pytest.mark.parametrize("kind", [None, "http", "torrent"])
@pytest.mark.parametrize("sign", ["/", "?", "#", "\\"])
def test_a_password_that_is_not_encoded_makes_no_part_of_a_link_that_is_shown(
    sign: str, kind: str | None
) -> None:
    link = f"http://ada:sec{sign}ret@films.example/film.mkv"
    for wish in ({"sourceUrn": link}, {"sourceUrn": URN, "candidates": [{"sourceUrn": link}]}):
        error = refused(**wish if kind is None else {**wish, "sourceType": kind})
        assert "ret" not in str(error)
    source = parse({"sourceUrn": f"http://ada:sec%{ord(sign):X}ret@films.example/film.mkv"}).source
    assert source is not None
    assert source.urn == "http://films.example/film.mkv"


@pytest.mark.parametrize(
    "link",
    [
        "http://[::1]:80/a", "https://u:p@[fe80::1%25eth0]/a@b", "http://h?a@b:c", "HTTP://h:80#x",
        "http://h:/a@b", "http://h/u:p/q@x", "http://h:80\\@films.example/a",
    ],
)  # fmt: skip
def test_other_links_are_taken_as_they_are(link: str) -> None:
    assert parse({"sourceUrn": link}).source is not None


def test_the_longest_source_is_taken() -> None:
    assert parse({"sourceUrn": "x" * 65_536}).source is not None


def test_a_torrent_file_needs_no_link_and_may_have_one() -> None:
    assert parse({"torrent": b"d"}).source == Source(SourceType.TORRENT, "", b"d")
    both = parse({"torrent": b"d", "sourceUrn": "x"})
    assert both.source == Source(SourceType.TORRENT, "x", b"d")


@pytest.mark.parametrize("data", ["text", 5, [1], b"x" * (MAX_TORRENT_BYTES + 1)])
def test_a_torrent_file_is_bytes_and_not_too_many(data: object) -> None:
    assert refused(torrent=data).field == "torrent"


def test_a_torrent_file_of_another_source_type_is_refused() -> None:
    assert refused(torrent=b"d", sourceType="http").field == "torrent"


@pytest.mark.parametrize("files", [[], "0", 0, {"0": 1}, [-1], [1.0], ["1"], [True], [20_000],
                                   [2**31], [0] * 20_001, {1}])  # fmt: skip
def test_files_are_a_list_of_indices_a_torrent_can_have(files: object) -> None:
    assert str(refused(sourceUrn=URN, files=files).field).partition(".")[0] == "files"


@pytest.mark.parametrize("name", ["downloadLimit", "uploadLimit", "seedTime"])
@pytest.mark.parametrize("value", [-1, 1.0, 0.5, "1", True, 2**53, float("nan"), [1]])
def test_limits_are_whole_numbers_from_0_on(name: str, value: object) -> None:
    assert refused(sourceUrn=URN, **{name: value}).field == name


@pytest.mark.parametrize(
    "value", [-0.1, -1, "1", True, float("nan"), float("inf"), 10**400, 1001, [1]]
)
def test_the_seed_ratio_is_a_number_from_0_to_1000(value: object) -> None:
    assert refused(sourceUrn=URN, seedRatio=value).field == "seedRatio"


@pytest.mark.parametrize("value", [0, 0.0, 1, 1.5, 1000])
def test_zero_is_a_value_and_not_an_absence(value: float) -> None:
    options = parse(
        {"sourceUrn": URN, "seedRatio": value, "seedTime": 0, "downloadLimit": 0, "uploadLimit": 0}
    ).options
    assert options == Options(None, 0, 0, float(value), 0)

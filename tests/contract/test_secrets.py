"""What a source's server wants to know is taken at a start, and never given back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chilly_movies.errors import IdInUse, InvalidRequest
from chilly_movies.jobs.models import Source, SourceType, Status
from chilly_movies.jobs.secrets import Secret, without_user
from chilly_movies.jobs.start_request import parse
from tests.contract.web import Api, api

pytestmark = pytest.mark.anyio
GIVEN: dict[str, Any] = {
    "username": "canary-user", "password": "canary-pass",
    "cookies": {"sid": "canary-cookie"}, "headers": {"X-Token": "canary-header"},
}  # fmt: skip
KEPT = Secret(
    "canary-user", "canary-pass", (("sid", "canary-cookie"),), (("X-Token", "canary-header"),)
)


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api() as web:
        yield web


@pytest.mark.parametrize(
    ("link", "clean", "user", "password"),
    [
        ("http://u:p@h/f.torrent", "http://h/f.torrent", "u", "p"),
        ("HTTPS://u%40x:p%3Aw%2F@h:8443/f?a=@b", "HTTPS://h:8443/f?a=@b", "u@x", "p:w/"),
        ("ftp://only@h/f", "ftp://h/f", "only", None),
        ("http://:word@h/f", "http://h/f", None, "word"),
        ("http://u:p@w@h/f", "http://h/f", "u", "p@w"),
    ],
)
def test_user_and_password_are_taken_out_of_a_link(
    link: str, clean: str, user: str | None, password: str | None
) -> None:
    assert without_user(link) == (clean, Secret(user, password))
    source = parse({"source_urn": link}).source
    assert source is not None
    assert (source.urn, source.secret) == (clean, Secret(user, password))


@pytest.mark.parametrize(
    "link", ["http://h/a@b", "http://h/f?u=a:b@c", "magnet:?xt=urn:btih:x&dn=a@b", "http://h"]
)
def test_a_link_without_a_user_stays_as_it_is(link: str) -> None:
    assert without_user(link) == (link, None)


def test_what_is_given_beside_the_link_wins_over_what_stands_in_it() -> None:
    source = parse({"source_urn": "http://u:p@h/f", "password": "q"}).source
    assert source is not None
    assert source.secret == Secret("u", "q")


def test_no_representation_of_a_request_or_job_tells_a_secret() -> None:
    request = parse({"source_urn": "http://h/f", **GIVEN})
    assert request.source is not None
    assert request.source.secret == KEPT
    for value in (request, request.source, request.secret, [request.source]):
        assert "canary" not in f"{value!r} {value}"


def test_the_same_source_with_another_secret_is_the_same_source() -> None:
    plain = Source(SourceType.TORRENT, "http://h/f")
    assert plain == Source(SourceType.TORRENT, "http://h/f", None, KEPT)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "a:b"), ("username", "a\nb"), ("password", "a\x00b"),
        ("cookies", {"a b": "c"}), ("cookies", {"a": "b;c"}), ("headers", {"A": "b\r\nX: x"}),
        ("headers", {"Host": "x"}),
        ("headers", {"range": "bytes=0-1"}), ("headers", {f"A{i}": "b" for i in range(51)}),
        ("cookies", {"a": "\u00e9"}),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_and_not_repeated(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse({"source_urn": "http://h/f", field: value})
    assert caught.value.field == field
    assert str(value) not in str(caught.value)


async def test_no_answer_and_no_event_tells_what_was_given(web: Api) -> None:
    answers = [await web.start("a", sourceUrn="http://canary-u:canary-p@h/f", **GIVEN)]
    assert answers[0].status_code == 200
    answers += [await web.client.get(path) for path in ("/downloads", "/downloads/a")]
    answers.append(await web.start("a", sourceUrn="http://h/other"))
    answers.append(await web.start("b", sourceUrn="http://canary-u2:canary-p2@h/f"))
    assert [answer.status_code for answer in answers[-2:]] == [409, 409]
    assert answers[2].json()["sourceUrn"] == "http://h/f"
    changes = await web.downloader.changes_since(0)
    told = [answer.text for answer in answers] + [repr(change) for change in changes]
    assert "canary" not in "".join(told)
    assert (await web.downloader.status("a")).source.secret == KEPT


async def test_a_repeated_start_replaces_the_credentials_and_is_no_other_source(web: Api) -> None:
    await web.start("a", sourceUrn="http://u:old@h/f")
    again = await web.start("a", sourceUrn="http://u:new@h/f")
    assert again.status_code == 200
    assert (await web.downloader.status("a")).source.secret == Secret("u", "new")
    before = web.downloader.last_seq
    assert (await web.start("a", sourceUrn="http://u:new@h/f")).status_code == 200
    assert (await web.start("a", sourceUrn="http://h/f")).status_code == 200
    assert web.downloader.last_seq == before
    assert (await web.downloader.status("a")).source.secret == Secret("u", "new")
    with pytest.raises(IdInUse):
        await web.downloader.start(id="a", source_type="http", source_urn="http://u:new@h/g")
    await web.downloader.cancel("a")
    await web.start("a", sourceUrn="http://u:late@h/f")
    job = await web.downloader.status("a")
    assert (job.status, job.source.secret) == (Status.CANCELED, Secret("u", "new"))


def test_the_contract_says_that_they_are_only_written() -> None:
    from chilly_movies.jobs.start_request import StartRequest

    members = StartRequest.model_json_schema()["properties"]
    assert all(members[name]["writeOnly"] for name in GIVEN)
    assert "canary" not in json.dumps(members)

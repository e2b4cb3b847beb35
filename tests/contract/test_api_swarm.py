"""`/downloads/{id}/trackers`, `/peers`, `/pieces`, `/torrent` and `/magnet`."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from chilly_movies.api.policy import KeyScope
from tests.contract.rig import reach_when
from tests.contract.web import SECRET, Api, api, problem

pytestmark = pytest.mark.anyio
PATH = "/downloads/a/trackers"
OWN, SILENT = "https://tracker.example/announce", "udp://silent.example:1337/announce"
MINE = "https://mine.example/announce"


async def half_there(web: Api, **more: Any) -> None:
    """Bring the torrent `a` to its files, and time to a stop."""
    web.pace.hold(after=3)
    await web.start(**{"sourceType": "torrent", **more})
    await reach_when(web.downloader, "a", lambda job: job.progress.bytes_downloaded == 500)


async def urls(web: Api) -> dict[str, str]:
    """The trackers' addresses and ids."""
    found = (await web.client.get(PATH)).json()["trackers"]
    return {tracker["url"]: tracker["id"] for tracker in found}


async def test_the_trackers_of_a_job_say_how_they_do() -> None:
    async with api() as web:
        await half_there(web)
        good, bad = (await web.client.get(PATH)).json()["trackers"]
        assert (good["url"], good["tier"], good["status"]) == (OWN, 0, "working")
        assert good["nextAnnounceAt"].endswith("Z")
        assert (good["seeds"], good["peers"], good["message"]) == (6, 24, None)
        assert (bad["url"], bad["status"], bad["message"]) == (SILENT, "not-working", "timed out")
        assert bad["seeds"] is bad["peers"] is bad["downloads"] is None
        await web.post("/download/pause", {"id": "a"})
        still = (await web.client.get(PATH)).json()["trackers"]
    assert [tracker["status"] for tracker in still] == ["not-contacted"] * 2


async def test_trackers_are_added_changed_and_removed_and_the_choice_is_told_once() -> None:
    async with api() as web:
        await half_there(web)
        answer = await web.post(PATH, {"urls": [MINE, MINE, OWN]})
        assert [one["url"] for one in answer.json()["trackers"]] == [OWN, SILENT, MINE]
        assert (await web.post(PATH, {"urls": [MINE]})).status_code == 200
        path = f"{PATH}/{(await urls(web))[MINE]}"
        answer = await web.client.patch(path, json={"url": MINE + "?pk=2", "tier": 0})
        assert [(t["url"], t["tier"]) for t in answer.json()["trackers"]][1] == (MINE + "?pk=2", 0)
        problem(await web.client.patch(path, json={"tier": 1}), 404, "tracker_not_found")
        answer = await web.client.delete(f"{PATH}/{(await urls(web))[OWN]}")
        assert [one["url"] for one in answer.json()["trackers"]] == [MINE + "?pk=2", SILENT]
        told = [change.event for change in await web.downloader.changes_since(0, "a")]
    assert told.count("adjusted") == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "urls"), ({"urls": []}, "urls"), ({"urls": ["x"]}, "url"), ({"urls": [1]}, "urls.0"),
        ({"urls": [OWN] * 101}, "urls"), ({"urls": ["https://" + "a" * 3000]}, "urls.0"),
        ({"urls": [MINE], "tier": -1}, "tier"), ({"urls": [MINE], "tier": 100}, "tier"),
        ({"urls": ["https://a.example/\x1b[2J"]}, "url"),
    ],
)  # fmt: skip
async def test_trackers_that_are_none_are_refused(body: Any, field: str) -> None:
    async with api() as web:
        await half_there(web)
        problem(await web.post(PATH, body), 422, "invalid_request", field=field)
        assert list(await urls(web)) == [OWN, SILENT]


async def test_ten_thousand_trackers_are_refused_and_a_job_has_a_hundred_at_most() -> None:
    async with api() as web:
        await half_there(web)
        many = [f"https://t{n}.example/a" for n in range(10_000)]
        answer = await web.post(PATH, {"urls": many})
        assert answer.status_code in (413, 422)
        assert (await web.post(PATH, {"urls": many[:98]})).status_code == 200
        problem(await web.post(PATH, {"urls": many[98:99]}), 422, "invalid_request", field="urls")
        assert len(await urls(web)) == 100
        for number in range(205):  # changing one again and again does not grow what is kept
            path = f"{PATH}/{(await urls(web))[many[0] if number == 0 else f'{MINE}/{number}']}"
            await web.client.patch(path, json={"url": f"{MINE}/{number + 1}"})
        job = await web.downloader.status("a")
    assert len(job.trackers.added) + len(job.trackers.removed) <= 300


async def test_a_change_of_nothing_and_an_unknown_tracker_are_refused() -> None:
    async with api() as web:
        await half_there(web)
        path = f"{PATH}/{(await urls(web))[OWN]}"
        problem(await web.client.patch(path, json={}), 422, "invalid_request", field="url")
        for name, status in (("0" * 16, 404), ("x", 422), ("0" * 16 + "0", 422)):
            assert (await web.client.delete(f"{PATH}/{name}")).status_code == status


async def test_an_announce_is_for_a_job_that_runs() -> None:
    async with api() as web:
        await half_there(web)
        assert (await web.post("/downloads/a/announce")).json()["trackers"][0][
            "status"
        ] == "working"
        await web.post("/download/pause", {"id": "a"})
        problem(await web.post("/downloads/a/announce"), 409, "not_readable")


async def test_a_peer_is_added_and_a_banned_one_is_seen_no_more() -> None:
    async with api() as web:
        await half_there(web)
        peers = "/downloads/a/peers"
        assert (await web.post(peers, {"address": "203.0.113.5:6881"})).status_code == 204
        problem(await web.post(peers, {"address": "x"}), 422, "invalid_request", field="address")
        before = [peer["address"] for peer in (await web.client.get(peers)).json()["peers"]]
        assert (await web.post(f"{peers}/ban", {"address": before[0]})).status_code == 204
        after = [peer["address"] for peer in (await web.client.get(peers)).json()["peers"]]
        problem(await web.post(f"{peers}/ban", {"address": "x"}), 422, "invalid_request")
    assert after == before[1:]


async def test_the_pieces_are_bits_and_the_torrent_comes_as_a_file() -> None:
    async with api() as web:
        await web.start(sourceType="torrent")
        for path in ("pieces", "torrent"):
            problem(await web.client.get(f"/downloads/a/{path}"), 409, "not_readable")
        await web.client.delete("/downloads/a")
        await half_there(web)
        pieces = (await web.client.get("/downloads/a/pieces")).json()
        assert (pieces["count"], pieces["pieceSize"]) == (1, 1 << 20)
        assert b64decode(pieces["have"]) == b"\x80"
        answer = await web.client.get("/downloads/a/torrent")
        assert answer.headers["content-type"] == "application/x-bittorrent"
        assert answer.headers["content-disposition"].startswith('attachment; filename="a.torrent"')
        assert answer.content.startswith(b"d4:info")
        magnet = (await web.client.get("/downloads/a/magnet")).json()["magnet"]
    assert magnet.startswith("magnet:?xt=urn:btih:")
    assert "tracker.example" in magnet


ROUTES = (
    ("GET", "trackers"), ("POST", "trackers"), ("POST", "announce"),
    ("PATCH", f"trackers/{'0' * 16}"), ("DELETE", f"trackers/{'0' * 16}"), ("POST", "peers"),
    ("POST", "peers/ban"), ("GET", "pieces"), ("GET", "torrent"), ("GET", "magnet"),
)  # fmt: skip
BODIES = {"trackers": {"urls": [MINE]}, "peers": {"address": "203.0.113.5:6881"}}


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_job_that_is_no_torrent_has_no_swarm_and_an_unknown_one_nothing(
    method: str, path: str
) -> None:
    body = {"tier": 1} if method == "PATCH" else BODIES.get(path.partition("/")[0])
    sent: dict[str, Any] = {"json": body} if method in ("POST", "PATCH") else {}
    async with api() as web:
        await web.start("a")
        url = f"/downloads/a/{path}"
        problem(await web.client.request(method, url, **sent), 409, "no_swarm")
        url = f"/downloads/nobody/{path}"
        problem(await web.client.request(method, url, **sent), 404, "job_not_found")


@pytest.mark.parametrize("path", ["trackers", "torrent", "magnet"])
async def test_what_may_hold_a_passkey_wants_a_key_that_may_control(path: str) -> None:
    key = "read-only-key-that-is-long"

    async with api(api_secret=SECRET, keys=((key, KeyScope.READ),)) as web:
        headers = {"x-api-key": SECRET}
        body = {"id": "a", "sourceType": "torrent", "sourceUrn": "https://films.example/a"}
        assert (await web.post("/download/start", body, headers=headers)).status_code == 200
        url = f"/downloads/a/{path}"
        problem(await web.client.get(url, headers={"x-api-key": key}), 403, "forbidden_scope")
        assert (await web.client.get(url, headers=headers)).status_code in (200, 409)

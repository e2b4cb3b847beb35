"""Nothing the server fetches or sends goes to its own API, whatever way a link takes there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.acceptance.backend import Backend
from tests.page_set import page_set

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]
ITSELF = "leads to this server itself"


async def test_a_link_to_our_own_api_is_neither_inspected_nor_fetched_nor_notified(
    tmp_path: Path,
) -> None:
    async with page_set() as pages, Backend(tmp_path, warm=True) as ours:
        port = ours.url.rpartition(":")[2]
        pages.holds["/film.mkv"] = f"{ours.url}/openapi.json"
        ways = [f"{ours.url}/openapi.json", f"http://localhost:{port}/health"]
        ways += [f"http://0.0.0.0:{port}/health", f"{pages.url}/film.mkv"]
        for number, link in enumerate(ways):
            asked = {"sourceUrn": link, "sourceType": "http", "resolve": True}
            answer = await ours.http.post("/sources/inspect", json=asked)
            assert ITSELF in answer.json().get("detail", ""), (link, answer.text)
            await ours.start(link, id=f"job-{number}", sourceType="http")
            job = await ours.wait(f"job-{number}")
            assert (job["status"], job["error"]["code"]) == ("failed", "source_rejected")
            assert ITSELF in job["error"]["message"], link
        hook = {"address": f"http://127.0.0.1:{port}/downloads", "secret": "s" * 40}
        added = (await ours.http.post("/webhooks", json=hook)).json()
        assert "id" in added, added
        await ours.start(f"magnet:?xt=urn:btih:{'c' * 40}", id="a")
        await ours.verb("pause", {"id": "a"})
        async with asyncio.timeout(20):
            while not (deliveries := await tried(ours, added["id"])):  # noqa: ASYNC110 (it is silent)
                await asyncio.sleep(0.05)
        assert ITSELF in deliveries[0]["error"]


async def tried(ours: Backend, hook: str) -> list[dict[str, str]]:
    """The deliveries that were tried."""
    found: list[dict[str, str]] = (await ours.http.get(f"/webhooks/{hook}")).json()["deliveries"]
    return found

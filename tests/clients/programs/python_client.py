"""A client made by openapi-python-client, asynchronous."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator

from chilly_api import Client
from chilly_api.api.downloads import cancel_job, pause_job, resume_job, start_job
from chilly_api.models import EventOut, IdBody, JobOut, Problem, StartRequest

SOURCE = "mock:?seconds=60&metadataSeconds=0"


def tell(what: str) -> None:
    print(json.dumps(what), flush=True)


async def events(client: Client, job_id: str) -> AsyncIterator[EventOut]:
    async with client.get_async_httpx_client().stream("GET", f"/events/{job_id}") as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                yield EventOut.from_dict(json.loads(line[5:]))


async def main() -> None:
    async with Client(base_url=os.environ["SERVER"]) as client:
        wanted = StartRequest(id="python-client", source_urn=SOURCE)
        job = await start_job.asyncio(client=client, body=wanted)
        assert isinstance(job, JobOut)
        tell(job.status)
        async for event in events(client, job.id):
            if event.event == "progress":
                tell(event.event)
                break
        for verb in (pause_job, resume_job, cancel_job):
            tell((await verb.asyncio(client=client, body=IdBody(job.id))).status)
        refused = await start_job.asyncio(client=client, body=StartRequest(id="nobody"))
        assert isinstance(refused, Problem)
        tell(refused.code)


asyncio.run(main())

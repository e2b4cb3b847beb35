"""A client made by openapi-generator's python with asyncio."""

from __future__ import annotations

import asyncio
import json
import os

from chilly_generated import ApiClient, ApiException, Configuration, DownloadsApi, SystemApi
from chilly_generated.models import EventOut, IdBody, Problem, StartRequest

SOURCE = "mock:?seconds=60&metadataSeconds=0"


def tell(what: str) -> None:
    print(json.dumps(what), flush=True)


async def main() -> None:
    async with ApiClient(Configuration(host=os.environ["SERVER"])) as client:
        downloads, system = DownloadsApi(client), SystemApi(client)
        job = await downloads.start_job(StartRequest(id="generator", sourceUrn=SOURCE))
        tell(job.status)
        answer = await system.follow_job_without_preload_content("generator")
        async for line in answer.content:
            event = EventOut.from_json(line[5:].decode()) if line.startswith(b"data:") else None
            if event is not None and event.event == "progress":
                tell(event.event)
                break
        answer.close()
        for verb in (downloads.pause_job, downloads.resume_job, downloads.cancel_job):
            tell((await verb(IdBody(id="generator"))).status)
        try:
            await downloads.start_job(StartRequest(id="nobody"))
        except ApiException as error:
            tell(Problem.from_json(error.body).code)


asyncio.run(main())

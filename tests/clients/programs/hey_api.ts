// A client made by @hey-api/openapi-ts, whose events are a stream.
import { cancelJob, followJob, pauseJob, resumeJob, startJob } from "./hey";
import { client } from "./hey/client.gen";

declare const process: { env: Record<string, string> };
client.setConfig({ baseUrl: process.env.SERVER, throwOnError: true });
const body = { id: "hey-api" };
const sourceUrn = "mock:?seconds=60&metadataSeconds=0";
const tell = (what?: string) => console.log(JSON.stringify(what));

tell((await startJob({ body: { ...body, sourceUrn } })).data?.status);
const listening = new AbortController();
const { stream } = await followJob({ path: body, signal: listening.signal });
for await (const event of stream) {
  if (event.event !== "progress") continue;
  tell(event.event);
  break;
}
listening.abort();
tell((await pauseJob({ body })).data?.status);
tell((await resumeJob({ body })).data?.status);
tell((await cancelJob({ body })).data?.status);
tell((await startJob({ body: { id: "nobody" }, throwOnError: false })).error?.code);

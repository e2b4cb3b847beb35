// A client made by openapi-generator's typescript-fetch.
import { Configuration, DownloadsApi, EventOutFromJSON, ProblemFromJSON, ResponseError, SystemApi } from "./fetch";

declare const process: { env: Record<string, string> };
const server = new Configuration({ basePath: process.env.SERVER });
const [downloads, system] = [new DownloadsApi(server), new SystemApi(server)];
const id = "typescript-fetch";
const tell = (what: string) => console.log(JSON.stringify(what));

tell((await downloads.startJob({ startRequest: { id, sourceUrn: "mock:?seconds=60&metadataSeconds=0" } })).status);
const { raw } = await system.followJobRaw({ id });
let text = "";
for await (const part of raw.body!.pipeThrough(new TextDecoderStream())) {
  text += part;
  const whole = text.slice(0, text.lastIndexOf("\n")).split("\n");
  const events = whole.filter((line) => line.startsWith("data:"))
    .map((line) => EventOutFromJSON(JSON.parse(line.slice(5))));
  const progress = events.find((event) => event.event === "progress");
  if (!progress) continue;
  tell(progress.event);
  break;
}
tell((await downloads.pauseJob({ idBody: { id } })).status);
tell((await downloads.resumeJob({ idBody: { id } })).status);
tell((await downloads.cancelJob({ idBody: { id } })).status);
await downloads.startJob({ startRequest: { id: "nobody" } }).catch(async (error: ResponseError) =>
  tell(ProblemFromJSON(await error.response.json()).code));

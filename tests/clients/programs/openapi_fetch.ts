// A client typed by openapi-typescript, with openapi-fetch.
import createClient from "openapi-fetch";
import type { components, paths } from "./chilly";

declare const process: { env: Record<string, string> };
const api = createClient<paths>({ baseUrl: process.env.SERVER });
const id = "openapi-fetch";
const sourceUrn = "mock:?seconds=60&metadataSeconds=0";

type Job = components["schemas"]["JobOut"];
type Problem = components["schemas"]["Problem"];
const told = ({ data, error }: { data?: Job; error?: Problem }) => {
  if (!data) throw new Error(error?.code);
  console.log(JSON.stringify(data.status));
};

told(await api.POST("/download/start", { body: { id, sourceType: "torrent", sourceUrn } }));
const { data: stream } = await api.GET("/events/{id}", { params: { path: { id } }, parseAs: "stream" });
let text = "";
for await (const part of stream!.pipeThrough(new TextDecoderStream())) {
  text += part;
  const line = text.split("\n").find((one) => /^data:.*"event":"progress".*\n?/.test(one));
  if (!line || !text.includes(line + "\n")) continue;
  const event: components["schemas"]["EventOut"] = JSON.parse(line.slice(5));
  console.log(JSON.stringify(event.event));
  break;
}
told(await api.POST("/download/pause", { body: { id } }));
told(await api.POST("/download/resume", { body: { id } }));
told(await api.POST("/download/cancel", { body: { id } }));
const { data: restarted, error } = await api.POST("/download/start", { body: { id: "nobody" } });
console.log(JSON.stringify(restarted ? "started" : error.code));

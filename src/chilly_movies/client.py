"""A small client of our own HTTP API, for the command line and for other Python programs.

```python
async with ApiClient("http://localhost:3000") as api:
    job = await api.start("magnet:?xt=...")
    async for event in api.events(job["id"]):
        print(event["status"], event["progress"]["percent"])
```

Jobs and events are the JSON objects of the contract, in its spelling.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2

from chilly_movies.jobs.options import OPTIONS, START_OPTIONS, to_text
from chilly_movies.net.failures import why_unreachable, why_untrusted
from chilly_movies.net.outbound import trust

_TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
_STREAM_TIMEOUT = httpx2.Timeout(30.0, connect=5.0, read=45.0)
"""The server says something every 15 s; three times that is silence."""
_FIRST_BYTES_TIMEOUT = httpx2.Timeout(30.0, connect=5.0, read=120.0)
_HERE = ("localhost", "127.0.0.1", "::1")
_PAGE = 500
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 5.0
_LINK = re.compile(r"/[!$-\[\]-~]{0,4000}")
"""Of characters that an address may hold, and none that ends its path."""


class ClientError(Exception):
    """The server refused, or did not answer. `str(error)` is one sentence for people.

    Attributes:
        detail: the same sentence.
        code: stable name of the problem, for programs.
        status: HTTP status, None if no server answered.
        existing_id: with `duplicate_download`, the job that has it already.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        status: int | None = None,
        existing_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status
        self.existing_id = existing_id


class NoServer(ClientError):
    """Nobody answers at the address, or not in time."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="no_server")


class ApiClient:
    """Speaks to one server. Use it with `async with`, or call `aclose()` at the end.

    Args:
        base_url: where the server is, like `http://localhost:3000`.
        api_key: sent with every request; None = none.
        patience: seconds `events` tries to find a server again that went away.
        transport: how to reach it, for tests; None = the network, without proxies.

    Attributes:
        has_key: whether a key is sent.

    Raises:
        ClientError: the address is none.
    """

    def __init__(
        self,
        base_url: str = "http://localhost:3000",
        *,
        api_key: str | None = None,
        patience: float = 30.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = base_url.rstrip("/")
        self.has_key = bool(api_key)
        self._patience = patience
        try:
            parsed = httpx2.URL(self._url)
        except httpx2.InvalidURL:
            parsed = httpx2.URL("")
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ClientError(
                "The server's address must look like http://localhost:3000.", code="invalid_address"
            )
        self._http = httpx2.AsyncClient(
            base_url=parsed,
            headers={"x-api-key": api_key} if api_key else None,
            timeout=_TIMEOUT,
            verify=trust(),
            transport=transport,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    # --- verbs ------------------------------------------------------------------------------

    async def start(
        self,
        source_urn: str | None = None,
        *,
        id: str | None = None,  # noqa: A002 (the contract's name)
        source_type: str | None = None,
        torrent: bytes | None = None,
        labels: Mapping[str, str] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Start a download, or with an id alone start a known job again.

        Args:
            source_urn: magnet link, info hash, link, or path on the server.
            id: the job's name; None = the server makes one up.
            source_type: what kind of source it is; None = the server finds out.
            torrent: the bytes of a `.torrent` file instead of `source_urn`.
            labels: what is kept with the job, text by key.
            **options: `held` and the fields of `Options`, in Python's spelling or the contract's;
                None = not given.
        """
        known = {name: option.wire for name, option in START_OPTIONS.items()}
        named = {known.get(name, name): value for name, value in options.items()}
        wishes = {"id": id, "sourceType": source_type, "sourceUrn": source_urn, **named}
        wishes["labels"] = None if labels is None else dict(labels)
        given = {name: value for name, value in wishes.items() if value is not None}
        if torrent is None:
            return await self._ask("POST", "/download/start", json=given)
        form = {name: to_text(value) for name, value in given.items()}
        part = {"torrent": ("upload.torrent", torrent, "application/x-bittorrent")}
        return await self._ask("POST", "/download/start", data=form, files=part)

    async def inspect(
        self,
        source_urn: str | None = None,
        *,
        source_type: str | None = None,
        torrent: bytes | None = None,
        resolve: bool = False,
    ) -> dict[str, Any]:
        """Of which kind a source is, what is in it and how large; nothing is stored.

        Args:
            source_urn: magnet link, info hash, link, or path on the server.
            source_type: what kind of source it is; None = the server finds out.
            torrent: the bytes of a `.torrent` file instead of `source_urn`.
            resolve: ask others than the server of a link, too: the peers of a magnet.
        """
        if torrent is not None:
            part = {"torrent": ("upload.torrent", torrent, "application/x-bittorrent")}
            return await self._ask("POST", "/sources/inspect", files=part)
        body = _given(sourceUrn=source_urn, sourceType=source_type, resolve=resolve)
        return await self._ask("POST", "/sources/inspect", json=body)

    async def pause(self, job_id: str) -> dict[str, Any]:
        """Stop all traffic of a job."""
        return await self._ask("POST", "/download/pause", json={"id": job_id})

    async def resume(self, job_id: str) -> dict[str, Any]:
        """Let a paused or failed job go on."""
        return await self._ask("POST", "/download/resume", json={"id": job_id})

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """Give a job up and delete its unfinished data."""
        return await self._ask("POST", "/download/cancel", json={"id": job_id})

    async def adjust(
        self, job_id: str, *, labels: Mapping[str, str | None] | None = None, **options: Any
    ) -> dict[str, Any]:
        """Change what is asked of a job, or kept with it; the job as it is then.

        Args:
            job_id: which.
            labels: those to set; one that is None is removed, others stay.
            **options: the fields of `Options`, in Python's spelling or the contract's; None = the
                server's default.
        """
        changes = {OPTIONS[k].wire if k in OPTIONS else k: value for k, value in options.items()}
        if labels is not None:
            changes["labels"] = dict(labels)
        return await self._ask("PATCH", f"/downloads/{_segment(job_id)}", json=changes)

    async def move(self, job_id: str, folder: str) -> dict[str, Any]:
        """Put a film into another folder of the media folder."""
        path = f"/downloads/{_segment(job_id)}/move"
        return await self._ask("POST", path, json={"folder": folder})

    async def place(
        self, job_id: str, to: str | None = None, *, before: str | None = None
    ) -> dict[str, Any]:
        """Put a job elsewhere in the queue.

        Args:
            job_id: which.
            to: `top`, `bottom`, `up` or `down`.
            before: instead, the id of the job it is to stand directly before.
        """
        where = {"to": to} if before is None else {"before": before}
        return await self._ask("POST", f"/downloads/{_segment(job_id)}/position", json=where)

    async def recheck(self, job_id: str) -> dict[str, Any]:
        """Compare every byte of a job on the disk with its hash."""
        return await self._ask("POST", f"/downloads/{_segment(job_id)}/recheck")

    async def status(self, job_id: str) -> dict[str, Any]:
        """How far a job is."""
        return await self._ask("GET", f"/download/status/{_segment(job_id)}")

    async def detail(self, job_id: str) -> dict[str, Any]:
        """All that is known of a job."""
        return await self._ask("GET", f"/downloads/{_segment(job_id)}")

    async def delete(self, job_id: str, *, delete_files: bool = False) -> None:
        """Take a job from the list.

        Args:
            job_id: which.
            delete_files: delete the finished film, too.
        """
        params = {"deleteFiles": "true"} if delete_files else {}
        await self._ask("DELETE", f"/downloads/{_segment(job_id)}", params=params)

    async def list(
        self, statuses: Iterable[str] = (), *, labels: Mapping[str, str] | None = None
    ) -> Sequence[dict[str, Any]]:
        """All jobs in queue order with all that is known of them.

        Args:
            statuses: only jobs of these.
            labels: only jobs that have all of these.
        """
        wanted = [f"{key}={value}" for key, value in (labels or {}).items()]
        params: dict[str, Any] = {"status": [*statuses], "label": wanted, "limit": _PAGE}
        jobs: list[dict[str, Any]] = []
        while True:
            page = await self._ask("GET", "/downloads", params=params)
            jobs += page["items"]
            if not page["nextCursor"]:
                return jobs
            params["cursor"] = page["nextCursor"]

    # --- settings ---------------------------------------------------------------------------

    # --- the swarm --------------------------------------------------------------------------

    async def trackers(self, job_id: str) -> Sequence[dict[str, Any]]:
        """The trackers of a torrent, and how they do."""
        return await self._trackers("GET", job_id)

    async def add_trackers(
        self, job_id: str, urls: Sequence[str], tier: int | None = None
    ) -> Sequence[dict[str, Any]]:
        """Add trackers to a torrent; returns all of them.

        Args:
            job_id: which.
            urls: announce URLs.
            tier: of all of them; None = each gets one of its own behind the others.
        """
        return await self._trackers("POST", job_id, json=_given(urls=list(urls), tier=tier))

    async def change_tracker(
        self, job_id: str, tracker: str, *, url: str | None = None, tier: int | None = None
    ) -> Sequence[dict[str, Any]]:
        """Give a tracker another URL or tier; returns all of them.

        Args:
            job_id: which.
            tracker: its `id`.
            url: None = as it is.
            tier: None = as it is.
        """
        body = _given(url=url, tier=tier)
        return await self._trackers("PATCH", job_id, f"/{_segment(tracker)}", json=body)

    async def remove_tracker(self, job_id: str, tracker: str) -> Sequence[dict[str, Any]]:
        """Take a tracker, named by its `id`, from a torrent; returns the others."""
        return await self._trackers("DELETE", job_id, f"/{_segment(tracker)}")

    async def announce(self, job_id: str) -> Sequence[dict[str, Any]]:
        """Ask the trackers of a torrent that runs for peers now."""
        path = f"/downloads/{_segment(job_id)}/announce"
        return list((await self._ask("POST", path))["trackers"])

    async def _trackers(
        self, method: str, job_id: str, rest: str = "", **request: Any
    ) -> Sequence[dict[str, Any]]:
        path = f"/downloads/{_segment(job_id)}/trackers{rest}"
        return list((await self._ask(method, path, **request))["trackers"])

    async def peers(self, job_id: str) -> Sequence[dict[str, Any]]:
        """The peers a job is connected to."""
        return list((await self._ask("GET", f"/downloads/{_segment(job_id)}/peers"))["peers"])

    async def add_peer(self, job_id: str, address: str) -> None:
        """Connect a torrent that runs to a peer, given as IP address and port."""
        path = f"/downloads/{_segment(job_id)}/peers"
        await self._ask("POST", path, json={"address": address})

    async def ban_peer(self, job_id: str, address: str) -> None:
        """Drop a peer, and let the server talk to its IP address no more until it ends."""
        path = f"/downloads/{_segment(job_id)}/peers/ban"
        await self._ask("POST", path, json={"address": address})

    async def pieces(self, job_id: str) -> dict[str, Any]:
        """Which pieces of a torrent are there; `have` is base64."""
        return await self._ask("GET", f"/downloads/{_segment(job_id)}/pieces")

    async def torrent_file(self, job_id: str) -> bytes:
        """The `.torrent` file of a job."""
        return (await self._answer("GET", f"/downloads/{_segment(job_id)}/torrent")).content

    async def magnet(self, job_id: str) -> str:
        """A magnet link to the torrent of a job."""
        return str((await self._ask("GET", f"/downloads/{_segment(job_id)}/magnet"))["magnet"])

    # --- the server -------------------------------------------------------------------------

    async def stats(self) -> dict[str, Any]:
        """What all jobs together move and moved."""
        return await self._ask("GET", "/stats")

    async def limits(self) -> dict[str, Any]:
        """The speed limits of the whole server."""
        return await self._ask("GET", "/settings/limits")

    async def adjust_limits(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Set speed limits of the whole server.

        Args:
            changes: in the contract's spelling; None = back to what the settings say.
        """
        return await self._ask("PATCH", "/settings/limits", json=dict(changes))

    async def settings(self) -> Sequence[dict[str, Any]]:
        """Every setting of the server, and what it was taken from."""
        found = _value((await self._answer("GET", "/settings")).content)
        if not isinstance(found, list):
            raise _foreign()
        return found

    # --- webhooks ---------------------------------------------------------------------------

    async def webhooks(self) -> Sequence[dict[str, Any]]:
        """The addresses that are told of every state change, oldest first."""
        return list((await self._ask("GET", "/webhooks"))["webhooks"])

    async def webhook(self, webhook_id: str) -> dict[str, Any]:
        """One of them, and how its last deliveries went."""
        return await self._ask("GET", f"/webhooks/{_segment(webhook_id)}")

    async def add_webhook(
        self, address: str, secret: str, events: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Tell an address of every state change from now on.

        Args:
            address: an http or https link.
            secret: what the deliveries are signed with; at least 16 characters.
            events: only events of these names; none = all that are stored.
        """
        body = {"address": address, "secret": secret, "events": [*events]}
        return await self._ask("POST", "/webhooks", json=body)

    async def remove_webhook(self, webhook_id: str) -> None:
        """Tell an address nothing any more."""
        await self._ask("DELETE", f"/webhooks/{_segment(webhook_id)}")

    async def library(self, words: str = "", *, limit: int = 50) -> dict[str, Any]:
        """What the user has, with `total`; by words if there are any."""
        query = {"limit": limit, **({"q": words} if words else {})}
        return await self._ask("GET", "/library", params=query)

    async def filing_plan(self, item_id: str) -> dict[str, Any]:
        """What filing an item of the library would do."""
        return await self._ask("POST", "/library/plan", json={"id": item_id})

    async def change_item(
        self, method: str, item_id: str, verb: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Does something to an item of the library, and says how it stands then."""
        return await self._ask(method, f"/library/{_segment(item_id)}{verb}", json=body)

    # --- watching ---------------------------------------------------------------------------

    async def health(self) -> dict[str, Any]:
        """That the server is there."""
        return await self._ask("GET", "/health")

    async def subtitles(self, job_id: str) -> Sequence[dict[str, Any]]:
        """A job's subtitles."""
        found = await self._ask("GET", f"/subtitles/{_segment(job_id)}")
        return list(found["subtitles"])

    async def link(self, path: str) -> str:
        """An address for a player, which needs no key.

        Args:
            path: `/stream/...` or `/subtitles/...`.
        """
        found = await self._ask("GET", "/links", params={"path": path})
        url = str(found.get("url"))
        if not _LINK.fullmatch(url):  # it could turn our server's name into another's
            raise _foreign()
        return self._url + url

    async def first_bytes(self, url: str) -> None:
        """Wait until a film's first bytes are there; the server gives up waiting, we do not.

        Args:
            url: as `link` gives it.
        """
        headers = {"Range": "bytes=0-0"}
        while True:
            try:
                answer = await self._http.get(url, headers=headers, timeout=_FIRST_BYTES_TIMEOUT)
            except httpx2.ReadTimeout:
                continue
            except httpx2.TransportError as error:
                raise self._no_server(error) from None
            if not answer.is_error:
                return
            if answer.status_code != 503:
                raise _refusal(answer)
            await asyncio.sleep(_LONGEST_WAIT)

    async def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        response = await self._answer(method, path, **request)
        return _object(response.content) if response.content else {}

    async def _answer(self, method: str, path: str, **request: Any) -> httpx2.Response:
        try:
            response = await self._http.request(method, path, **request)
        except httpx2.TransportError as error:
            raise self._no_server(error) from None
        if response.is_error:
            raise _refusal(response)
        return response

    def _no_server(self, error: httpx2.TransportError) -> ClientError:
        if (problem := why_untrusted(error)) is not None:
            sentence = (
                f"The certificate of {self._url} is not trusted ({problem}): set SSL_CERT_FILE to "
                "the file with the certificate of the authority that signed it."
            )
            return ClientError(sentence, code="untrusted_certificate")
        if isinstance(error, httpx2.ReadTimeout):
            return NoServer(f"The server at {self._url} does not answer in time.")
        if self._http.base_url.host in _HERE:
            return NoServer(f"No server answers at {self._url}; 'chilly serve' starts one.")
        why = why_unreachable(error)
        return NoServer(f"No server answers at {self._url} ({why}): check its address.")

    # --- events -----------------------------------------------------------------------------

    async def events(
        self, job_id: str | None = None, *, last_event_id: str | None = None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Changes of one job or of all, for as long as the caller wants them.

        A connection that breaks is made anew, and what was missed meanwhile is fetched.

        Args:
            job_id: only this job's.
            last_event_id: the number of an event; only what came after it.

        Raises:
            ClientError: the server refuses.
            NoServer: there is none, or it went away and did not come back in time.
        """
        path = "/events" if job_id is None else f"/events/{_segment(job_id)}"
        clock = asyncio.get_running_loop().time
        seen, wait = last_event_id, _FIRST_WAIT
        give_up_at: float | None = clock()  # a server that was never there is not waited for
        while True:
            trouble: ClientError | None = None
            try:
                async with self._listen(path, seen) as messages:
                    give_up_at = None
                    async for message in messages:
                        if message.data:
                            seen, wait = message.id or seen, _FIRST_WAIT
                            yield _object(message.data)
            except httpx2.TransportError as error:
                trouble = self._no_server(error)
            except ClientError as error:
                if error.status is not None and error.status < 500:
                    raise
                trouble = error
            if give_up_at is None:
                give_up_at = clock() + self._patience
            elif trouble and clock() >= give_up_at:
                raise trouble
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    @asynccontextmanager
    async def _listen(
        self, path: str, last_event_id: str | None
    ) -> AsyncIterator[AsyncIterator[httpx2.ServerSentEvent]]:
        """One connection's messages."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        stream = self._http.stream("GET", path, headers=headers, timeout=_STREAM_TIMEOUT)
        async with stream as response:
            if response.is_error:
                await response.aread()
                raise _refusal(response)
            yield aiter(httpx2.EventSource(response))


def _given(**members: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def _segment(job_id: str) -> str:
    """The id as one path segment that nothing on the way takes for a relative path."""
    quoted = quote(job_id, safe="")
    return quoted.replace(".", "%2E") if job_id in (".", "..") else quoted or "%20"


def _object(body: bytes | str) -> dict[str, Any]:
    found = _value(body)
    if not isinstance(found, dict):
        raise _foreign()
    return found


def _value(body: bytes | str) -> object:
    """What JSON says; None if it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _foreign() -> ClientError:
    return ClientError("This server does not speak our API.", code="foreign_server", status=200)


def _refusal(response: httpx2.Response) -> ClientError:
    """What a problem answer says; something sensible for answers that are not ours."""
    try:
        body = response.json()
    except ValueError:
        body = None
    problem: Mapping[str, Any] = body if isinstance(body, dict) else {}
    detail = str(problem.get("detail") or f"The server answered with {response.status_code}.")
    code = str(problem.get("code") or "error")
    existing = problem.get("existingId")
    return ClientError(
        detail, code=code, status=response.status_code, existing_id=existing and str(existing)
    )

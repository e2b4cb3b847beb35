"""Web servers that do not do what they should, one function each, and what a download makes of it.

A function answers one request on a connection, which is closed behind it. `ends_right` are those
that give the film in spite of all; the others have the sentence a job must end with.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

FILM = hashlib.shake_256(b"film").digest(3_000_000)
"""What they have."""
OTHER = FILM[::-1]
"""What some have later."""
PACKED = gzip.compress(FILM, 1)
_BLOCK = 64 * 1024


@dataclass
class Origin:
    """One server.

    Attributes:
        url: where its film is.
        requests: how many came so far.
        open: how many are answered just now.
        sent: bytes of films it sent.
        seen: the paths that were asked for, and what follows `?`.
    """

    url: str = ""
    requests: int = 0
    open: int = 0
    sent: int = 0
    seen: list[str] = field(default_factory=list)


@dataclass
class Wire:
    """One request and the connection it came on.

    Attributes:
        origin: the server.
        method: of the request.
        path: with what follows `?`.
        head: the whole head, in lower case.
        number: which request of this server it is, counted from 1.
        first: the first byte that is asked for, None if the whole film is.
        last: the last one, None = to the end.
        writer: the connection.
    """

    origin: Origin
    method: str
    path: str
    head: str
    number: int
    first: int | None
    last: int | None
    writer: asyncio.StreamWriter

    def span(self, film: bytes) -> tuple[int, int]:
        """The first byte that is asked for, and the one behind the last."""
        if self.first is None:
            return 0, len(film)
        return self.first, len(film) if self.last is None else min(len(film), self.last + 1)

    async def say(self, status: str, *headers: str, body: bytes = b"") -> None:
        """Answer with a length that is true."""
        await self.raw(status, f"Content-Length: {len(body)}", *headers)
        await self.send(body)

    async def raw(self, status: str, *headers: str) -> None:
        """Send a head as it is given."""
        lines = (f"HTTP/1.1 {status}", *headers, "Connection: close", "", "")
        self.writer.write("\r\n".join(lines).encode("latin-1"))
        await self.writer.drain()

    async def send(self, data: bytes) -> None:
        """Send some of a body."""
        if self.method == "HEAD":
            return
        for at in range(0, len(data), _BLOCK):
            self.writer.write(data[at : at + _BLOCK])
            await self.writer.drain()
            self.origin.sent += len(data[at : at + _BLOCK])

    async def whole(self, *headers: str, film: bytes = FILM) -> None:
        """The whole film (200), whatever was asked for."""
        await self.say("200 OK", *headers, body=film)

    async def part(self, *headers: str, film: bytes = FILM) -> None:
        """What was asked for, as a good server does it."""
        if self.first is None:
            await self.whole("Accept-Ranges: bytes", *headers, film=film)
        elif self.first >= len(film):
            await self.say("416 Range Not Satisfiable", f"Content-Range: bytes */{len(film)}")
        else:
            start, end = self.span(film)
            where = f"Content-Range: bytes {start}-{end - 1}/{len(film)}"
            await self.say("206 Partial Content", where, *headers, body=film[start:end])

    async def part_cut(self, length: int, *headers: str, film: bytes = FILM) -> None:
        """A good head and so many bytes, then nothing more."""
        start, end = self.span(film)
        given = ["200 OK", f"Content-Length: {end - start}", "Accept-Ranges: bytes", *headers]
        if self.first is not None:
            given[0] = "206 Partial Content"
            given.append(f"Content-Range: bytes {start}-{end - 1}/{len(film)}")
        await self.raw(given[0], *given[1:])
        await self.send(film[start : min(end, start + length)])

    def matches(self, etag: str) -> bool:
        """Whether the range is asked for on the condition that the film has this ETag, or any."""
        asked = re.search(r"if-range: (.+)\r", self.head)
        return asked is None or asked[1].strip() == etag.lower()


Serve = Callable[[Wire], Awaitable[None]]


@dataclass(frozen=True)
class Odd:
    """One way to misbehave.

    Attributes:
        serve: answers a request.
        film: what the job must end with, None if it must fail.
        says: what its error must say then.
        code: the error's code.
        tls: the link begins with https.
    """

    serve: Serve
    film: bytes | None = None
    says: str = ""
    code: str = ""
    tls: bool = False

    @property
    def name(self) -> str:
        return self.serve.__name__.replace("_", " ")


ODD: list[Odd] = []


def ends_right(film: bytes = FILM) -> Callable[[Serve], Serve]:
    """A server in spite of which the film arrives."""

    def add(serve: Serve) -> Serve:
        ODD.append(Odd(serve, film))
        return serve

    return add


def fails(code: str, says: str, *, tls: bool = False) -> Callable[[Serve], Serve]:
    """A server that cannot be helped; the error has this code, and its message says this."""

    def add(serve: Serve) -> Serve:
        ODD.append(Odd(serve, None, says, code, tls))
        return serve

    return add


@asynccontextmanager
async def origin(serve: Serve) -> AsyncIterator[Origin]:
    """Serves on loopback until the end; what is being answered then is cut."""
    at, calls = Origin(), set[asyncio.Task[None]]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        calls.add(task)
        at.open += 1
        try:
            begin = await reader.readexactly(1)
            if begin == b"\x16":  # TLS, which no server here speaks
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                return
            head = (begin + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, _ = head.split(" ", 2)
            found = re.search(r"(?im)^range: bytes=(\d+)-(\d*)", head)
            first = int(found[1]) if found else None
            last = int(found[2]) if found and found[2] else None
            at.requests += 1
            at.seen.append(path)
            await serve(Wire(at, method, path, head.lower(), at.requests, first, last, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the other end has left
        finally:
            at.open -= 1
            calls.discard(task)
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    at.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/film.mkv"
    try:
        yield at
    finally:
        server.close()
        for call in tuple(calls):
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def _never() -> None:
    await asyncio.Event().wait()


# --- what a download gets over ----------------------------------------------------------------


@ends_right()
async def gives_the_parts_that_are_asked_for(wire: Wire) -> None:
    await wire.part('ETag: "a"')


@ends_right()
async def gives_the_whole_film_whatever_part_is_asked_for(wire: Wire) -> None:
    await wire.whole()


@ends_right()
async def says_that_it_has_ranges_and_has_none(wire: Wire) -> None:
    await wire.whole("Accept-Ranges: bytes", 'ETag: "a"')


@ends_right()
async def tells_no_length_and_sends_chunks(wire: Wire) -> None:
    await wire.raw("200 OK", "Transfer-Encoding: chunked")
    for at in range(0, len(FILM), 100_000):
        block = FILM[at : at + 100_000]
        await wire.send(f"{len(block):x}\r\n".encode() + block + b"\r\n")
    await wire.send(b"0\r\n\r\n")


@ends_right()
async def tells_no_length_and_hangs_up_at_the_end(wire: Wire) -> None:
    await wire.raw("200 OK")
    await wire.send(FILM)


@ends_right()
async def compresses_what_was_to_be_sent_plainly(wire: Wire) -> None:
    await wire.say("200 OK", "Content-Encoding: gzip", body=PACKED)


@ends_right()
async def cuts_every_connection_after_200_kb(wire: Wire) -> None:
    await wire.part_cut(200_000, 'ETag: "a"')


@ends_right()
async def is_busy_at_first_and_says_nothing_more(wire: Wire) -> None:
    if wire.number <= 2:
        await wire.say("503 Service Unavailable")
    else:
        await wire.part()


@ends_right()
async def is_busy_in_the_middle_and_says_for_how_long(wire: Wire) -> None:
    if wire.number == 2:
        await wire.say("429 Too Many Requests", "Retry-After: 0")
    else:
        await wire.part_cut(600_000)


@ends_right()
async def lets_one_connection_in_at_a_time(wire: Wire) -> None:
    if wire.origin.open > 1:
        await wire.say("503 Service Unavailable")
    else:
        await wire.part()


@ends_right()
async def leads_to_another_path_of_its_own(wire: Wire) -> None:
    if wire.path == "/film.mkv":
        await wire.say("302 Found", "Location: ../there/film.mkv?x=1")
    else:
        await wire.part()


@ends_right()
async def leads_to_a_link_that_counts_only_once(wire: Wire) -> None:
    token = wire.path.partition("?")[2]
    if not token:
        await wire.say("307 Temporary Redirect", f"Location: /film.mkv?{wire.number}")
    elif wire.origin.seen.count(wire.path) > 1:
        await wire.say("403 Forbidden")
    else:
        await wire.part_cut(500_000)


@ends_right(OTHER)
async def has_another_film_in_the_middle_and_another_etag(wire: Wire) -> None:
    if wire.number == 1:
        await wire.part_cut(600_000, 'ETag: "old"')
    elif wire.matches('"new"'):
        await wire.part('ETag: "new"', film=OTHER)
    else:
        await wire.whole('ETag: "new"', "Accept-Ranges: bytes", film=OTHER)


@ends_right(OTHER)
async def has_another_film_in_the_middle_and_does_not_know_if_range(wire: Wire) -> None:
    if wire.number == 1:
        await wire.part_cut(600_000, 'ETag: "old"')
    else:
        await wire.part('ETag: "new"', film=OTHER)


@ends_right(OTHER)
async def has_another_film_in_the_middle_and_only_a_date(wire: Wire) -> None:
    when = f"Last-Modified: Mon, 02 Nov 2026 0{min(2, wire.number)}:00:00 GMT"
    if wire.number == 1:
        await wire.part_cut(600_000, when)
    else:
        await wire.part(when, film=OTHER)


@ends_right(OTHER[:-1000])
async def has_a_shorter_film_in_the_middle(wire: Wire) -> None:
    if wire.number == 1:
        await wire.part_cut(600_000, 'ETag: "old"')
    elif wire.matches('"new"'):
        await wire.part('ETag: "new"', film=OTHER[:-1000])
    else:
        await wire.whole('ETag: "new"', "Accept-Ranges: bytes", film=OTHER[:-1000])


@ends_right()
async def has_a_weak_etag(wire: Wire) -> None:
    await wire.part_cut(600_000, 'ETag: W/"a"')


@ends_right()
async def gives_less_than_was_asked_for(wire: Wire) -> None:
    wire.last = min(len(FILM), (wire.first or 0) + 300_000) - 1
    if wire.first is None:
        await wire.whole("Accept-Ranges: bytes")
    else:
        await wire.part()


@ends_right()
async def gives_more_than_was_asked_for(wire: Wire) -> None:
    wire.last = None
    await wire.part()


@ends_right()
async def gives_another_part_now_and_then(wire: Wire) -> None:
    if wire.first and wire.number % 2 == 0:
        wire.first -= 1000
    await wire.part()


@ends_right()
async def hangs_up_without_a_word_at_first(wire: Wire) -> None:
    if wire.number > 2:
        await wire.part()


@ends_right()
async def hangs_in_the_middle_at_first(wire: Wire) -> None:
    if wire.number <= 2:
        await wire.part_cut(100_000)
        await _never()
    else:
        await wire.part()


@ends_right()
async def ends_its_chunks_too_early_at_first(wire: Wire) -> None:
    if wire.number <= 1:
        await wire.raw("200 OK", "Transfer-Encoding: chunked")
        await wire.send(b"10000\r\n" + FILM[:30_000])
    else:
        await wire.part()


@ends_right()
async def speaks_of_other_things_before_it_answers(wire: Wire) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    wire.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + hints)
    await wire.part()


@ends_right()
async def knows_no_head_requests(wire: Wire) -> None:
    if wire.method == "HEAD":
        await wire.say("405 Method Not Allowed")
    else:
        await wire.part()


@ends_right()
async def names_a_place_outside_for_the_film(wire: Wire) -> None:
    await wire.part('Content-Disposition: attachment; filename="../../../etc/film.mkv"')


@ends_right()
async def is_a_server_of_the_first_days(wire: Wire) -> None:
    wire.writer.write(f"HTTP/1.0 200 OK\r\nContent-Length: {len(FILM)}\r\n\r\n".encode())
    await wire.send(FILM)


# --- what no download can get over --------------------------------------------------------------


@fails("source_not_found", r"answered 404")
async def does_not_have_it(wire: Wire) -> None:
    await wire.say("404 Not Found", body=b"<html>no</html>")


@fails("source_rejected", r"answered 410")
async def has_it_no_more(wire: Wire) -> None:
    await wire.say("410 Gone")


@fails("source_rejected", r"credentials .*answered 401")
async def wants_a_password(wire: Wire) -> None:
    await wire.say("401 Unauthorized", 'WWW-Authenticate: Basic realm="films"')


@fails("source_rejected", r"answered 403")
async def forbids_it(wire: Wire) -> None:
    await wire.say("403 Forbidden")


@fails("source_unavailable", r"answered 500")
async def is_broken(wire: Wire) -> None:
    await wire.say("500 Internal Server Error")


@fails("source_rejected", r"redirect")
async def leads_in_a_circle(wire: Wire) -> None:
    await wire.say("302 Found", f"Location: /{'b' if wire.path == '/a' else 'a'}")


@fails("source_rejected", r"redirect")
async def leads_on_without_end(wire: Wire) -> None:
    await wire.say("302 Found", f"Location: /{wire.number}")


@fails("source_rejected", r"answered 302")
async def leads_nowhere(wire: Wire) -> None:
    await wire.say("302 Found")


@fails("source_rejected", r"http://")
async def leads_to_a_file_of_ours(wire: Wire) -> None:
    await wire.say("302 Found", "Location: file:///etc/passwd")


@fails("source_rejected", r"leads to a page")
async def shows_a_page_where_the_film_should_be(wire: Wire) -> None:
    page = b"<!DOCTYPE html><html><body>Log in first</body></html>"
    await wire.say("200 OK", "Content-Type: text/html; charset=utf-8", body=page)


@fails("source_rejected", r"answered 204")
async def has_nothing_to_say(wire: Wire) -> None:
    await wire.raw("204 No Content")


@fails("source_rejected", r"answered 304")
async def says_that_we_have_it(wire: Wire) -> None:
    await wire.raw("304 Not Modified")


@ends_right(b"")
async def has_a_film_without_bytes(wire: Wire) -> None:
    await wire.say("200 OK", "Content-Type: video/mp4")


@fails("source_unavailable", r"does not answer|too (large|long)|nonsense|HTTP")
async def sends_headers_without_end(wire: Wire) -> None:
    wire.writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        wire.writer.write(f"X-{number}: {'x' * 200}\r\n".encode())
        await wire.writer.drain()


@fails("source_unavailable", r"no answer in time|sent nothing")
async def never_says_anything(wire: Wire) -> None:
    await _never()


@fails("source_unavailable", r"no answer in time|sent nothing")
async def always_stops_at_the_same_byte(wire: Wire) -> None:
    start, _ = wire.span(FILM)
    await wire.part_cut(max(0, 500_000 - start) if start <= 500_000 else 0)
    await _never()


@fails("source_unavailable", r"connection|does not answer|too early")
async def hangs_up_before_the_first_byte_of_every_body(wire: Wire) -> None:
    await wire.part_cut(0)


@fails("source_unavailable", r"connection|does not answer")
async def hangs_up_without_a_word(wire: Wire) -> None:
    pass


@fails("source_unavailable", r"does not answer|HTTP|nonsense")
async def speaks_another_language(wire: Wire) -> None:
    wire.writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    await wire.writer.drain()


@fails("source_unavailable", r"does not speak TLS", tls=True)
async def speaks_no_tls(wire: Wire) -> None:
    await wire.part()


@fails("source_(rejected|unavailable)", r"part|range|whole")
async def gives_a_part_and_does_not_say_which(wire: Wire) -> None:
    await wire.say("206 Partial Content", body=FILM[:1000])


@fails("source_(rejected|unavailable)", r"part|range")
async def always_gives_another_part(wire: Wire) -> None:
    where = f"Content-Range: bytes 700000-{len(FILM) - 1}/{len(FILM)}"
    await wire.say("206 Partial Content", where, body=FILM[700_000:])


@fails("source_(rejected|unavailable)", r"size|length|part|changes|anew")
async def says_another_size_each_time(wire: Wire) -> None:
    start, end = wire.span(FILM)
    end = min(end, start + 100_000)
    where = f"Content-Range: bytes {start}-{end - 1}/{len(FILM) + wire.number}"
    await wire.say("206 Partial Content", where, body=FILM[start:end])


@fails("source_(rejected|unavailable)", r"sends no more")
async def refuses_every_range(wire: Wire) -> None:
    if wire.first is None:
        await wire.say("403 Forbidden")
    else:
        await wire.say("416 Range Not Satisfiable", f"Content-Range: bytes */{len(FILM)}")


@fails("source_(rejected|unavailable)", r"does not answer|length|HTTP|nonsense")
async def tells_two_lengths(wire: Wire) -> None:
    await wire.raw("200 OK", "Content-Length: 1000", f"Content-Length: {len(FILM)}")
    await wire.send(FILM)


@fails("source_(rejected|unavailable)", r"does not answer|length|HTTP|nonsense")
async def tells_a_length_below_nothing(wire: Wire) -> None:
    await wire.raw("200 OK", "Content-Length: -1")
    await wire.send(FILM)


@fails("source_rejected", r"says that the file has 400000000000000000 bytes")
async def tells_a_size_that_no_disk_here_has(wire: Wire) -> None:
    await wire.raw("200 OK", f"Content-Length: {4 * 10**17}")
    await wire.send(FILM)


@fails("source_rejected", r"says that the file has 4000000000000000000 bytes")
async def tells_a_size_that_no_disk_anywhere_has(wire: Wire) -> None:
    await wire.raw("206 Partial Content", f"Content-Range: bytes 0-999/{4 * 10**18}")
    await wire.send(FILM)


@fails("source_(rejected|unavailable)", r"changes|anew|another film|different")
async def has_another_film_at_every_request(wire: Wire) -> None:
    await wire.part_cut(200_000, f'ETag: "{wire.number}"')

"""Metalinks behind links: recognised by their answer, read within bounds."""

from __future__ import annotations

from urllib.parse import urlsplit

from chilly_movies.drivers.http.hosts import Host
from chilly_movies.drivers.http.metalink import MAX_DOCUMENT, MetalinkFile, is_metalink, parse
from chilly_movies.drivers.http.requests import Answer, Requests
from chilly_movies.errors import SourceRejected


class MetalinkFoundError(Exception):
    """What the source's server sends is no film: it says where there is one.

    Args:
        file: what it says.
    """

    def __init__(self, file: MetalinkFile) -> None:
        super().__init__(file.path)
        self.file = file


def is_document(answer: Answer) -> bool:
    """Whether an answer is a metalink."""
    kind = answer.headers.get("content-type", "")
    return is_metalink(kind, urlsplit(answer.link).path)


async def read_document(answer: Answer, silence: float) -> MetalinkFile:
    """The only file of the metalink that an answer is.

    Raises:
        SourceRejected: it is broken, too large, or of several files.
        SourceUnavailable: the connection broke.
    """
    document = bytearray()
    while block := await answer.block(1, 0.0, silence):
        document += block
        if len(document) > MAX_DOCUMENT:
            raise SourceRejected(f"The metalink is larger than {MAX_DOCUMENT >> 20} MiB.")
    return _only(parse(bytes(document)))


async def ask_document(host: Host, requests: Requests) -> MetalinkFile:
    """The only file of the metalink behind a link.

    Raises:
        SourceRejected: it is none any more, broken, too large, or of several files.
        DownloadError: there is no answer.
    """
    async with requests.open(host, 0, None, None) as answer:
        if not is_document(answer):
            raise SourceRejected("The link was of a metalink, and is of something else now.")
        return await read_document(answer, requests.patience.silence)


def _only(files: tuple[MetalinkFile, ...]) -> MetalinkFile:
    if len(files) == 1:
        return files[0]
    names = ", ".join(file.path.rpartition("/")[2] for file in files[:3])
    more = ", ..." if len(files) > 3 else ""
    raise SourceRejected(
        f"The metalink is of {len(files)} files ({names}{more}), and a download over http is of "
        "one: start one for the link of each."
    )

"""Metalinks: what a document (RFC 5854, and version 3) or an answer's headers (RFC 6249) say. Pure.

Whoever wrote them is a stranger. No document type is read, so there are no entities; how much is
read is bounded, and a name leads nowhere but into the film's folder. What is said of the bytes
(sizes, hashes) is for others to compare; a link is for others to judge.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin
from xml.parsers import expat

from chilly_movies.errors import SourceRejected
from chilly_movies.names import safe_paths

MAX_DOCUMENT: Final = 16 * 1024 * 1024
"""Bytes of a document: the hashes of 200,000 pieces have room in it."""
MAX_FILES: Final = 1000
MAX_LINKS: Final = 50
"""Links kept of a file, the preferred ones: as many as a job may have mirrors."""
_MAX_LINK: Final = 8192
_DEEPEST: Final = 32
_LEAST: Final = 999_999
"""The priority of a link that has none (RFC 5854, 4.2.16.3); lower is sooner."""
_TYPES: Final = ("application/metalink4+xml", "application/metalink+xml")
_SPACES: Final = {"urn:ietf:params:xml:ns:metalink": 4, "http://www.metalinker.org/": 3}
_DIGESTS: Final = {"sha512": 64, "sha384": 48, "sha256": 32, "sha1": 20, "md5": 16}
"""Bytes of a digest by its kind, the strongest first; `sha-1` and `SHA1` are the same kind."""


@dataclass(frozen=True, slots=True)
class Digest:
    """The hash of some bytes.

    Attributes:
        kind: the name by which `hashlib` knows it: `sha512 sha384 sha256 sha1 md5`.
        value: the digest.
    """

    kind: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Pieces:
    """The hashes of a file's pieces.

    Attributes:
        length: bytes of each piece but the last, which may be shorter.
        kind: as in `Digest`.
        digests: one for each piece.
    """

    length: int
    kind: str
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """One place a file can be had from.

    Attributes:
        url: an http or https link.
        priority: 1 to 999,999, the lower the better.
        location: a country's two letters, None if it is not said.
    """

    url: str
    priority: int = _LEAST
    location: str | None = None


@dataclass(frozen=True, slots=True)
class MetalinkFile:
    """One file of a metalink.

    Attributes:
        path: harmless, relative; `/` separates folders.
        size: bytes, None if it is not said.
        digest: of the whole file, the strongest that is said.
        pieces: None if there are no hashes of pieces.
        links: the preferred ones first, each once.
    """

    path: str
    size: int | None = None
    digest: Digest | None = None
    pieces: Pieces | None = None
    links: tuple[Link, ...] = ()

    @property
    def fingerprint(self) -> str | None:
        """What tells its bytes from others, None if there are no hashes."""
        if self.digest is not None:
            return f"{self.digest.kind}:{self.digest.value.hex()}"
        if self.pieces is not None:
            return f"pieces:{hashlib.sha256(b''.join(self.pieces.digests)).hexdigest()}"
        return None


@dataclass(frozen=True, slots=True)
class Told:
    """What the headers of an answer say of the file (RFC 6249).

    Attributes:
        mirrors: further places for the same file, the preferred ones first.
        document: where its metalink lies, None if none is named.
        digest: of the whole file, the strongest that is said.
    """

    mirrors: tuple[Link, ...] = ()
    document: str | None = None
    digest: Digest | None = None


def is_metalink(content_type: str, path: str) -> bool:
    """Whether an answer is a metalink, by its type or, where that says nothing, by its name."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _TYPES:
        return True
    says_nothing = kind in ("", "application/octet-stream", "application/xml", "text/xml")
    return says_nothing and path.lower().endswith((".meta4", ".metalink"))


def parse(document: bytes) -> tuple[MetalinkFile, ...]:
    """The files of a metalink, which all have a link.

    Raises:
        SourceRejected: it is none, it is broken, or it is larger than any should be.
    """
    if len(document) > MAX_DOCUMENT:
        raise SourceRejected(f"The metalink is larger than {MAX_DOCUMENT >> 20} MiB.")
    reader = _Reader()
    try:
        reader.read(document)
    except expat.ExpatError as error:
        raise SourceRejected(f"The metalink is broken in line {error.lineno}.") from None
    except ValueError as error:
        raise SourceRejected(f"The metalink is broken: {error}.") from None
    if not reader.files:
        raise SourceRejected("The metalink names no file.")
    paths = safe_paths(one.name for one in reader.files)
    return tuple(one.made(path) for one, path in zip(reader.files, paths, strict=True))


def told_by(headers: Iterable[tuple[str, str]], url: str) -> Told:
    """What an answer's headers say of the file; what is malformed in them says nothing.

    Args:
        headers: names and values.
        url: where the answer came from; links are relative to it.
    """
    links: list[Link] = []
    digests: list[Digest] = []
    document = None
    for name, value in ((name.lower(), value) for name, value in headers):
        if name == "link":
            for target, given in _link_values(value):
                relation, place = given.get("rel", "").lower().split(), _joined(url, target)
                if "duplicate" in relation and _is_link(place):
                    links.append(
                        Link(place, _number(given.get("pri", ""), _LEAST), given.get("geo"))
                    )
                elif (
                    _is_link(place)
                    and "describedby" in relation
                    and given.get("type", "").lower() == _TYPES[0]
                ):
                    document = document or place
        elif name in ("digest", "repr-digest"):
            digests += _digests(value)
    return Told(_preferred(links), document, _strongest(digests))


# --- documents ------------------------------------------------------------------------------


@dataclass(slots=True)
class _File:
    """A file while its element is read."""

    name: str
    size: int | None = None
    digests: list[Digest] = field(default_factory=list)
    piece_length: int = 0
    piece_kind: str | None = None
    pieces: list[bytes] = field(default_factory=list)
    found: Pieces | None = None
    links: list[Link] = field(default_factory=list)

    def begin_pieces(self, kind: str | None, length: int) -> None:
        """Read the hashes of pieces from now on; of a kind we do not know they say nothing."""
        if kind is not None and length <= 0:
            raise ValueError("its pieces have no length")
        self.piece_length, self.piece_kind, self.pieces = length, kind, []

    def end_pieces(self) -> None:
        """Keep the pieces if they are of a stronger kind than those before."""
        kind, known = self.piece_kind, list(_DIGESTS)
        if kind is None or not self.pieces:
            return
        if self.found is None or known.index(kind) < known.index(self.found.kind):
            self.found = Pieces(self.piece_length, kind, tuple(self.pieces))

    def made(self, path: str) -> MetalinkFile:
        """The same as a value.

        Raises:
            SourceRejected: it has no link of ours, or its pieces do not fill it.
        """
        name = path.rpartition("/")[2]
        if not self.links:
            raise SourceRejected(f"The metalink has no http link for '{name}'.")
        pieces = self.found
        if pieces is not None and self.size is not None:
            needed = -(-self.size // pieces.length)
            if len(pieces.digests) != needed:
                raise SourceRejected(
                    f"The metalink is broken: '{name}' has {needed} pieces by its size, and hashes "
                    f"of {len(pieces.digests)}."
                )
        return MetalinkFile(
            path, self.size, _strongest(self.digests), pieces, _preferred(self.links)
        )


class _Reader:
    """Reads a document of either version; what it does not know it leaves out."""

    def __init__(self) -> None:
        self.files: list[_File] = []
        self._where: list[str] = []
        self._text: list[str] = []
        self._given: Mapping[str, str] = {}
        self._version = 0

    def read(self, document: bytes) -> None:
        """Read it all.

        Raises:
            ExpatError: it is no XML.
            ValueError: it is XML and no metalink; the message is a clause.
        """
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.buffer_text = True
        parser.Parse(document, True)

    def _begin(self, name: str, given: Mapping[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if not self._where:
            self._version = _SPACES.get(space, 0)
            if local != "metalink" or not self._version:
                raise ValueError("it is XML of another kind")
        if len(self._where) == _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep")
        ours = _SPACES.get(space) == self._version
        self._where.append(local if ours else "?")
        self._text.clear()
        self._given = given
        if local == "file" and self._path == "file":
            self._begin_file(given)
        elif self._path == "file/pieces" and self.files:
            length = _number(given.get("length", ""), 0)
            self.files[-1].begin_pieces(_kind(given.get("type", "")), length)

    def _begin_file(self, given: Mapping[str, str]) -> None:
        if len(self.files) == MAX_FILES:
            raise ValueError(f"it has more than {MAX_FILES} files")
        if not (name := given.get("name", "").strip()):
            raise ValueError("a file in it has no name")
        if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name):
            raise ValueError("the name of a file in it leads out of its folder")
        self.files.append(_File(name))

    @property
    def _path(self) -> str:
        """Where the reader is, by the names of version 4: `file`, `file/url` and so on."""
        aside = ("metalink", "files", "verification", "resources") if self._version == 3 else ()
        return "/".join(name for name in self._where[1:] if name not in aside)

    def _end(self, _name: str) -> None:
        text, path = "".join(self._text).strip(), self._path
        self._text.clear()
        self._where.pop()
        if not self.files:
            return
        known: Mapping[str, Callable[[_File, str], None]] = {
            "file/size": self._take_size,
            "file/hash": self._take_hash,
            "file/url": self._take_link,
            "file/pieces/hash": self._take_piece,
            "file/pieces": lambda file, _text: file.end_pieces(),
        }
        if (take := known.get(path)) is not None:
            take(self.files[-1], text)

    def _take_size(self, file: _File, text: str) -> None:
        file.size = _number(text, -1)
        if not 0 <= file.size < 2**53:
            raise ValueError("the size of a file in it is no number")

    def _take_hash(self, file: _File, text: str) -> None:
        if (kind := _kind(self._given.get("type", ""))) is not None:
            file.digests.append(Digest(kind, _from_hex(kind, text)))

    def _take_piece(self, file: _File, text: str) -> None:
        if file.piece_kind is None:
            return
        if "piece" in self._given and _number(self._given["piece"], -1) != len(file.pieces):
            raise ValueError("its pieces are not in order")
        file.pieces.append(_from_hex(file.piece_kind, text))

    def _take_link(self, file: _File, text: str) -> None:
        given = self._given
        if not _is_link(text) or given.get("type", "http").lower() not in ("http", "https"):
            return  # in version 3 the link of a torrent looks like any other
        if self._version == 3:
            priority = 101 - min(100, _number(given.get("preference", ""), 0))
        else:
            priority = _number(given.get("priority", ""), _LEAST)
        file.links.append(Link(text, priority, given.get("location")))


def _refuse_doctype(*_: object) -> None:
    raise ValueError("it has a document type, which no metalink needs")


# --- headers --------------------------------------------------------------------------------

_VALUE: Final = r'"(?:[^"\\]|\\.)*"|[^\s;,"]*'
_PARAMETER: Final = re.compile(rf"\s*;\s*([\w!#$&+.^`|~*-]+)(?:\s*=\s*({_VALUE}))?")
_TARGET: Final = re.compile(r"[\s,]*<([^>]*)>")


def _link_values(value: str) -> Iterable[tuple[str, dict[str, str]]]:
    """The targets of a `Link` header with their parameters (RFC 8288), as far as it is well."""
    at = 0
    while (target := _TARGET.match(value, at)) is not None:
        at = target.end()
        given: dict[str, str] = {}
        while (parameter := _PARAMETER.match(value, at)) is not None:
            at = parameter.end()
            given.setdefault(parameter[1].lower(), (parameter[2] or "").strip('"'))
        yield target[1].strip(), given


def _digests(value: str) -> Iterable[Digest]:
    """The digests of a `Digest` (RFC 3230) or `Repr-Digest` (RFC 9530) header."""
    for item in value.split(","):
        name, _, text = item.strip().partition("=")
        if (kind := _kind(name)) is None:
            continue
        try:
            found = base64.b64decode(text.strip().strip(":"), validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(found) == _DIGESTS[kind]:
            yield Digest(kind, found)


def _joined(url: str, target: str) -> str:
    """Where a relative link leads; "" if it is none."""
    try:
        return urljoin(url, target)
    except ValueError:
        return ""


# --- both -----------------------------------------------------------------------------------


def _kind(name: str) -> str | None:
    """The kind of a digest by any of its spellings, None if we do not know it."""
    plain = name.strip().lower().replace("-", "")
    plain = "sha1" if plain == "sha" else plain  # so is it called by RFC 3230
    return plain if plain in _DIGESTS else None


def _from_hex(kind: str, text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != _DIGESTS[kind]:
        raise ValueError(f"a {kind} in it is none")
    return found


def _number(text: str, otherwise: int) -> int:
    """A whole number of at most 16 digits, or what stands for anything else."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else otherwise


def _is_link(text: str) -> bool:
    return text.lower().startswith(("http://", "https://")) and len(text) <= _MAX_LINK


def _strongest(digests: Iterable[Digest]) -> Digest | None:
    order = list(_DIGESTS)
    return min(digests, key=lambda digest: order.index(digest.kind), default=None)


def _preferred(links: Iterable[Link]) -> tuple[Link, ...]:
    """The best links, each once."""
    once: dict[str, Link] = {}
    for link in sorted(links, key=lambda link: link.priority):
        once.setdefault(link.url, link)
    return tuple(once.values())[:MAX_LINKS]

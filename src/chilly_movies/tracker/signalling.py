"""WebRTC signalling by a tracker: what WebTorrent clients say to it, and what it answers.

The protocol has no BEP; it is what the WebTorrent project's tracker and libtorrent speak:
JSON objects in text frames, in which 20 bytes are written as 20 characters of Latin-1. A
client announces itself together with WebRTC offers; the tracker hands each offer to another
member of the swarm, and the answer back to who offered. From there on the two talk directly.

Nothing here does input or output: a `Client` has a function that takes what is for it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from chilly_movies.tracker.swarms import IPAddress, Peer, SwarmTable

MAX_MESSAGE_BYTES = 65_536
"""Room for 20 offers of an honest size."""
MAX_OFFERS = 10
"""How many offers of one announce are passed on; libtorrent makes 10, WebTorrent 5."""
MAX_SDP = 16_384
"""Characters of a session description; honest ones have 500 to 5,000."""
MAX_SCRAPE = 64
MAX_MEMBERSHIPS = 200
"""How many swarms one connection may be in; libtorrent uses one for all its torrents."""
MAX_UNANSWERED = 128
"""How many offers are remembered for one client to answer; the oldest is forgotten first."""

_ID_LENGTH = 20


class BadMessage(Exception):
    """A message the tracker cannot act on; its text is the `failure reason`."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A WebRTC offer, and the name its answer has to give."""

    offer_id: bytes
    sdp: str


@dataclass(frozen=True, slots=True)
class Announce:
    """A message of a client that takes part, or no longer does, and offers connections."""

    info_hash: bytes
    peer_id: bytes
    event: str
    complete: bool
    offers: tuple[Offer, ...]
    surplus: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A message of a client that accepts an offer it was handed."""

    info_hash: bytes
    peer_id: bytes
    to_peer_id: bytes
    offer_id: bytes
    sdp: str


@dataclass(frozen=True, slots=True)
class Scrape:
    """A question how large swarms are."""

    info_hashes: tuple[bytes, ...]


Message: TypeAlias = Announce | Answer | Scrape
Fields: TypeAlias = dict[str, Any]


# --- reading ------------------------------------------------------------------------


def read_object(text: str | None) -> Fields:
    """Reads the JSON object of a frame.

    Args:
        text: its text; None if it was binary.

    Raises:
        BadMessage: it is binary, no JSON, or JSON but no object.
    """
    if text is None:
        raise BadMessage("messages must be text, not binary")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):  # nested too deep, numbers too long, or no JSON
        raise BadMessage("this is no JSON we can read") from None
    if not isinstance(fields, dict):
        raise BadMessage("a message must be a JSON object")
    return fields


def parse(fields: Fields) -> Message:
    """Understands a message; what it does not know of is left unread.

    Args:
        fields: what `read_object` gave.

    Raises:
        BadMessage: something needed is missing or makes no sense.
    """
    action = fields.get("action")
    if action == "scrape":
        wanted = fields.get("info_hash")
        wanted = wanted if isinstance(wanted, list) else [wanted]
        if not 1 <= len(wanted) <= MAX_SCRAPE:
            raise BadMessage(f"give 1 to {MAX_SCRAPE} info_hash")
        return Scrape(tuple(_binary({"info_hash": one}, "info_hash") for one in wanted))
    if action != "announce":
        raise BadMessage("action must be announce or scrape")
    if fields.get("answer") is None:
        return _parse_announce(fields)
    return Answer(
        info_hash=_binary(fields, "info_hash"),
        peer_id=_binary(fields, "peer_id"),
        to_peer_id=_binary(fields, "to_peer_id"),
        offer_id=_binary(fields, "offer_id"),
        sdp=_sdp(fields, "answer"),
    )


def _parse_announce(fields: Fields) -> Announce:
    info_hash, peer_id = _binary(fields, "info_hash"), _binary(fields, "peer_id")
    event, given = fields.get("event"), fields.get("offers")
    if not isinstance(event, str | None):
        raise BadMessage("event must be a string")
    if not isinstance(given, list | None):
        raise BadMessage("offers must be an array")
    left, wanted, offers = fields.get("left"), fields.get("numwant"), []
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 0:
        wanted = MAX_OFFERS
    for entry in (given or [])[: min(wanted, MAX_OFFERS)]:
        if not isinstance(entry, dict):
            raise BadMessage("each of the offers must be an object")
        offers.append(Offer(_binary(entry, "offer_id"), _sdp(entry, "offer")))
    return Announce(
        info_hash=info_hash,
        peer_id=peer_id,
        event=event or "",
        complete=isinstance(left, int | float) and not isinstance(left, bool) and left == 0,
        offers=tuple(offers),
        surplus=max(0, len(given or []) - MAX_OFFERS),
    )


def _binary(fields: Fields, name: str) -> bytes:
    """Twenty bytes that were sent as twenty characters."""
    value = fields.get(name)
    if isinstance(value, str) and len(value) == _ID_LENGTH:
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            pass
    raise BadMessage(f"{name} must be a string of {_ID_LENGTH} characters, each one byte")


def _sdp(fields: Fields, kind: Literal["offer", "answer"]) -> str:
    """The session description of an offer or answer; nothing else of it is passed on."""
    description = fields.get(kind)
    if not isinstance(description, dict) or description.get("type") != kind:
        raise BadMessage(f"{kind} must be an object of type {kind}")
    sdp = description.get("sdp")
    if not isinstance(sdp, str) or not 0 < len(sdp) <= MAX_SDP:
        raise BadMessage(f"sdp must be a string of at most {MAX_SDP} characters")
    try:
        sdp.encode()
    except UnicodeEncodeError:  # half a surrogate pair: the receiver could not read its frame
        raise BadMessage("sdp must be text") from None
    return sdp


# --- answering ----------------------------------------------------------------------


class Send(Protocol):
    """Takes a message for one client and never waits."""

    def __call__(self, text: str, /, *, from_others: bool) -> None:
        """Takes it; one that comes from another client may get lost."""


@dataclass(eq=False, slots=True, weakref_slot=True)
class Client:
    """One connection, which may be in several swarms, in each under a peer id of its own."""

    ip: IPAddress
    port: int
    send: Send
    memberships: dict[tuple[bytes, bytes], Peer] = field(default_factory=dict)
    unanswered: OrderedDict[tuple[bytes, bytes, bytes], Client] = field(default_factory=OrderedDict)


class Signalling:
    """Introduces the clients of a table's swarms to each other.

    An answer is passed on only by who was handed the offer, once, and to who made it; so a
    client hears nothing it did not ask for, and needs nobody to vouch for a peer id.

    Args:
        swarms: the clients that take part; HTTP peers in it are counted and never sent anything.
        interval: the seconds between two announces that clients are asked for.
        max_memberships: how many swarms one connection may be in.
    """

    def __init__(
        self, swarms: SwarmTable, *, interval: int, max_memberships: int = MAX_MEMBERSHIPS
    ) -> None:
        self._swarms = swarms
        self._interval = interval
        self._max_memberships = max_memberships

    def take(self, client: Client, text: str | None) -> int:
        """Acts on one frame and answers it; nothing a client sends makes this fail.

        Args:
            client: whose frame it is.
            text: its text; None if it was binary.

        Returns:
            How much work it caused, in messages.
        """
        fields: Fields = {}
        try:
            fields = read_object(text)
            match parse(fields):
                case Announce() as asked:
                    return self._announce(client, asked)
                case Answer() as given:
                    return self._answer(client, given)
                case Scrape() as wanted:
                    return self._scrape(client, wanted)
        except BadMessage as error:
            failure: Fields = {
                "action": "scrape" if fields.get("action") == "scrape" else "announce",
                "failure reason": str(error),
            }
            with suppress(BadMessage):  # without a torrent it is about the message as a whole
                failure["info_hash"] = _characters(_binary(fields, "info_hash"))
            client.send(_encoded(failure), from_others=False)
        return 1

    def leave(self, client: Client) -> None:
        """Takes a client out of all its swarms; it is gone."""
        for (info_hash, _), peer in client.memberships.items():
            self._swarms.leave(info_hash, peer)
        client.memberships.clear()
        client.unanswered.clear()  # else clients long gone would keep each other in memory

    def _announce(self, client: Client, asked: Announce) -> int:
        peer = Peer(asked.peer_id, client.ip, client.port, asked.complete, channel=client)
        membership = asked.info_hash, asked.peer_id
        others: list[Peer] = []
        if asked.event == "stopped":
            self._swarms.leave(asked.info_hash, peer)
            client.memberships.pop(membership, None)
        else:
            full = len(client.memberships) >= self._max_memberships
            if full and membership not in client.memberships:
                raise BadMessage(f"one connection may be in {self._max_memberships} swarms at most")
            completed = asked.event == "completed" and asked.complete
            self._swarms.join(asked.info_hash, peer, just_completed=completed)
            client.memberships[membership] = peer
            others = self._swarms.peers_for(asked.info_hash, peer, len(asked.offers))
        client.send(self._state(asked), from_others=False)
        for offer, other in zip(asked.offers, others, strict=False):
            receiver = other.channel
            if isinstance(receiver, Client):
                receiver.unanswered[asked.info_hash, asked.peer_id, offer.offer_id] = client
                while len(receiver.unanswered) > MAX_UNANSWERED:
                    receiver.unanswered.popitem(last=False)
                text = _description("offer", asked, offer.offer_id, offer.sdp)
                receiver.send(text, from_others=True)
        return 1 + min(len(asked.offers), len(others))

    def _state(self, asked: Announce) -> str:
        counts = self._swarms.counts(asked.info_hash)
        state: Fields = {
            "action": "announce",
            "info_hash": _characters(asked.info_hash),
            "interval": self._interval,
            "complete": counts.complete,
            "incomplete": counts.incomplete,
        }
        if asked.surplus:
            state["warning message"] = f"only the first {MAX_OFFERS} offers are passed on"
        return _encoded(state)

    def _answer(self, client: Client, given: Answer) -> int:
        """Passes an answer on; says nothing in return, as clients would take it amiss.

        libtorrent takes any failure for that of its last announce, and WebTorrent's tracker
        is silent here, too. An offer whose maker has left is nobody's fault anyway.
        """
        if (given.info_hash, given.peer_id) not in client.memberships:
            return 1
        offer = given.info_hash, given.to_peer_id, given.offer_id
        receiver = client.unanswered.pop(offer, None)
        if receiver is None or (given.info_hash, given.to_peer_id) not in receiver.memberships:
            return 1
        receiver.send(_description("answer", given, given.offer_id, given.sdp), from_others=True)
        return 2

    def _scrape(self, client: Client, asked: Scrape) -> int:
        files: Fields = {}
        for info_hash in asked.info_hashes:
            counts = self._swarms.counts(info_hash)
            files[_characters(info_hash)] = {
                "complete": counts.complete,
                "incomplete": counts.incomplete,
                "downloaded": counts.downloaded,
            }
        flags = {"min_request_interval": self._interval}
        client.send(
            _encoded({"action": "scrape", "files": files, "flags": flags}), from_others=False
        )
        return 1


def _description(
    kind: Literal["offer", "answer"], message: Announce | Answer, offer_id: bytes, sdp: str
) -> str:
    return _encoded(
        {
            "action": "announce",
            "info_hash": _characters(message.info_hash),
            "peer_id": _characters(message.peer_id),
            "offer_id": _characters(offer_id),
            kind: {"type": kind, "sdp": sdp},
        }
    )


def _characters(data: bytes) -> str:
    return data.decode("latin-1")


def _encoded(fields: Fields) -> str:
    return json.dumps(fields, separators=(",", ":"))

"""Signalling with clients that are addressed by number, for tests."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from chilly_movies.tracker.signalling import Client, Signalling
from chilly_movies.tracker.swarms import SwarmTable

HASH = bytes(range(236, 256))
OTHER = b"another swarm's hash"
LOOPBACK = ipaddress.ip_address("127.0.0.1")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def chars(data: bytes) -> str:
    return data.decode("latin-1")


def peer_id(number: int) -> bytes:
    return b"-WW0000-\xff\xfe%010d" % number


def offer(number: int, sdp: str = "v=0 offer") -> dict[str, Any]:
    return {"offer_id": chars(b"%020d" % number), "offer": {"type": "offer", "sdp": sdp}}


def announce(number: int = 1, *, offers: Any = 0, **changes: Any) -> dict[str, Any]:
    """What client `number` sends, with so many offers; a change to None takes a field away."""
    if isinstance(offers, int):
        offers = [offer(100 * number + i) for i in range(offers)]
    fields = {
        "action": "announce", "info_hash": chars(HASH), "peer_id": chars(peer_id(number)),
        "numwant": 50, "uploaded": 0, "downloaded": 0, "left": 5, "event": "started",
        "offers": offers, **changes,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


def answer(number: int, to: int, offer_number: int, **changes: Any) -> dict[str, Any]:
    fields = {
        "action": "announce", "info_hash": chars(HASH), "peer_id": chars(peer_id(number)),
        "to_peer_id": chars(peer_id(to)), "offer_id": chars(b"%020d" % offer_number),
        "answer": {"type": "answer", "sdp": "v=0 answer"}, **changes,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


class Mailbox:
    """What one client was sent."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def __call__(self, text: str, /, *, from_others: bool) -> None:
        self.messages.append(json.loads(text))
        assert from_others == ("offer" in self.messages[-1] or "answer" in self.messages[-1])

    def taken(self) -> list[dict[str, Any]]:
        messages, self.messages = self.messages, []
        return messages


class Room:
    """Signalling with clients that are addressed by number."""

    def __init__(self, table: SwarmTable | None = None, **options: int) -> None:
        self.table = table or SwarmTable()
        self.signalling = Signalling(self.table, interval=60, **options)
        self.clients: dict[int, Client] = {}

    def client(self, number: int) -> Client:
        made = Client(LOOPBACK, 50_000 + number, Mailbox())
        return self.clients.setdefault(number, made)

    def say(self, number: int, message: Any) -> list[dict[str, Any]]:
        """Sends a message, text or what will be JSON, and takes what came back to the sender."""
        text = message if isinstance(message, str | None) else json.dumps(message)
        self.signalling.take(self.client(number), text)
        return self.heard(number)

    def heard(self, number: int) -> list[dict[str, Any]]:
        mailbox = self.client(number).send
        assert isinstance(mailbox, Mailbox)
        return mailbox.taken()

    def leave(self, number: int) -> None:
        self.signalling.leave(self.clients.pop(number))

    def refusal(self, message: Any) -> str:
        [failure] = self.say(1, message)
        return str(failure["failure reason"])

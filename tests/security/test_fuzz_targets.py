"""What the fuzzers begin with, what they broke once, and a little of what they do."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from lab.fuzz.targets import TARGETS

FOUND = Path(__file__).parents[2] / "lab" / "fuzz" / "found"
KEPT = sorted(path for path in FOUND.glob("*/*") if path.is_file())
_TRIES = 300
_SECONDS = 2.0
_ODD = (
    b"",
    b"\0",
    b"\xff",
    b"\n",
    b"..",
    b"/",
    b"-1",
    b"%00",
    b"9" * 20,
    b'"',
    b"\xed\xa0\x80",
    b"&",
)


def mutated(dice: random.Random, data: bytes, other: bytes) -> bytes:
    """The input, changed in one to four places."""
    made = bytearray(data)
    for _ in range(dice.randrange(1, 5)):
        at, to = sorted((dice.randrange(len(made) + 1), dice.randrange(len(made) + 1)))
        match dice.randrange(5):
            case 0:
                made[at:to] = b""
            case 1:
                made[at:at] = dice.choice(_ODD)
            case 2:
                made[at : at + 1] = bytes([dice.randrange(256)])
            case 3:
                made[at:at] = made[at:to]
            case _:
                made[at:] = other[dice.randrange(len(other) + 1) :]
    return bytes(made)


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_input_breaks_no_promise(name: str) -> None:
    target = TARGETS[name]
    for data in (b"", *target.seeds):
        target.run(data)
    dice, end = random.Random(name), time.monotonic() + _SECONDS
    for _ in range(_TRIES):
        target.run(
            mutated(dice, dice.choice(target.seeds), dice.choice(target.seeds))[: target.most]
        )
        if time.monotonic() > end:  # the first ones are always the same ones
            break


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_broke_a_promise_once_does_so_no_more(path: Path) -> None:
    TARGETS[path.parent.name].run(path.read_bytes())

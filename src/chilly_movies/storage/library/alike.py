"""What somebody may have meant who mistyped words: words of the library that are like them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from chilly_movies.storage.library.words import begins, holds

Phrase: TypeAlias = tuple[str, ...]

_MOST: Final = 20
"""So many words are taken for each that was typed, the nearest ones."""
_SHORTEST_BEGUN: Final = 5
"""Letters of a word from which on it may be mistyped and only begun, both."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read what was typed.

    Attributes:
        groups: for each word what it may stand for, and how far that is from what was typed, in
            letters; a phrase at 0 is what was typed, whole or begun.
        extra: what reading it so costs, in letters.
    """

    groups: tuple[Mapping[Phrase, int], ...]
    extra: int = 0

    def distance(self, parts: Iterable[Sequence[str]]) -> int | None:
        """How far an item with these texts is from it, in letters; None = it is none of these."""
        texts, total = [*parts], self.extra
        words = {word for text in texts for word in text}
        for group in self.groups:
            near = [far for phrase, far in group.items() if _has(texts, words, phrase, far)]
            if not near:
                return None
            total += min(near)
        return total


def _has(texts: Sequence[Sequence[str]], words: Set[str], phrase: Phrase, far: int) -> bool:
    """Whether texts, whose words these are, have a phrase: whole, or what was typed only begun."""
    if len(phrase) == 1:
        [one] = phrase
        return one in words if far else any(word.startswith(one) for word in words)
    return any(holds(text, phrase, whole=far > 0) for text in texts)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of the library.

    Attributes:
        near: words that might be like one; some may be far from it.
        known: those of some words that are in the library.
    """

    near: Callable[[str], Iterable[str]]
    known: Callable[[Sequence[str]], Set[str]]


def readings(terms: Sequence[Phrase], vocabulary: Vocabulary) -> list[Reading]:
    """The ways to read what was typed: with other letters, and with a space more or less."""
    groups = [_group(term, vocabulary) for term in terms]
    found = [Reading(tuple(groups))]
    joined = [first + second for first, second in pairwise("".join(term) for term in terms)]
    there = vocabulary.known(joined)
    for at, word in enumerate(joined):
        if word in there:
            pair: Mapping[Phrase, int] = {(word,): 0}
            found.append(Reading((*groups[:at], pair, *groups[at + 2 :]), extra=1))
    return found


def _group(term: Phrase, vocabulary: Vocabulary) -> Mapping[Phrase, int]:
    """What a word may stand for. Letters that are words of their own stand for themselves."""
    if len(term) > 1:
        return {term: 0}
    [word] = term
    near: dict[Phrase, int] = {}
    for other in vocabulary.near(word):
        if far := _far(word, other):
            near[other,] = far
    halves = [(word[:at], word[at:]) for at in range(2, len(word) - 1)]
    there = vocabulary.known([half for pair in halves for half in pair])
    near |= {pair: 1 for pair in halves if there >= {*pair}}
    best = sorted(near.items(), key=lambda one: (one[1], one[0]))[:_MOST]
    return {term: 0, **dict(best)}


def _far(word: str, other: str) -> int | None:
    """How many letters another word differs in; None = in too many, or it is begun by the word."""
    from rapidfuzz.distance import OSA  # loaded where somebody mistypes

    most = 0 if len(word) < 3 else 1 if len(word) < 6 else 2
    if begins((other,), (word,)):
        return None
    far = OSA.distance(word, other, score_cutoff=most)
    if far > most and len(word) >= _SHORTEST_BEGUN:
        far = OSA.distance(word, other[: len(word)], score_cutoff=most)
    return int(far) if far <= most else None

"""Asks web seeds again that the engine has given up.

libtorrent 2.0 and 2.1 never ask a web seed again that once answered with an error, were it 503 with
`Retry-After`, nor one that led to an address which did; what is added anew is asked anew. Proven by
`tests/integration/test_web_seeds.py`; dropped when the engine asks again by itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

_RARELY = 900.0
"""Seconds between two tries of a web seed that goes on failing, at most."""
_PARTS = re.compile(
    r"(https?)://(?:[^/@]*@)?(\[[^\]/]*\]|[^:/]*)(?::([0-9]{1,5}))?(?:/.*)?", re.DOTALL
)
_PORTS = {"http": 80, "https": 443}


class WebSeeds:
    """The web seeds of one torrent.

    Attributes:
        urls: those it has.
        problems: what went wrong with which, as long as none of them sends.

    Args:
        handle: the engine's torrent.
        urls: as the engine was given them.
        first_retry: seconds until one that failed is asked again; then ever later.
    """

    def __init__(self, handle: Any, urls: Iterable[str] = (), first_retry: float = 30.0) -> None:
        self.urls = list(urls)
        self._first_retry = first_retry
        self.problems: dict[str, str] = {}
        self._handle = handle
        self._waits: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._connected = False

    def change(self, gone: Collection[str], new: Iterable[str], problems: dict[str, str]) -> None:
        """Takes some out and others in.

        Args:
            gone: those that may be asked no more, unless they are among the new ones.
            new: those that the engine was given.
            problems: of those that it was not given.
        """
        new = list(new)
        for url in gone:
            if url not in new:
                self._due.pop(url, None)
                self._waits.pop(url, None)
                self.problems.pop(url, None)
        self.urls = list(dict.fromkeys([u for u in self.urls if u not in gone] + new))
        self.problems |= problems

    def failed(self, url: str, problem: str, now: float) -> None:
        """The engine gave one up, or where it led to.

        Args:
            url: of what was asked for: the web seed, or a file below it.
            problem: why.
            now: monotonic seconds.
        """
        seed = next((one for one in self.urls if url.startswith(one)), url)
        wait = self._waits.get(seed, self._first_retry)
        self._waits[seed] = min(2 * wait, _RARELY)
        self._due[seed] = now + wait
        self.problems[seed] = problem

    def banned(self, url: str) -> None:
        """One sent wrong data, and is not asked again."""
        self.urls = [one for one in self.urls if one != url]
        self._due.pop(url, None)
        self.problems[url] = "it sent wrong data"

    def broke_off(self, address: tuple[str, int], problem: str) -> None:
        """A connection ended with an error; if it was to a web seed the engine asks it again."""
        for url in self.urls:
            parts = _PARTS.fullmatch(url)
            if parts is None or int(parts[3] or _PORTS[parts[1]]) != address[1]:
                continue
            host = parts[2].strip("[]")
            # of a name nobody tells the address, so that its port alone counts
            if host == address[0] or not re.fullmatch(r"[0-9.]+|.*:.*", host):
                self.problems[url] = problem

    def note(self, received: Sequence[int]) -> None:
        """Notes how many bytes came over each connection to a web seed."""
        self._connected = bool(received)
        if any(received):
            self.problems.clear()
            self._waits.clear()

    def ask_again(self, now: float) -> None:
        """Adds those anew whose time has come."""
        for seed in [url for url, due in self._due.items() if due <= now]:
            if seed in self.urls:
                self._add_anew([seed])
            elif self._connected:
                continue  # any of them may have led there: none that sends is disturbed
            else:
                self._handle.remove_url_seed(seed)
                self._add_anew(self.urls)
            del self._due[seed]

    def _add_anew(self, urls: Iterable[str]) -> None:
        for url in urls:
            self._handle.remove_url_seed(url)
            self._handle.add_url_seed(url)

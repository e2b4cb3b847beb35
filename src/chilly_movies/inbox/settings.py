"""The user's settings of the watch folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, get_args

from chilly_movies.errors import InvalidRequest
from chilly_movies.jobs.labels import read_label, with_labels
from chilly_movies.runtime.setting_fields import setting

Done = Literal["keep", "move", "delete"]
"""What becomes of a file once its job needs it no more."""


@dataclass(frozen=True, slots=True)
class Watch:
    """One watch folder.

    Attributes:
        folder: `<root>` or `<root>/<relative path>`.
        done: what becomes of its files.
        labels: of the jobs that are made of them.
    """

    folder: str
    done: Done = "keep"
    labels: Mapping[str, str] = field(default_factory=dict)


def read_watches(texts: Iterable[str]) -> tuple[Watch, ...]:
    """The watch folders of `CHILLY_WATCH`.

    Args:
        texts: `<root>/<folder>` each; then, after semicolons, `keep`, `move` or `delete`, and
            labels as `key=value`.

    Raises:
        ValueError: one is malformed, or a folder is there twice.
    """
    found: dict[str, Watch] = {}
    for text in texts:
        folder, *words = (part.strip() for part in text.split(";"))
        folder = str(PurePosixPath(folder))
        if folder in (".", "/") or folder.startswith(("/", "~")) or ".." in folder.split("/"):
            raise ValueError("must look like drop;move;category=films with a name of CHILLY_ROOTS")
        if folder in found:
            raise ValueError(f"the folder {folder} is there twice")
        found[folder] = _watch(folder, words)
    return tuple(found.values())


def _watch(folder: str, words: list[str]) -> Watch:
    done: Done = "keep"
    labels: dict[str, str] = {}
    for word in words:
        match = [one for one in get_args(Done) if one == word]
        if match:
            done = match[0]
            continue
        try:
            labels = with_labels(labels, dict([read_label(word)]))
        except InvalidRequest as error:
            sentence = f"after a folder come keep, move or delete, and labels: {error}"
            raise ValueError(sentence.removesuffix(".")) from None
    return Watch(folder, done, labels)


@dataclass(frozen=True, kw_only=True)
class InboxSettings:
    """Which folders are watched."""

    watch: tuple[str, ...] = setting(
        (),
        "folders of CHILLY_ROOTS in which what is dropped becomes a job: drop;move;category=films",
        check=read_watches,
    )
    watch_rest: float = setting(
        5.0, "seconds a dropped file must stay as it is until it is taken", gt=0, le=86_400
    )

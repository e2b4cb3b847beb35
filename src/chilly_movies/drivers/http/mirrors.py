"""The places of a job's film: its source and mirrors, or what a metalink names. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from chilly_movies.drivers.http.hosts import Host, Patience
from chilly_movies.drivers.http.metalink import Link
from chilly_movies.jobs.models import Job, Source
from chilly_movies.net.fetch import origin_of


def hosts_of(job: Job, most: int, patience: Patience) -> list[Host]:
    """Where the bytes of a job's file come from, the source itself first.

    The mirrors are of its first source: another one that was taken may be another file. A mirror
    that is said to have another checksum than the film is none.
    """
    sources = [job.source]
    if job.active_source is None:
        given = (job.options.checksum or "").lower()
        sources += [
            mirror.source
            for mirror in job.mirrors
            if mirror.checksum is None or not _contradict(given, mirror.checksum.lower())
        ]
    links: dict[str, Source] = {}
    for source in sources:
        links.setdefault(source.urn, source)
    return [Host(link, source.secret, most, patience) for link, source in links.items()]


def _contradict(one: str, other: str) -> bool:
    """Whether two checksums cannot be of the same bytes; those of two kinds may be."""
    return one != other and one.partition(":")[0] == other.partition(":")[0]


def hosts_at(links: Iterable[Link], source: Source, most: int, patience: Patience) -> list[Host]:
    """The places that a metalink or headers name; what the source's server is told no other is."""
    own = origin_of(source.urn)
    return [
        Host(link.url, source.secret if origin_of(link.url) == own else None, most, patience)
        for link in links
    ]

"""What names a torrent to others, and which of its pieces are there, from what is stored of it."""

from __future__ import annotations

from typing import Any, cast

import libtorrent as lt

from chilly_movies.drivers.torrent.engine import params as p
from chilly_movies.drivers.torrent.engine.pieces import bits
from chilly_movies.drivers.torrent.engine.tracker_list import disabled, in_order
from chilly_movies.jobs.swarm import Metainfo, PieceMap, Tracker
from chilly_movies.names import safe_name


def trackers_of(request: p.AddRequest) -> list[Tracker]:
    """The trackers that a torrent will have in the engine, in the order of their tiers.

    Raises:
        ChillyError: its source is a link to a torrent file that was not fetched yet.
    """
    params, dropped = p.prepare(request)
    named = zip(params.trackers, params.tracker_tiers, strict=True)
    return in_order([*(Tracker(url, tier) for url, tier in named), *disabled(dropped)])


def metainfo_of(request: p.AddRequest) -> Metainfo:
    """The magnet link and, if its metadata is known, the file of a torrent.

    The file that was given is given back as it was, unless its trackers were changed.

    Raises:
        ChillyError: its source is a link to a torrent file that was not fetched yet.
    """
    params = p.named_by(request)
    params.peers, params.dht_nodes = [], []
    name = params.ti.name() if params.ti is not None else params.name
    data = request.source.data
    if params.ti is not None and (data is None or request.trackers.is_given):
        data = _written(params)
    return Metainfo(safe_name(name or "torrent"), lt.make_magnet_uri(params), data)


def _written(params: lt.add_torrent_params) -> bytes | None:
    """The torrent file; None while hashes of pieces are missing.

    The files of v2 and hybrid torrents hold the hashes of all pieces (BEP 52, `piece layers`). A
    magnet's metadata comes without them: peers are asked for them while it downloads.
    """
    try:
        return lt.bencode(cast(Any, lt.write_torrent_file(params)))
    except RuntimeError:
        return None


def pieces_of(request: p.AddRequest, *, whole: bool) -> PieceMap | None:
    """The pieces that resume data claims; None before the metadata is known.

    Args:
        request: with the resume data, if there is any.
        whole: every piece is there if nothing is claimed.

    Raises:
        ChillyError: its source is a link to a torrent file that was not fetched yet.
    """
    params = p.named_by(request)
    if params.ti is None:
        return None
    count = params.ti.num_pieces()
    have = list(params.have_pieces) or [whole] * count
    return PieceMap(count, params.ti.piece_length(), bits(have))

"""Bare libtorrent: the least a program can do with it, as the measure for everything on top.

Run as `python -m benchmarks.bare PACK TORRENT FOLDER`; PACK is a settings pack as JSON. It says
`ready`, starts at a line on standard input, says `done` when all pieces are there and hashed,
and `written` when the last of them have left its queue for the file. It ends with its input.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import libtorrent as lt


def wait_for(session: lt.session, kind: type[lt.alert]) -> None:
    while not any(isinstance(alert, kind) for alert in session.pop_alerts()):
        session.wait_for_alert(1_000)


def main() -> None:
    kinds = lt.alert.category_t
    pack: Any = {
        **json.loads(sys.argv[1]),
        "alert_mask": kinds.status_notification | kinds.storage_notification,
    }
    session = lt.session(pack)
    params = lt.load_torrent_file(sys.argv[2])
    params.save_path = sys.argv[3]
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    print("ready", flush=True)
    sys.stdin.readline()
    handle = session.add_torrent(params)
    wait_for(session, lt.torrent_finished_alert)
    print("done", flush=True)
    handle.flush_cache()
    wait_for(session, lt.cache_flushed_alert)
    print("written", flush=True)
    sys.stdin.read()
    os._exit(0)  # the session's destructor waits for trackers, which may be gone


if __name__ == "__main__":
    main()

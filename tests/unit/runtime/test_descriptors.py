"""A shortage of file descriptors is told as such, wherever it shows; 'Success' is no reason."""

from __future__ import annotations

import errno
import subprocess
import sys

import libtorrent as lt
import pytest

from chilly_movies.drivers.torrent.engine.engine_errors import (
    disk_said,
    short_of_descriptors,
    why,
    why_stopped,
)
from chilly_movies.errors import DiskError, DriverCrashed, OutOfDescriptors, SourceRejected
from chilly_movies.runtime.descriptors import shortage, shortage_now

_STARVED = """
import resource, sqlite3, sys
from chilly_movies.runtime.descriptors import shortage, shortage_now
from chilly_movies.drivers.torrent.engine.engine_errors import why_stopped
from chilly_movies.errors import OutOfDescriptors
from chilly_movies.storage.sqlite.faults import translate
import errno, libtorrent
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
assert shortage_now() == shortage(errno.EMFILE)
try:
    sqlite3.connect(sys.argv[1]).execute("CREATE TABLE a (b)")
except sqlite3.Error as error:
    print(translate(error))
assert isinstance(why_stopped(libtorrent.error_code()), OutOfDescriptors)
"""


def test_a_database_and_an_engine_that_do_not_say_why_are_asked_of_the_system(
    tmp_path: object,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _STARVED, f"{tmp_path}/db"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == shortage(errno.EMFILE)


def test_what_the_engine_stopped_without_a_reason_is_tried_again_and_not_called_a_success() -> None:
    assert shortage_now() is None
    stopped = why_stopped(lt.error_code())
    assert isinstance(stopped, DriverCrashed)
    assert str(stopped) == "The engine stopped the torrent: it does not say why."
    assert stopped.retryable
    assert "Success" not in why(lt.error_code()) + str(disk_said("It failed", lt.error_code()))


@pytest.mark.parametrize(
    ("code", "category", "kind"),
    [
        (errno.EMFILE, lt.system_category(), OutOfDescriptors),
        (errno.ENFILE, lt.generic_category(), OutOfDescriptors),
        (errno.EIO, lt.system_category(), DiskError),
        (20, lt.libtorrent_category(), SourceRejected),
    ],
)
def test_the_source_is_to_blame_only_if_the_system_is_not(
    code: int, category: lt.error_category, kind: type[Exception]
) -> None:
    assert type(why_stopped(lt.error_code(code, category))) is kind


@pytest.mark.parametrize(
    "raised",
    [
        OSError(errno.ENFILE, "x"),
        RuntimeError("eventfd_select_interrupter: Too many open files [system:24]"),
    ],
)
def test_an_engine_that_cannot_begin_for_want_of_descriptors_is_waited_for(
    raised: Exception,
) -> None:
    with pytest.raises(OutOfDescriptors), short_of_descriptors():
        raise raised
    with pytest.raises(RuntimeError, match="other"), short_of_descriptors():
        raise RuntimeError("other [system:2]")

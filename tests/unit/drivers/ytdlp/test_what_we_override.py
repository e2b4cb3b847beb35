"""What we use of yt-dlp beyond what it promises: a new version that lacks it is told here."""

from __future__ import annotations

import inspect

import pytest
from yt_dlp import YoutubeDL  # type: ignore[import-untyped]
from yt_dlp.downloader.external import FFmpegFD  # type: ignore[import-untyped]
from yt_dlp.networking import _urllib  # type: ignore[import-untyped]

from chilly_movies.drivers.ytdlp.page import Page

_NEW = {"moved", "processed", "finished", "tell", "tell_now_and_then"}


@pytest.mark.parametrize(
    "name", [n for n, f in vars(Page).items() if inspect.isfunction(f) and n[0] != "_"]
)
def test_a_method_that_we_replace_is_still_called_so(name: str) -> None:
    if name in _NEW:
        assert not hasattr(YoutubeDL, name)
        return
    theirs = inspect.signature(getattr(YoutubeDL, name)).parameters
    ours = inspect.signature(getattr(Page, name)).parameters
    assert len(theirs) >= len(ours) or name == "build_request_director"
    assert list(theirs)[1] in (list(ours)[1], list(ours)[1].removeprefix("_"))


def test_what_we_replace_of_its_parts_is_still_there() -> None:
    assert callable(FFmpegFD.real_download)
    assert callable(FFmpegFD.available)
    assert callable(_urllib.RedirectHandler.redirect_request)
    assert "RedirectHandler()" in inspect.getsource(_urllib.UrllibRH._create_instance)

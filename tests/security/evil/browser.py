"""Chromium in which every name of the attacker leads to this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_OFF = (
    "LocalNetworkAccessChecks", "BlockInsecurePrivateNetworkRequests",
    "DisableLoadExtensionCommandLineSwitch",
)  # fmt: skip
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions",
    "--disable-sync", "--no-proxy-server", "--mute-audio", "--log-level=3",
    "--disable-popup-blocking", "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows",
    "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
    # Not every browser has these guards of its own, so they must not be what saves us.
    f"--disable-features={','.join(_OFF)}",
)  # fmt: skip


@asynccontextmanager
async def chromium(
    profile: Path, page: str, *, secure: str = "", extension: Path | None = None
) -> AsyncIterator[None]:
    """A headless browser on this page, ended with all its processes.

    Args:
        profile: its folder.
        page: the address it opens.
        secure: origins that may do what otherwise takes https, with commas.
        extension: the folder of the one extension it has.
    """
    flags = list(_FLAGS)
    if extension is not None:
        flags.remove("--disable-extensions")
        flags.append(f"--load-extension={extension}")
    browser = await asyncio.create_subprocess_exec(
        "chromium", *flags, f"--unsafely-treat-insecure-origin-as-secure={secure}",
        f"--user-data-dir={profile}", page, start_new_session=True,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()
        shutil.rmtree(profile, ignore_errors=True)

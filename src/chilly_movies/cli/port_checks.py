"""What `chilly doctor` says of ports: free, or used by the server that runs, or by another program.

A port that is free is bound for a moment. Where the server listens for peers it says itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from chilly_movies.cli.checks import Finding
from chilly_movies.cli.remote import server_url
from chilly_movies.errors import SettingsError

if TYPE_CHECKING:
    from chilly_movies.settings import Settings


def check_ports(settings: Settings, *, running: bool) -> Iterator[Finding]:
    """Checks the port of the API and the one for peers."""
    health = _health(settings) if running else None
    problem = _why_unusable(settings.http.host, settings.http.port)
    if health is not None or problem is None:
        use = "is in use by the server" if health is not None else "is free"
        yield Finding("ports", "ok", f"Port {settings.http.port} (API) {use}.")
    elif running:
        yield Finding(
            "ports",
            "remark",
            f"The server that runs does not answer on port {settings.http.port} (API), and another "
            "program may use it.",
            "If the server was started with --port, this is all right.",
        )
    else:
        remedy = "Stop the program that uses it, or set CHILLY_PORT."
        yield Finding("ports", "problem", f"Port {settings.http.port} (API): {problem}.", remedy)
    listening = None if health is None else health.get("torrentPorts", [])
    yield from _check_peers(settings, listening, unsure=running and health is None)


def _check_peers(
    settings: Settings, listening: Sequence[dict[str, Any]] | None, *, unsure: bool
) -> Iterator[Finding]:
    """Checks the port for peers.

    Args:
        settings: the user's.
        listening: where the running server says that it listens, None if no server says so.
        unsure: a server runs and does not say so.
    """
    wanted = settings.torrent.port
    if listening:
        yield from _of_server(listening)
        return
    problem = _why_unusable(settings.network.interface or "0.0.0.0", wanted)  # noqa: S104
    if problem is None:
        yield Finding("ports", "ok", f"Port {wanted} (peers) is free.")
        return
    yield Finding(
        "ports",
        "remark" if unsure else "problem",
        f"Port {wanted} (peers): {problem}{', or by the server' if unsure else ''}.",
        "Stop the program that uses it, or set CHILLY_TORRENT_PORT.",
    )


def _of_server(listening: Sequence[dict[str, Any]]) -> Iterator[Finding]:
    taken = [port for port in listening if port["wanted"] not in (0, port["tcp"])]
    for port in taken:
        other = f"listens on {port['tcp']}" if port["tcp"] else "does not listen"
        yield Finding(
            "ports",
            "problem",
            f"Port {port['wanted']} (peers) is taken at {port['address']}: the server {other} "
            "there.",
            "Stop the program that has it and start the server anew, or set CHILLY_TORRENT_PORT.",
        )
    right = [port for port in listening if port not in taken]
    if right:
        places = ", ".join(f"{port['address']} on {port['tcp']}" for port in right)
        yield Finding("ports", "ok", f"Peers reach the server at {places}.")


def _health(settings: Settings) -> dict[str, Any] | None:
    """What the server of these settings says of itself, None if it does not answer."""
    from chilly_movies.client import ApiClient, ClientError

    async def ask() -> dict[str, Any]:
        key = settings.http.secret
        url = server_url(settings.http.host, settings.http.port)
        async with ApiClient(url, api_key=key) as api:
            return await api.health()

    try:
        return asyncio.run(ask())
    except ClientError:
        return None


def _why_unusable(host: str, port: int) -> str | None:
    """Why a port cannot be listened on, None if it can, or cannot be tried."""
    from chilly_movies.server.serving import bind

    if port == 0 or not host.replace(".", "").replace(":", "").isalnum():
        return None
    try:
        for listener in bind(host, port):
            listener.close()
    except SettingsError as error:
        said = str(error).partition(";")[0].rstrip(".")
        return said if "in use" not in said else "it is in use by another program"
    return None

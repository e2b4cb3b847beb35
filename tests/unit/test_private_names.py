"""What we use of libraries beyond what they promise: a new version that lacks it is told here.

Each name has a test of its own, and the library an upper bound in pyproject.toml. Raise the bound
when these tests and those of the server pass with the new version.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import tomllib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpcore2
import httpx2
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from chilly_movies.server import connections
from chilly_movies.server import serving as api_serving
from chilly_movies.tracker import serving as tracker_serving

ROOT = Path(__file__).parents[2]
BOUNDED = ("fastapi", "httpcore2", "httpx2", "uvicorn")
OURS: dict[type, tuple[type, ...]] = {
    HttpToolsProtocol: (connections.GuardedProtocol,),
    H11Protocol: (tracker_serving._HttpProtocol,),
    WebSocketsSansIOProtocol: (tracker_serving._SocketProtocol,),
    uvicorn.Server: (api_serving._Server, tracker_serving._Server),
}
"""The classes we derive from, and what we derive."""
METHODS: dict[type, dict[str, tuple[str, ...]]] = {
    HttpToolsProtocol: {
        "connection_made": ("transport",), "connection_lost": ("exc",),
        "data_received": ("data",), "on_message_begin": (), "on_url": ("url",),
        "on_header": ("name", "value"), "on_headers_complete": (), "on_body": ("body",),
        "on_message_complete": (), "on_response_complete": (), "pause_writing": (),
        "resume_writing": (), "send_400_response": ("msg",), "shutdown": (),
    },
    H11Protocol: {
        "connection_made": ("transport",), "connection_lost": ("exc",),
        "handle_websocket_upgrade": ("event",),
    },
    WebSocketsSansIOProtocol: {
        "connection_lost": ("exc",), "data_received": ("data",), "handle_cont": ("event",),
        "handle_ping": (), "keepalive_timeout": (), "send_receive_event_to_app": (),
        "shutdown": (), "on_task_complete": ("task",),
    },
    uvicorn.Server: {
        "startup": ("sockets",), "shutdown": ("sockets",), "capture_signals": (),
        "serve": ("sockets",),
    },
    FlowControl: {"drain": (), "pause_reading": (), "resume_reading": ()},
}  # fmt: skip
"""The methods we replace or call, with their parameters."""
CALLED_BY_ITSELF = {
    HttpToolsProtocol: {"send_400_response": 1, "on_response_complete": 1},
    H11Protocol: {"handle_websocket_upgrade": 1},
    WebSocketsSansIOProtocol: {
        "handle_cont": 1, "handle_ping": 1, "keepalive_timeout": 1,
        "send_receive_event_to_app": 3, "on_task_complete": 1,
    },
    uvicorn.Server: {"startup": 1, "shutdown": 1, "capture_signals": 1},
}  # fmt: skip
"""Where a guard of ours hangs on the library calling the method: how often its source names it."""
ATTRIBUTES: dict[type, dict[str, Any]] = {
    HttpToolsProtocol: {
        "transport": None, "flow": None, "client": None, "cycle": None, "scope": None,
        "headers": None, "pipeline": [], "parser": ...,
    },
    H11Protocol: {"loop": ...},
    WebSocketsSansIOProtocol: {
        "loop": ..., "transport": None, "conn": ..., "queue": ..., "writable": ..., "frames": [],
        "handshake_complete": False, "close_sent": False, "disconnected": False,
        "curr_msg_data_type": "bytes",
    },
}  # fmt: skip
"""The attributes of a connection we read or set, with their first values; `...` = any."""
CYCLE = {"disconnected": False, "more_body": True, "response_complete": False, "body": bytearray()}


def cases(table: dict[type, Any]) -> list[Any]:
    """Each name of the table as a case of its own."""
    return [
        pytest.param(owner, name, want, id=f"{owner.__name__}.{name}")
        for owner, names in table.items()
        for name, want in names.items()
    ]


def complaint(owner: type, name: str, what: str) -> str:
    """The sentence of a failing test."""
    library = owner.__module__.partition(".")[0]
    return (
        f"{library} {version(library)}: {owner.__name__}.{name} {what}, and we build on it. "
        "See what took its place, or keep the bound in pyproject.toml."
    )


def problem_of_method(owner: type, name: str, parameters: tuple[str, ...]) -> str:
    method = getattr(owner, name, None)
    if not callable(method):
        return complaint(owner, name, "is gone")
    found = tuple(inspect.signature(method).parameters)[1:]
    if found != parameters:
        return complaint(owner, name, f"takes {found}, not {parameters}")
    return ""


def problem_of_value(thing: object, name: str, want: Any) -> str:
    if not hasattr(thing, name):
        return complaint(type(thing), name, "is gone")
    found = getattr(thing, name)
    if want is ... or (list(found) == want if isinstance(want, list) else found == want):
        return ""
    return complaint(type(thing), name, f"begins as {found!r}, not {want!r}")


async def made(owner: Callable[..., Any]) -> Any:
    """A protocol of uvicorn as its server makes it."""

    async def app(_scope: object, _receive: object, _send: object) -> None:
        """Never called."""

    config = uvicorn.Config(app, log_config=None)
    return owner(
        config=config, server_state=ServerState(), app_state={}, _loop=asyncio.get_running_loop()
    )


@pytest.mark.parametrize("library", BOUNDED)
def test_a_library_whose_private_parts_we_use_has_an_upper_bound(library: str) -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    line = next(line for line in wanted if re.match(rf"{library}\b", line))
    assert re.search(r",<\d", line), f"{line}: the next version may break us without a word"


@pytest.mark.parametrize(("owner", "name", "parameters"), cases(METHODS))
def test_a_method_we_replace_is_there(owner: type, name: str, parameters: tuple[str, ...]) -> None:
    assert problem_of_method(owner, name, parameters) == ""


@pytest.mark.parametrize(("owner", "name", "times"), cases(CALLED_BY_ITSELF))
def test_the_library_calls_a_method_a_guard_hangs_on(owner: type, name: str, times: int) -> None:
    found = len(re.findall(rf"self\.{name}\b", inspect.getsource(owner)))
    assert found == times, complaint(owner, name, f"is called {found} times, not {times}")


@pytest.mark.anyio
@pytest.mark.parametrize(("owner", "name", "want"), cases(ATTRIBUTES))
async def test_an_attribute_of_a_connection_we_use_is_there(
    owner: type, name: str, want: Any
) -> None:
    assert problem_of_value(await made(owner), name, want) == ""


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "want"), CYCLE.items())
async def test_an_attribute_of_a_request_we_use_is_there(name: str, want: Any) -> None:
    parameters = inspect.signature(RequestResponseCycle).parameters
    cycle = RequestResponseCycle(**dict.fromkeys(parameters, None))  # type: ignore[arg-type]
    assert problem_of_value(cycle, name, want) == ""


@pytest.mark.anyio
async def test_what_says_that_a_client_does_not_read_is_there() -> None:
    assert problem_of_value(FlowControl(asyncio.Transport()), "write_paused", False) == ""


@pytest.mark.parametrize(
    ("owner", "ours"), OURS.items(), ids=lambda case: getattr(case, "__name__", "")
)
def test_every_method_we_replace_is_watched(owner: type, ours: tuple[type, ...]) -> None:
    replaced = {name for mine in ours for name in vars(mine) if hasattr(owner, name)}
    theirs = {name for name in replaced if not name.startswith("__")}
    assert theirs <= METHODS[owner].keys(), "add them to METHODS"


@pytest.mark.anyio
async def test_the_pool_we_replace_is_the_one_requests_go_through() -> None:
    transport = httpx2.AsyncHTTPTransport()
    try:
        assert problem_of_value(transport, "_pool", ...) == ""
        pool = transport._pool
        assert isinstance(pool, httpcore2.AsyncConnectionPool), "httpx2: _pool is no pool any more"
    finally:
        await transport.aclose()
    sends = inspect.getsource(httpx2.AsyncHTTPTransport.handle_async_request)
    assert "self._pool.handle_async_request(" in sends, "httpx2: requests go past _pool"


def test_a_version_that_lacks_or_changes_a_name_is_told_in_a_sentence() -> None:
    lacks = type("Other", (), {"__module__": "uvicorn.x", "shutdown": lambda self, hard: None})
    gone = problem_of_method(lacks, "drain", ())
    assert gone.startswith(f"uvicorn {version('uvicorn')}: Other.drain is gone, and we build on it")
    assert "takes ('hard',), not ()" in problem_of_method(lacks, "shutdown", ())
    assert "Other.flow is gone" in problem_of_value(lacks(), "flow", None)

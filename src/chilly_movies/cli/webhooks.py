"""`chilly webhooks`: the addresses that the server tells of every state change."""

from __future__ import annotations

import base64
import secrets
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from chilly_movies.cli import render
from chilly_movies.cli.exits import CommandFailed, Exit
from chilly_movies.cli.remote import HERE, Remote
from chilly_movies.cli.running import run

webhooks = App(
    name="webhooks",
    help="Show the addresses that are told of every state change, add or remove one.",
)
_Event = Annotated[list[str] | None, Parameter(name="--event", negative="")]


@webhooks.default
def show(*, remote: Remote = HERE) -> int:
    """Show the addresses that are told of every state change, add or remove one.

    Args:
        remote: Which server.
    """
    return list_webhooks(remote=remote)


@webhooks.command(name="list")
def list_webhooks(*, remote: Remote = HERE) -> int:
    """Show all webhooks.

    Args:
        remote: Which server.
    """
    out = remote.output()

    async def work() -> None:
        async with remote.client() as api:
            found = await api.webhooks()
        out.document(found)
        if not found:
            out.say("There are no webhooks.")
            return
        rows = [(one["id"], ", ".join(one["events"]) or "all", one["address"]) for one in found]
        out.show(render.table(("ID", "EVENTS", "ADDRESS"), rows))

    run(work())
    return Exit.DONE


@webhooks.command
def add(
    address: Annotated[str, Parameter(name="ADDRESS")],
    /,
    *,
    event: _Event = None,
    secret_file: str | None = None,
    remote: Remote = HERE,
) -> int:
    """Tell an address of every state change from now on.

    Args:
        address: An http or https link.
        event: Only events of this name, like completed; repeatable.
        secret_file: File with the secret that deliveries are signed with, - for standard input;
            one is made up and printed if not given.
        remote: Which server.
    """
    out = remote.output()
    made_up = secret_file is None
    if secret_file is None:
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    else:
        secret = _read(secret_file)

    async def work() -> None:
        async with remote.client() as api:
            made = await api.add_webhook(address, secret, event or ())
        out.document({**made, **({"secret": secret} if made_up else {})})
        out.say(f"{made['id']} is told")
        if made_up:
            out.say(f"Its secret is {secret}; it is not shown again.")

    run(work())
    return Exit.DONE


@webhooks.command
def remove(webhook_id: Annotated[str, Parameter(name="ID")], /, *, remote: Remote = HERE) -> int:
    """Tell an address nothing any more.

    Args:
        webhook_id: Which webhook.
        remote: Which server.
    """
    out = remote.output()

    async def work() -> None:
        async with remote.client() as api:
            await api.remove_webhook(webhook_id)
        out.document({"id": webhook_id})
        out.say(f"{webhook_id} is removed")

    run(work())
    return Exit.DONE


def _read(name: str) -> str:
    """Reads a secret, which does not belong into a list of processes.

    Raises:
        CommandFailed: the file cannot be read.
    """
    try:
        return (sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise CommandFailed(f"The secret cannot be read from {name}: {why}.") from None

"""The program `chilly`: its commands, and how each of its errors ends it.

The commands' own modules import the engine, the server and the settings only when they run, so
that help comes at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

from cyclopts import App, CycloptsError

from chilly_movies import __version__
from chilly_movies.cli import remote
from chilly_movies.cli.backup import backup, restore
from chilly_movies.cli.demo import demo
from chilly_movies.cli.doctor import doctor
from chilly_movies.cli.exits import (
    EXIT_CODES,
    CommandFailed,
    Exit,
    exit_of_error,
)
from chilly_movies.cli.find_data import find_data
from chilly_movies.cli.get import get
from chilly_movies.cli.library import file, library, match, undo
from chilly_movies.cli.limit import limit
from chilly_movies.cli.output import Output, drop_stdout
from chilly_movies.cli.play import play
from chilly_movies.cli.queue import queue
from chilly_movies.cli.recognise import recognise
from chilly_movies.cli.seed import seed
from chilly_movies.cli.serve import serve
from chilly_movies.cli.setting_list import settings
from chilly_movies.cli.swarm import stats, trackers
from chilly_movies.cli.tracker import tracker
from chilly_movies.cli.watch import watch
from chilly_movies.cli.webhooks import webhooks
from chilly_movies.errors import ChillyError

_HELP = """Downloads films, and plays them while they arrive.

'chilly get' downloads without a server. 'chilly serve' starts one, which the other commands,
front ends and your own programs then talk to. 'chilly demo' shows it all, without the internet.
"""
_LISTED = re.compile(r"\s*Available commands:.*", re.DOTALL)
"""Some of the commands, which cyclopts names where it knows no better."""
_EPILOGUE = "Exit codes: " + "; ".join(f"{int(code)} {text}" for code, text in EXIT_CODES) + "."


@cache
def build() -> App:
    """Builds the program's commands, in the order help shows them."""
    app = App(
        name="chilly",
        version=f"Chilly Movies {__version__}",
        help=_HELP,
        help_epilogue=_EPILOGUE,
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
    )
    commands: tuple[Callable[..., int], ...] = (
        serve, get, play, seed, remote.add, remote.list_jobs, remote.status, remote.pause,
        remote.resume, remote.cancel, remote.recheck, remote.move, remote.label,
        remote.adjust, remote.remove, find_data, queue, trackers, limit, stats, watch,
        library, match, file, undo,
        recognise, settings, doctor, backup, restore,
        tracker, demo,
        completion,
    )  # fmt: skip
    for order, command in enumerate(commands):
        name = command.__name__.removesuffix("_jobs").replace("_", "-")
        app.command(command, name=name, sort_key=order)
    webhooks.sort_key = [command.__name__ for command in commands].index("settings")
    app.command(webhooks)
    return app


def completion(shell: Literal["bash", "zsh", "fish"]) -> int:
    """Print what makes a shell complete the commands and options of chilly.

    bash: chilly completion bash > ~/.local/share/bash-completion/completions/chilly
    zsh:  chilly completion zsh > ~/.zfunc/_chilly, with ~/.zfunc in fpath
    fish: chilly completion fish > ~/.config/fish/completions/chilly.fish

    Args:
        shell: Which shell.
    """
    Output().raw(build().generate_completion(shell=shell))
    return Exit.DONE


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: what was typed after `chilly`; None = take it from the process.

    Returns:
        The exit code; see `chilly --help`.
    """
    out = Output()
    try:
        code = build()(
            arguments, exit_on_error=False, print_error=False, result_action="return_value"
        )
        out.flush()
        return int(code or Exit.DONE)
    except BrokenPipeError:  # whoever read our output has enough
        drop_stdout()
        return Exit.DONE
    except (KeyboardInterrupt, asyncio.CancelledError):
        return Exit.INTERRUPTED
    except CycloptsError as error:
        said = _LISTED.sub("", str(error)).strip().rstrip(".")
        end = "" if said.endswith("?") else "."
        out.error(f"{said}{end} 'chilly --help' shows what there is.")
        return Exit.USAGE
    except CommandFailed as error:
        out.error(str(error))
        return error.code
    except ChillyError as error:
        out.error(str(error))
        return exit_of_error(error)

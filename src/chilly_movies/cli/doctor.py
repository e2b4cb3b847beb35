"""`chilly doctor`: looks at an installation, says what is wrong and how to mend it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from chilly_movies.cli import checks, network_checks, port_checks
from chilly_movies.cli.checks import Finding
from chilly_movies.cli.exits import Exit
from chilly_movies.cli.film_records import check_records, records_of
from chilly_movies.cli.library_files import check_library
from chilly_movies.cli.media_folder import with_known_folder
from chilly_movies.cli.output import Output
from chilly_movies.cli.render import table
from chilly_movies.errors import ChillyError, SettingsError
from chilly_movies.runtime.loading import loading
from chilly_movies.runtime.state_folder import StateFolder

if TYPE_CHECKING:
    from chilly_movies.settings import Settings

_Flag = Parameter(negative="", show_default=False)
_SIGNS = {"ok": "ok", "remark": "note", "problem": "WRONG"}


def doctor(
    *,
    media_root: Path | None = None,
    state_dir: Path | None = None,
    verify: Annotated[bool, _Flag] = False,
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Check store, resume data, films, settings, ports, disk and engine, and change none of them.

    A small file is written to the media folder and deleted, to see whether that works. Works with
    and without a running server. The exit code is 1 if something is wrong.

    Args:
        media_root: Where films are, instead of the setting.
        state_dir: Where the database is, instead of the setting.
        verify: Compare every byte of the finished films with its hash; a second per GB or so.
        json: One JSON document.
    """
    out = Output(as_json=json)
    found = list(_findings(media_root, state_dir, verify=verify))
    wrong = [finding for finding in found if finding.level == "problem"]
    running = any(f.message.startswith("A server is running") for f in found)
    document = [dataclasses.asdict(finding) for finding in found]
    out.document({"ok": not wrong, "serverRunning": running, "findings": document})
    out.show(table(("", "AREA", "WHAT"), [(_SIGNS[f.level], f.area, f.message) for f in found]))
    for finding in found:
        if finding.remedy and finding.level != "ok":
            out.say(f"{finding.area}: {finding.remedy}")
    out.say(f"{len(wrong)} things are wrong." if wrong else "Nothing is wrong.")
    return Exit.FAILED if wrong else Exit.DONE


def _findings(
    media_root: Path | None, state_dir: Path | None, *, verify: bool
) -> Iterator[Finding]:
    from chilly_movies.settings import config_file, load_settings

    try:
        settings = load_settings(media_root=media_root, state_dir=state_dir)
    except SettingsError as error:
        yield Finding("settings", "problem", str(error), "'chilly settings' shows them all.")
        return
    settings, remark = with_known_folder(settings)
    if remark is not None:
        yield Finding("disk", "remark", f"{remark[0].upper()}{remark[1:]}")
    names = ", ".join(sorted(settings.given)) or "none"
    where = f"{config_file()}" if config_file().exists() else "no settings file"
    yield Finding("settings", "ok", f"Settings are well formed; given: {names} ({where}).")
    yield from checks.check_engine()
    state = StateFolder(settings.state_dir)
    running = state.is_locked()
    yield from checks.check_state(state.path, running=running)
    yield from checks.check_disk(settings)
    yield from port_checks.check_ports(settings, running=running)
    yield from network_checks.check_proxy(settings)
    yield from network_checks.check_interface(settings)
    yield from network_checks.check_lists(settings)
    yield from _stored(settings, verify=verify)


def _stored(settings: Settings, *, verify: bool) -> Iterator[Finding]:
    with loading():
        from chilly_movies.storage.sqlite.inspection import Survey, survey

    state, media = StateFolder(settings.state_dir), settings.media_root.absolute()
    records = list(records_of(state))
    others = [job for record in records if record.media_root == media for job in record.jobs]
    yield from check_records(records)
    try:
        found = survey(state.database)
    except ChillyError as error:
        yield from checks.check_store(None, error)
        if state.database.exists():  # whose data is what cannot be said
            return
        found = Survey("", False, (), (), (), {})
    else:
        yield from checks.check_store(found, None)
        yield from checks.check_resume(found, state.database)
        yield from checks.check_files(found, media)
        if verify:
            yield from checks.check_hashes(found, state.database, media)
    yield from check_library(state.library)
    yield from checks.check_staging([*found.jobs, *others], media)
    yield from checks.check_strangers([*found.jobs, *others], media)

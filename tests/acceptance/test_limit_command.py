"""`chilly limit`: the speed limits of a server, shown and set from a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.test_command_line import chilly, mock_server

pytestmark = pytest.mark.anyio


async def test_limits_are_set_shown_and_taken_back_from_a_shell(tmp_path: Path) -> None:
    async with mock_server(tmp_path, CHILLY_UPLOAD_LIMIT="600") as (_, env):
        shown = await chilly("limit", env=env)
        assert shown.code == 0, shown.err
        assert "never" in shown.out
        words = [
            "--download",
            "1000000",
            "--alternative-download",
            "70",
            "--hours",
            "daily 00:00-00:00",
        ]
        limits = (await chilly("limit", *words, "--json", env=env)).json
        assert (limits["downloadLimit"], limits["uploadLimit"]) == (1_000_000, 600)
        assert (limits["alternative"]["downloadLimit"], limits["alternative"]["active"]) == (
            70,
            True,
        )
        shown = await chilly("limit", env=env)
        assert "1.0 MB/s" in shown.out
        assert "The alternative limits hold now: these are their hours." in shown.out
        off = await chilly("limit", "--alternative", "off", env=env)
        assert "The alternative limits are switched off until " in off.out
        words = ["--hours", "none", "--download", "default", "--alternative", "on"]
        limits = (await chilly("limit", *words, "--json", env=env)).json
        assert limits["downloadLimit"] == 0
        assert limits["alternative"]["hours"] == []
        shown = await chilly("limit", env=env)
        assert "The alternative limits hold now: they are switched on." in shown.out
        wrong = await chilly("limit", "--time-zone", "Mars/Olympus", env=env)
        assert (wrong.code, wrong.out) == (1, "")
        assert "There is no time zone of that name" in wrong.err

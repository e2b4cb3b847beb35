"""Speed limits that were set through the API, over a server that is killed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.backend import Backend

pytestmark = pytest.mark.anyio
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def around(moment: datetime) -> dict[str, Any]:
    """Hours of every day, an hour before to an hour after a moment of UTC."""
    hour = timedelta(hours=1)
    return {"days": DAYS, "from": f"{moment - hour:%H:%M}", "to": f"{moment + hour:%H:%M}"}


async def limits(ours: Backend) -> dict[str, Any]:
    answer = await ours.http.get("/settings/limits")
    found: dict[str, Any] = answer.json()
    return found


async def test_limits_and_their_hours_hold_after_kill_9_and_win_over_the_environment(
    tmp_path: Path,
) -> None:
    environment = {"CHILLY_DOWNLOAD_LIMIT": "5000", "CHILLY_UPLOAD_LIMIT": "600"}
    now = datetime.now(UTC)
    wanted = {"downloadLimit": 70, "timeZone": "UTC", "hours": [around(now)]}
    async with Backend(tmp_path, environment, warm=True) as ours:
        assert (await limits(ours))["downloadLimit"] == 5000
        body = {"downloadLimit": 1, "alternative": wanted}
        answer = await ours.http.patch("/settings/limits", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["alternative"]["active"] is True
        await ours.kill()
    async with Backend(tmp_path, environment, warm=True) as ours:
        assert await limits(ours) == answer.json()
        assert (await limits(ours))["uploadLimit"] == 600
        later = [around(now + timedelta(hours=12))]
        body = {"downloadLimit": None, "alternative": {"hours": later}}
        answer = await ours.http.patch("/settings/limits", json=body)
        await ours.kill()
    async with Backend(tmp_path, environment, warm=True) as ours:
        assert await limits(ours) == answer.json()
        assert (await limits(ours))["downloadLimit"] == 5000
        assert (await limits(ours))["alternative"]["active"] is False

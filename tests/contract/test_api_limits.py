"""`/settings/limits`: what is shown, what may be set, and by whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from chilly_movies.api.policy import KeyScope
from tests.contract.web import Api, api, problem

pytestmark = pytest.mark.anyio
PATH = "/settings/limits"
NOTHING: dict[str, Any] = {
    "downloadLimit": 0, "uploadLimit": 0,
    "alternative": {
        "downloadLimit": 0, "uploadLimit": 0, "enabled": False, "timeZone": None, "hours": [],
        "active": False, "offUntil": None,
    },
}  # fmt: skip
ALWAYS = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "00:00", "to": "00:00"}


@pytest.fixture
async def web() -> AsyncIterator[Api]:
    async with api() as web:
        yield web


async def patch(web: Api, body: Any, **more: Any) -> Any:
    answer = await web.client.patch(PATH, json=body, **more)
    assert answer.status_code == 200, answer.text
    assert (await web.client.get(PATH, **more)).json() == answer.json()
    return answer.json()


async def test_what_is_set_is_shown_and_null_takes_it_back(web: Api) -> None:
    assert (await web.client.get(PATH)).json() == NOTHING
    assert await patch(web, {}) == NOTHING
    assert await patch(web, {"downloadLimit": 5}) == {**NOTHING, "downloadLimit": 5}
    alternative = {"uploadLimit": 7, "timeZone": "Europe/Berlin", "hours": [ALWAYS]}
    shown = await patch(web, {"alternative": alternative})
    assert shown["downloadLimit"] == 5
    assert shown["alternative"] == {**NOTHING["alternative"], **alternative, "active": True}
    assert web.downloader.limits.now().rates.upload == 7
    shown = await patch(web, {"alternative": {"hours": None, "enabled": True}})
    assert shown["alternative"]["timeZone"] == "Europe/Berlin"
    assert shown["alternative"]["active"] is True
    assert await patch(web, {"downloadLimit": None, "alternative": None}) == NOTHING


async def test_switched_off_within_the_hours_they_say_until_when(web: Api) -> None:
    await patch(web, {"alternative": {"hours": [ALWAYS]}})
    shown = (await patch(web, {"alternative": {"enabled": False}}))["alternative"]
    assert (shown["enabled"], shown["active"]) == (False, False)
    assert shown["offUntil"].endswith("Z")


async def test_the_answer_can_be_sent_back_as_it_is(web: Api) -> None:
    first = await patch(web, {"alternative": {"enabled": True, "hours": [ALWAYS]}})
    assert await patch(web, first) == first


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"downloadLimit": -1}, "downloadLimit"), ({"downloadLimit": 1.5}, "downloadLimit"),
        ({"downloadLimit": "5"}, "downloadLimit"), ({"uploadLimit": 2**31}, "uploadLimit"),
        ({"downloadlimit": 5}, "downloadlimit"), ({"alternative": 7}, "alternative"),
        ({"alternative": {"Enabled": True}}, "Enabled"),
        ({"alternative": {"enabled": 1}}, "alternative.enabled"),
        ({"alternative": {"timeZone": "Mars/Olympus"}}, "alternative.timeZone"),
        ({"alternative": {"timeZone": 7}}, "alternative.timeZone"),
        ({"alternative": {"hours": [{**ALWAYS, "from": "9:00"}]}}, "alternative.hours.0.from"),
        ({"alternative": {"hours": [{**ALWAYS, "days": []}]}}, "alternative.hours.0.days"),
        ({"alternative": {"hours": [{**ALWAYS, "days": ["Mon"]}]}}, "alternative.hours.0.days.0"),
        ({"alternative": {"hours": [{"days": ["mon"], "to": "9"}]}}, "alternative.hours.0.from"),
        ({"alternative": {"hours": [ALWAYS] * 51}}, "alternative.hours"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused_by_the_name_of_its_member(
    web: Api, body: Any, field: str
) -> None:
    await patch(web, {"downloadLimit": 3})
    problem(await web.client.patch(PATH, json=body), 422, "invalid_request", field=field)
    assert (await web.client.get(PATH)).json() == {**NOTHING, "downloadLimit": 3}


async def test_reading_takes_a_key_to_read_and_setting_one_for_everything() -> None:
    keys = tuple((f"a-long-enough-{scope.name}-key", scope) for scope in KeyScope)
    async with api(keys=keys) as web:
        problem(await web.client.get(PATH), 401, "unauthorized")
        for key, scope in keys:
            header: dict[str, Any] = {"headers": {"x-api-key": key}}
            assert (await web.client.get(PATH, **header)).status_code == 200
            answer = await web.client.patch(PATH, json={"downloadLimit": 5}, **header)
            assert answer.status_code == (200 if scope is KeyScope.ADMIN else 403), answer.text

"""What `lab.same_contract` takes for growth, and what for a break of the promise."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from lab.same_contract import differences, growth, resolved

OLD: dict[str, Any] = {
    "paths": {
        "/start": {
            "post": {
                "parameters": [
                    {"in": "query", "name": "id", "schema": {"type": "string", "enum": ["a"]}}
                ],
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "properties": {"id": {"type": "string", "default": None}},
                                "required": [],
                            }
                        }
                    }
                },
                "responses": {
                    "200": {
                        "content": {"application/json": {"schema": {"$ref": "#/schemas/Job"}}},
                        "links": {"pause": {"requestBody": {"id": "$response.body#/id"}}},
                    }
                },
            }
        }
    },
    "schemas": {
        "Job": {
            "properties": {"code": {"type": "string"}, "title": {"type": "string"}},
            "required": ["code"],
        }
    },
}


def body(contract: dict[str, Any]) -> dict[str, Any]:
    content = contract["paths"]["/start"]["post"]["requestBody"]["content"]
    schema: dict[str, Any] = content["application/json"]["schema"]
    return schema


def job(contract: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = contract["schemas"]["Job"]
    return found


def post(contract: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = contract["paths"]["/start"]["post"]
    return found


def verdicts(change: Callable[[dict[str, Any]], object]) -> list[bool]:
    """Whether each difference that the change makes is growth."""
    new = deepcopy(OLD)
    change(new)
    pair = (resolved(contract["paths"], contract) for contract in (OLD, new))
    return [growth(diff) is not None for diff in differences(*pair)]


GROWTH: dict[str, Callable[[dict[str, Any]], object]] = {
    "an enum of an answer": lambda c: job(c)["properties"]["code"].update(enum=["a"]),
    "a member of an answer": lambda c: job(c)["properties"].update(more={"type": "string"}),
    "always there": lambda c: job(c).update(required=["title", "code"]),
    "a member of a body": lambda c: body(c)["properties"].update(more={"type": "string"}),
    "no default": lambda c: body(c)["properties"]["id"].pop("default"),
    "more to ask for": lambda c: post(c)["parameters"][0]["schema"]["enum"].append("b"),
    "a link": lambda c: post(c)["responses"]["200"].update(links={}),
    "an error": lambda c: post(c)["responses"].update({"409": {"content": {}}}),
    "a parameter": lambda c: post(c)["parameters"].insert(0, {"in": "query", "name": "x"}),
    "a route": lambda c: c["paths"].update({"/more": {"get": {}}}),
}
BREAKS: dict[str, Callable[[dict[str, Any]], object]] = {
    "an enum of a body": lambda c: body(c)["properties"]["id"].update(enum=["a"]),
    "a member called title is gone": lambda c: job(c)["properties"].pop("title"),
    "no longer always there": lambda c: job(c).update(required=[]),
    "a member must be given": lambda c: body(c).update(required=["id"]),
    "another type": lambda c: job(c)["properties"]["code"].update(type="integer"),
    "an answer is gone": lambda c: post(c)["responses"].pop("200"),
    "another answer": lambda c: post(c)["responses"].update({"202": {"content": {}}}),
    "a parameter must be given": lambda c: post(c)["parameters"].append(
        {"in": "query", "name": "x", "required": True}
    ),
    "a route is gone": lambda c: c["paths"].pop("/start"),
    "a default of a body": lambda c: body(c)["properties"]["id"].update(default="b"),
}


@pytest.mark.parametrize("change", GROWTH.values(), ids=GROWTH)
def test_growth_breaks_no_client_and_is_told_as_such(change: Callable[[Any], object]) -> None:
    found = verdicts(change)
    assert found
    assert all(found)


@pytest.mark.parametrize("change", BREAKS.values(), ids=BREAKS)
def test_what_may_break_a_client_is_no_growth(change: Callable[[Any], object]) -> None:
    assert verdicts(change) == [False]


def test_text_for_people_is_no_difference() -> None:
    assert verdicts(lambda c: job(c).update(title="Job", description="A job.")) == []

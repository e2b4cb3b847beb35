"""The contract as people and generators read it: names, members, errors, events, examples."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from chilly_movies import errors
from chilly_movies.api.openapi import DOWNLOAD_ROUTES, operations
from chilly_movies.api.topics import TopicOptions
from chilly_movies.api.wire.codes import CODES, OF_STATUS
from chilly_movies.api.wire.schemas import ASKED_FOR
from chilly_movies.drivers.mock.driver import MockDriver
from chilly_movies.jobs.events import EVENT_NAMES
from chilly_movies.jobs.models import Source, SourceType
from chilly_movies.mock import mock_parts
from chilly_movies.notices.webhooks import WebhookParts
from chilly_movies.storage.memory import MemoryWebhookStore
from tests.contract.rig import reach_when
from tests.contract.web import SECRET, api, read_yaml
from tests.doubles import until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


WHOLE: dict[str, Any] = read_yaml((ROOT / "contracts" / "openapi.yaml").read_text())
DOWNLOADS: dict[str, Any] = read_yaml((ROOT / "contracts" / "openapi.downloads.yaml").read_text())
SCHEMAS: dict[str, Any] = WHOLE["components"]["schemas"]


def schemas_in(node: Any) -> Iterator[dict[str, Any]]:
    """Everything that is a schema, in components, parameters, bodies and answers."""
    if isinstance(node, list):
        for item in node:
            yield from schemas_in(item)
    elif isinstance(node, dict):
        if isinstance(node.get("properties"), dict) or "type" in node or "$ref" in node:
            yield node
        for key, value in node.items():
            if key not in ("examples", "enum", "required"):
                yield from schemas_in(value)


# --- where it holds -------------------------------------------------------------------------


async def test_the_contract_names_the_server_it_was_read_from_and_no_other() -> None:
    assert [server["url"] for server in WHOLE["servers"]] == ["."]


@pytest.mark.parametrize("name", ["openapi.json", "openapi.yaml", "openapi.downloads.yaml"])
async def test_the_contract_is_read_without_a_key(name: str) -> None:
    async with api(api_secret=SECRET) as web:
        answer = await web.client.get(f"/{name}")
        assert answer.status_code == 200, answer.text
        assert read_yaml(answer.text)["paths"]


async def test_the_page_of_docs_reads_the_contract_without_a_key() -> None:
    async with api(api_secret=SECRET) as web:
        script = (await web.client.get("/docs/start.js")).text
        [url] = re.findall(r'url: "([^"]+)",', script)
        assert (await web.client.get(f"/{url}")).status_code == 200


# --- the part for downloads -----------------------------------------------------------------


def test_the_contract_of_the_downloads_is_what_the_whole_says_of_the_five_routes() -> None:
    assert tuple(DOWNLOADS["paths"]) == DOWNLOAD_ROUTES
    names = {operation["operationId"] for _, operation in operations(DOWNLOADS["paths"])}
    for path, methods in DOWNLOADS["paths"].items():
        for method, operation in methods.items():
            same = {**WHOLE["paths"][path][method]}
            links = operation["responses"]["200"].get("links", {})
            assert {link["operationId"] for link in links.values()} <= names
            for one in (same, operation):
                one["responses"] = {**one["responses"]}
                one["responses"]["200"] = {**one["responses"]["200"], "links": None}
            assert operation == same
    for kind, things in DOWNLOADS["components"].items():
        assert things.items() <= WHOLE["components"][kind].items()


def test_the_contract_of_the_downloads_holds_what_it_refers_to_and_nothing_else() -> None:
    text = yaml.safe_dump(DOWNLOADS)
    used = set(re.findall(r"#/components/(\w+)/(\w+)", text))
    held = {
        (kind, name)
        for kind, things in DOWNLOADS["components"].items()
        for name in things
        if kind != "securitySchemes"
    }
    assert held == used


# --- what generators make of it -------------------------------------------------------------


def test_no_member_has_a_default_which_generators_take_for_always_there() -> None:
    assert [schema for schema in schemas_in(SCHEMAS) if "default" in schema] == []


def test_no_title_repeats_a_name() -> None:
    everywhere = [*schemas_in(SCHEMAS), *schemas_in(WHOLE["paths"])]
    assert [schema for schema in everywhere if isinstance(schema.get("title"), str)] == []


def test_every_schema_has_one_plain_name() -> None:
    odd = [name for name in SCHEMAS if not re.fullmatch(r"([A-Z][a-z]+)+", name)]
    assert odd == []


def test_every_member_has_a_type() -> None:
    kinds = {"type", "$ref", "anyOf", "enum"}
    for name, schema in SCHEMAS.items():
        for member, what in schema.get("properties", {}).items():
            assert kinds & what.keys(), f"{name}.{member} may be anything"


def test_a_link_hands_a_body_on_as_an_expression() -> None:
    for name, operation in operations(WHOLE["paths"]):
        for link in operation["responses"].get("200", {}).get("links", {}).values():
            assert isinstance(link.get("requestBody", ""), str), name


_VERBS = (
    "start|pause|resume|cancel|adjust|get|list|remove|recheck|move|choose|stream|head|create|"
    "inspect|search|follow|place|add|change|announce|ban|scan|relink|put"
)


def test_the_name_of_an_operation_is_a_verb_and_what_it_is_done_to() -> None:
    names = [operation["operationId"] for _, operation in operations(WHOLE["paths"])]
    assert [name for name in names if not re.fullmatch(rf"({_VERBS})[A-Z][A-Za-z]+", name)] == []
    assert len(set(names)) == len(names)
    assert {"startJob", "getJob", "listJobs", "followJob"} <= set(names)


def test_an_operation_that_reads_a_body_tells_how_its_gate_refuses_one() -> None:
    reading = {name: o["responses"] for name, o in operations(WHOLE["paths"]) if "requestBody" in o}
    assert {
        name for name, told in reading.items() if {"408", "413", "415", "422"} - {*told}
    } == set()


def test_every_tag_is_explained() -> None:
    used = {tag for _, operation in operations(WHOLE["paths"]) for tag in operation["tags"]}
    assert {tag["name"] for tag in WHOLE["tags"]} == used


# --- events ---------------------------------------------------------------------------------


def test_an_event_has_one_of_the_names_there_are() -> None:
    assert SCHEMAS["EventOut"]["properties"]["event"] == {"$ref": "#/components/schemas/EventName"}
    assert SCHEMAS["EventName"]["enum"] == ["snapshot", *EVENT_NAMES, *ASKED_FOR]


def test_the_streams_say_what_their_data_is() -> None:
    for path in ("/events", "/events/{id}"):
        content = WHOLE["paths"][path]["get"]["responses"]["200"]["content"]
        schema = content["text/event-stream"]["schema"]
        assert schema == {"$ref": "#/components/schemas/EventOut"}


@pytest.mark.parametrize(
    ("member", "names"),
    [
        ("file", {"index", "path", "size", "bytesDownloaded", "percent", "complete"}),
        ("stream", {"index", "readers"}),
    ],
)
def test_what_an_event_says_of_a_file_is_described(member: str, names: set[str]) -> None:
    reference = SCHEMAS["EventOut"]["properties"][member]["anyOf"][0]["$ref"]
    schema = SCHEMAS[reference.rpartition("/")[2]]
    assert set(schema["properties"]) == set(schema["required"]) == names


# --- errors ---------------------------------------------------------------------------------


def explained() -> dict[str, tuple[int, str, str]]:
    """The codes of docs/errors.md: status, cause and remedy."""
    text = (ROOT / "docs" / "errors.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    found = {code: (int(status), cause, remedy) for code, status, cause, remedy in rows}
    assert len(found) == len(rows), "a code is there twice"
    return found


def known_statuses() -> dict[str, int]:
    """The codes that are in the code, with their statuses."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    ours = {kind.code: kind.status_hint for kind in kinds if issubclass(kind, errors.ChillyError)}
    gates = {"forbidden_scope": 403, "too_many_streams": 429, "too_many_connections": 503}
    by_status = {code: status for status, code in OF_STATUS.items()}
    del ours["invalid_setting"]  # before there is a server
    return {**ours, **gates, **by_status}


def test_the_page_of_errors_explains_every_code_with_its_status() -> None:
    page = explained()
    assert {code: row[0] for code, row in page.items()} == known_statuses()
    for code, (_, cause, remedy) in page.items():
        assert cause.endswith("."), code
        assert remedy.endswith((".", ";", "`")), code


def test_every_error_has_one_of_the_codes_of_the_contract() -> None:
    assert SCHEMAS["ErrorCode"]["enum"] == list(CODES) == sorted(known_statuses())
    for schema in ("Problem", "ErrorOut"):
        code = SCHEMAS[schema]["properties"]["code"]
        assert code == {"$ref": "#/components/schemas/ErrorCode"}


def test_an_answer_names_the_codes_it_may_have() -> None:
    told: dict[str, int] = {}
    for name, answer in WHOLE["components"]["responses"].items():
        status = next(s for s in HTTPStatus if s.phrase.replace(" ", "").lower() == name.lower())
        told |= dict.fromkeys(re.findall(r"`(\w+)`", answer["description"]), status)
    known = {code: status for code, status in known_statuses().items() if status in told.values()}
    assert told == known
    assert {"duplicate_download", "job_not_found", "disk_full", "forbidden_scope"} <= told.keys()


def test_no_code_is_written_in_the_source_that_the_contract_does_not_know() -> None:
    for folder in ("api", "server"):
        for path in (ROOT / "src" / "chilly_movies" / folder).rglob("*.py"):
            text = path.read_text()
            written = re.findall(r'code="(\w+)"|\d{3}: \("(\w+)",', text)
            assert {one or other for one, other in written} <= set(CODES), path


# --- examples -------------------------------------------------------------------------------


def example_of(schema: dict[str, Any]) -> Any:
    """The example of a schema, or the first of what it may be."""
    if "$ref" in schema:
        return example_of(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    return (schema.get("examples") or schema.get("enum") or [None])[0]


def request_of(path: str, operation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The path, query and body that the examples of an operation make."""
    query = {}
    for parameter in operation.get("parameters", ()):
        value = example_of(parameter["schema"])
        if parameter["in"] == "path":
            assert value is not None, f"{path}: {parameter['name']} has no example"
            path = path.replace(f"{{{parameter['name']}}}", str(value))
        elif parameter["required"]:
            assert value is not None, f"{path}: {parameter['name']} has no example"
            query[parameter["name"]] = value
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return path, {"params": query} | ({"json": example_of(body["schema"])} if body else {})


LAST = ("cancelJob", "removeJob")
ENDLESS = ("followJobs", "followJob")
"""`test_api_events` listens to them."""
_MADE_UP = (
    "getWebhook", "removeWebhook", "getItem", "changeItem", "chooseTitle", "relinkItem",
    "removeItem", "listPositions", "putPosition",
)  # fmt: skip
_NOT_FILED = dict.fromkeys(("getFilingPlan", "placeItem", "removeFiling", "addLibraryExport"), 422)
NOT_IN_THE_MOCK = {"getSubtitle": 404, **dict.fromkeys(_MADE_UP, 404), **_NOT_FILED}
"""No film of the mock has subtitles, it makes up the ids of webhooks and items, and has no disk."""


def topics() -> TopicOptions:
    """What the mock has, but for the way to receivers of webhooks."""

    async def take(_url: str, _body: bytes, _headers: Mapping[str, str]) -> int:
        return 200

    webhooks = WebhookParts(MemoryWebhookStore(), take)
    return {**mock_parts(1).tools.topics, "webhooks": webhooks}


async def test_the_examples_run() -> None:
    routes = [
        (method, path, operation)
        for path, methods in WHOLE["paths"].items()
        for method, operation in methods.items()
        if operation["operationId"] not in ENDLESS
    ]
    routes.sort(key=lambda route: route[2]["operationId"] in LAST)  # the first is a start
    async with api(**topics()) as web:
        for method, path, operation in routes:
            name = operation["operationId"]
            target, request = request_of(path, operation)
            head = {"range": "bytes=0-0"} if name.startswith("stream") else {}
            if name == "listFiles":  # from here on the job's files must be known
                await until(lambda: web.pace.sleepers == 1)
                web.pace.flow()  # for the one that sleeps, who waits for the metadata
                web.pace.hold()
                await reach_when(web.downloader, "1", lambda job: job.files)
            if name == "getMedia":  # and from here on the film must be there
                web.pace.flow()
                await web.downloader.wait("1")
            answer = await web.client.request(method, target, headers=head, **request)
            wanted = NOT_IN_THE_MOCK.get(name)
            refused = f"{name}: {answer.status_code} {answer.text[:300]}"
            assert answer.status_code == wanted if wanted else answer.is_success, refused


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
async def test_what_a_page_sends_with_curl_is_taken(page: str) -> None:
    text = (ROOT / page).read_text()
    sent = re.findall(r"curl -X POST http://localhost:3000(\S+)[^`]*?-d '(\{.*?\})'", text)
    assert sent or page == "README.md"
    async with api(**topics()) as web:
        for path, body in sent:
            headers = {"content-type": "application/json"}
            answer = await web.client.post(path, content=body, headers=headers)
            assert answer.status_code == 200, (body, answer.text)


def test_the_page_of_the_api_explains_every_parameter_of_a_mock_source() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    table = re.findall(r"^\| `(\w+)` \|", text.partition("## The mock")[2], re.MULTILINE)
    with pytest.raises(errors.InvalidSource) as refused:
        MockDriver().identify(Source(SourceType.TORRENT, "mock:?what=1"))
    assert re.findall(r"\w+", str(refused.value).partition("it knows ")[2]) == table

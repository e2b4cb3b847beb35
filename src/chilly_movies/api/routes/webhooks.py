"""Routes of the addresses that are told of every stored change."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Request, Response
from pydantic import Field
from typing_extensions import TypeAliasType

from chilly_movies.api.policy import SMALL_JSON, KeyScope, Policy
from chilly_movies.api.routers import part_of_contract
from chilly_movies.api.topic import Topic
from chilly_movies.api.wire.problems import documented
from chilly_movies.api.wire.schemas import (
    JsonBody,
    Moment,
    Shown,
    answer,
    event_data,
    example,
)
from chilly_movies.errors import EngineError
from chilly_movies.jobs.downloader import Downloader
from chilly_movies.notices.webhooks import MAX_ADDRESS, STORED_EVENTS, WebhookParts, Webhooks

router = part_of_contract("webhooks", "/webhooks")

WebhookEvent = TypeAliasType("WebhookEvent", Literal[STORED_EVENTS])  # type: ignore[valid-type]
WebhookId = Annotated[
    str,
    Path(pattern="^[0-9a-f]{32}$", examples=["5f0c6a0f8f1c4f0e9d3f6f8a2b1c0d9e"]),
]
_Events = Annotated[list[WebhookEvent], Field(max_length=len(STORED_EVENTS))]
_EXAMPLE = "whsec_bm90IGEgc2VjcmV0LCBhbiBleGFtcGxl"
_WORDS = "The events it is told of; empty = all that are stored."


class WebhookBody(JsonBody):
    """An address that is to be told of changes, from now on."""

    model_config = example(
        address="https://receiver.example/films", events=["completed"], secret=_EXAMPLE
    )

    address: str = Field(
        min_length=1,
        max_length=MAX_ADDRESS,
        description="An http or https link, without a user name. Private addresses are refused "
        "unless CHILLY_ALLOW_PRIVATE_ADDRESSES allows them; redirects are not followed.",
    )
    events: _Events = Field(default=[], description=_WORDS)
    secret: str = Field(
        min_length=16,
        max_length=256,
        pattern="^[!-~]+$",
        description="What each delivery is signed with, as Standard Webhooks says: text, or "
        "`whsec_` and base64. It is never shown again.",
        json_schema_extra={"format": "password", "writeOnly": True},
    )


class WebhookOut(Shown):
    """A webhook, without its secret."""

    id: str
    address: str
    events: list[str] = Field(description=_WORDS)
    created_at: Moment


class DeliveryOut(Shown):
    """How the delivery of one change went so far."""

    id: str = Field(description="The same at each try: `webhook-id` and `deliveryId`.")
    seq: int = Field(description="Number of the change.")
    event: str
    job_id: str | None = Field(description="null for `resync`.")
    at: Moment = Field(description="When it was tried the last time.")
    attempts: int = Field(description="How often it was tried since the server began.")
    delivered: bool
    status: int | None = Field(description="HTTP status of the answer, null if there was none.")
    error: str | None = Field(description="Why it did not arrive, null if it did.")


class WebhookDetailsOut(WebhookOut):
    """A webhook with its last deliveries."""

    deliveries: list[DeliveryOut] = Field(description="The last 50 at most, newest first.")


class WebhookListOut(Shown):
    """All webhooks, oldest first."""

    webhooks: list[WebhookOut]


def _webhooks(request: Request) -> Webhooks:
    """The webhooks of the application.

    Raises:
        EngineError: it has none.
    """
    found: Webhooks | None = request.app.state.webhooks
    if found is None:
        raise EngineError("This server has no webhooks.")
    return found


@router.post("", response_model=WebhookOut, responses=documented(408, 413, 415, 422))
@Policy(KeyScope.ADMIN, body=SMALL_JSON)
async def create_webhook(request: Request, body: WebhookBody) -> Response:
    """Tell an address of every stored change from now on, in order, until it takes each."""
    made = await _webhooks(request).add(body.address, body.events, body.secret)
    return answer(WebhookOut.model_validate(made))


@router.get("", response_model=WebhookListOut, responses=documented())
@Policy(KeyScope.ADMIN)
async def list_webhooks(request: Request) -> Response:
    """All webhooks."""
    found = await _webhooks(request).list()
    return answer(WebhookListOut(webhooks=[WebhookOut.model_validate(one) for one in found]))


@router.get("/{id}", response_model=WebhookDetailsOut, responses=documented(404, 422))
@Policy(KeyScope.ADMIN)
async def get_webhook(request: Request, id: WebhookId) -> Response:  # noqa: A002
    """One webhook and how its last deliveries went."""
    webhook, deliveries = await _webhooks(request).get(id)
    shown: dict[str, Any] = WebhookOut.model_validate(webhook).model_dump()
    return answer(WebhookDetailsOut.model_validate({**shown, "deliveries": deliveries}))


@router.delete("/{id}", status_code=204, response_class=Response, responses=documented(404, 422))
@Policy(KeyScope.ADMIN)
async def remove_webhook(request: Request, id: WebhookId) -> Response:  # noqa: A002
    """Tell it nothing any more; what was not delivered yet is dropped."""
    await _webhooks(request).remove(id)
    return Response(status_code=204)


def _make(given: WebhookParts | None, downloader: Downloader, _facts: object) -> Webhooks | None:
    return None if given is None else Webhooks(given, downloader, event_data)


async def _begin(made: Webhooks | None) -> None:
    if made is not None:
        await made.begin()


TOPIC = Topic("webhooks", router, _make, begin=_begin)

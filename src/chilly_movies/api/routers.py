"""How the routes of the contract are declared and brought together."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from pydantic.alias_generators import to_camel
from starlette.routing import Route


def operation_id(route: Route) -> str:
    """Returns the name of an operation in the contract, which generators of clients use."""
    return to_camel(route.name)


def part_of_contract(tag: str, prefix: str = "") -> APIRouter:
    """Makes a router for one part of the contract.

    Args:
        tag: the heading of the part.
        prefix: what the paths of its routes begin with.
    """
    return APIRouter(prefix=prefix, tags=[tag], generate_unique_id_function=operation_id)


def take_over(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Lets the application answer with the routes of the routers, in their order.

    Including a router would build each of its routes a second time, at the first request: that one
    waited a tenth of a second longer, and so did all others meanwhile.
    """
    for router in routers:
        app.router.routes += router.routes

"""The configuration of dlt's REST API source, made from the resource table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, Protocol
from urllib.parse import quote
from uuid import uuid4

import dlt
from dlt.extract import DltResource, DltSource
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.typing import ClientConfig, EndpointResource, RESTAPIConfig
from jsonpath_ng.jsonpath import DatumInContext, Fields

from analytics_assets.api.client import Client
from analytics_assets.api.pagination import NumberedPages
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.rows.keys import list_key
from analytics_assets.schema import Resource


class _Results(Fields):
    """The JSON path `results`, found at once: the client lets no answer without it through."""

    def __init__(self) -> None:
        super().__init__("results")

    def find(self, answer: dict[str, Any]) -> list[DatumInContext]:
        return [DatumInContext(answer["results"], path=self)]


Row = dict[str, Any]

# dlt writes what a row takes from its parent into the row: under a name that no API can send
_PARENT_ID: Final = f"id_{uuid4().hex}"


class Reading(Protocol):
    """What is being read in a context: of which account, and where its rows go."""

    @property
    def account_path(self) -> str:
        """The account's id, fit for a path."""

    def collect(self, name: str, row: Row) -> Row | None:
        """Takes a resource's name and a row; gives the row to ask its children for, if any."""


def analytics_source(
    client: Client,
    base_url: str,
    resource_names: Collection[str],
    current: Callable[[], Reading],
) -> DltSource:
    """A source that reads the named resources, parents included, of the account that is current.

    Whoever iterates over it reads one account: `current` is asked there, so that one source serves
    any number of accounts side by side. Every row goes to `collect` of what is being read; children
    take their parent's `id` as `parent_id_field(resource)`.
    """
    needed = with_parents(resource_names)
    parents = {resource.parent for resource in needed}
    config: RESTAPIConfig = {
        "client": _client(client, base_url),
        "resource_defaults": {
            "parallelized": True,
            "endpoint": {"data_selector": _Results()},
        },
        "resources": [_endpoint(resource, parents, current) for resource in needed],
    }
    if ACCOUNTS.name in parents:
        config["resources"].append(_account(current))
    return rest_api_source(config, name="analytics")


def with_parents(resource_names: Collection[str]) -> list[Resource]:
    """The named resources and those whose rows they are asked for, parents first."""
    needed = set(resource_names)
    for resource in reversed(RESOURCES.values()):
        if resource.name in needed and resource.has_parent_rows:
            needed.add(str(resource.parent))
    return [resource for name, resource in RESOURCES.items() if name in needed]


def parent_id_field(resource: Resource) -> str:
    """The field that holds the parent's `id`; dlt names what a row takes from its parent so."""
    return f"_{resource.parent}_{_PARENT_ID}"


def request_path(resource: Resource, account_path: str, parent_path: str = "") -> str:
    """The path below the base URL; the account's and the parent's id must be fit for a path."""
    return resource.path.format(account_id=account_path, parent_id=parent_path).lstrip("/")


def path_part(value: object) -> str:
    """An id, fit for a path."""
    # nothing is safe: dlt takes braces in a path for placeholders
    return quote(str(value), safe="")


def _client(client: Client, base_url: str) -> ClientConfig:
    return {
        "base_url": base_url,
        "session": client.session,
        "auth": client.auth,
    }


def _account(current: Callable[[], Reading]) -> DltResource:
    """Stands for the list of accounts: the one account that the others are asked for."""

    def account() -> Iterator[list[Row]]:
        yield [{"account_path": current().account_path}]

    return dlt.resource(account, name=ACCOUNTS.name, selected=False)


def _endpoint(
    resource: Resource, parents: Collection[str | None], current: Callable[[], Reading]
) -> EndpointResource:
    def collect(row: Any) -> bool:
        current().collect(resource.name, row)
        return False  # nobody waits for it further down the pipe

    def collect_parent(row: Any) -> Row | None:
        reading = current()
        kept = reading.collect(resource.name, row)
        if kept is None:
            return None
        row_id = kept.get("id")
        path = path_part(row_id)
        return {_PARENT_ID: row_id, "path": path, "account_path": reading.account_path}

    endpoint: EndpointResource = {"name": resource.name}
    if resource.name in parents:
        endpoint["processing_steps"] = [{"map": collect_parent}, {"filter": _is_kept}]
    else:
        endpoint["processing_steps"] = [{"filter": collect}]
    of_parent = f"{{resources.{resource.parent}.%s}}"
    if resource.has_parent_rows:
        endpoint["include_from_parent"] = [_PARENT_ID]
    path = request_path(resource, of_parent % "account_path", of_parent % "path")
    endpoint["endpoint"] = {"path": path, "paginator": NumberedPages(list_key(resource))}
    return endpoint


def _is_kept(row: Any) -> bool:
    return row is not None

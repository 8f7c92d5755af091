"""The configuration of dlt's REST API source, made from the resource table."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import quote

from dlt.common.jsonpath import compile_path
from dlt.extract import DltSource
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.typing import ClientConfig, EndpointResource, RESTAPIConfig

from analytics_assets.api.client import Client
from analytics_assets.api.pagination import NumberedPages
from analytics_assets.api.resources import RESOURCES
from analytics_assets.api.schema import Resource

# as text, dlt would parse it anew for every page: a millisecond each
_RESULTS = compile_path("results")

Row = dict[str, Any]
Collect = Callable[[str, Row], Row | None]
"""Takes a resource's name and one of its rows; gives the row to ask its children for, if any."""


def account_source(
    client: Client,
    base_url: str,
    account_id: str | None,
    resource_names: Collection[str],
    collect: Collect,
) -> DltSource:
    """A source that reads the named resources of one account, parents included.

    `account_id` is None for resources that belong to no account. Every row goes to `collect`; a
    parent's rows go on to its children with their `id` fit for a path, and children take that `id`
    as `parent_id_field(resource)`.
    """
    needed = with_parents(resource_names)
    config: RESTAPIConfig = {
        "client": _client(client, base_url),
        "resource_defaults": {
            "parallelized": True,
            "endpoint": {"data_selector": _RESULTS},
        },
        "resources": [_endpoint(resource, account_id, collect) for resource in needed],
    }
    return rest_api_source(config, name="analytics")


def with_parents(resource_names: Collection[str]) -> list[Resource]:
    """The named resources and those whose rows they are asked for, parents first."""
    needed = set(resource_names)
    for resource in reversed(RESOURCES.values()):
        if resource.name in needed and _has_parent_rows(resource):
            needed.add(str(resource.parent))
    return [resource for name, resource in RESOURCES.items() if name in needed]


def parent_id_field(resource: Resource) -> str:
    """The field that holds the parent's `id`; dlt names what a row takes from its parent so."""
    return f"_{resource.parent}_id"


def _client(client: Client, base_url: str) -> ClientConfig:
    return {
        "base_url": base_url,
        "session": client.session,
        "auth": client.auth,
        "paginator": NumberedPages(),
    }


def _endpoint(resource: Resource, account_id: str | None, collect: Collect) -> EndpointResource:
    parts: dict[str, str] = {}
    if account_id is not None:
        # nothing is safe: dlt takes braces in a path for placeholders
        parts["account_id"] = quote(account_id, safe="")
    endpoint: EndpointResource = {
        "name": resource.name,
        "processing_steps": [{"map": _collector(resource.name, collect)}, {"filter": _is_kept}],
    }
    if _has_parent_rows(resource):
        parts["parent_id"] = "{" + f"resources.{resource.parent}.path_id" + "}"
        endpoint["include_from_parent"] = ["id"]
    endpoint["endpoint"] = {"path": resource.path.format(**parts).lstrip("/")}
    return endpoint


def _collector(name: str, collect: Collect) -> Callable[[Any], Any]:
    def collect_row(row: Any) -> Any:
        kept = collect(name, row)
        if kept is None:
            return None
        row_id = kept.get("id")
        return {"id": row_id, "path_id": quote(str(row_id), safe="")}

    return collect_row


def _is_kept(row: Any) -> bool:
    return row is not None


def _has_parent_rows(resource: Resource) -> bool:
    return "{parent_id}" in resource.path

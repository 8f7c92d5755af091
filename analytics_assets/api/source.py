"""dlt's REST API source, made from the resource table: one for each level of lists.

The first level are the lists of an account, the second those below the rows of one of them, and so
on. What a level is asked for stands in it as a resource of dlt's own, named as the parent: whoever
iterates over a level binds it to the parents' ids.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple

import dlt
from dlt.extract import DltResource, DltSource
from dlt.extract.pipe_iterator import ManagedPipeIterator
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.typing import EndpointResource, RESTAPIConfig

from analytics_assets.api.client import ApiClient
from analytics_assets.api.pagination import NumberedPages
from analytics_assets.api.paths import path_part, request_path
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.rows.keys import PARENT_ID, list_key
from analytics_assets.schema import Resource

Row = dict[str, Any]


class Page(NamedTuple):
    """Rows of one list, as they came.

    Attributes:
        resource_name: The resource that they are of.
        rows: The rows; where they have a parent, each has its id as `parent_id_field(resource)`.
    """

    resource_name: str
    rows: list[Row]


def levels(client: ApiClient, resource_names: Collection[str]) -> list[DltSource]:
    """A source for each level of the named resources, parents included, the accounts' own first.

    To make one takes many times as long as to clone it: one for all accounts, and a clone for each.
    """
    found: dict[int, list[Resource]] = {}
    for resource in with_parents(resource_names):
        found.setdefault(_depth(resource), []).append(resource)
    return [_source(client, found[depth]) for depth in sorted(found)]


def pages(
    level: DltSource, account_id: str | None, parent_ids: Callable[[str], Iterable[Any]]
) -> Iterator[Page]:
    """Asks for the lists of a level, side by side, and yields them as they come.

    Args:
        level: The level.
        account_id: The account; None for the list of accounts.
        parent_ids: Gives the ids of the rows of a resource, below which lists are asked for.

    Raises:
        ResourceExtractionError: The first error of a resource; its cause is what happened. Requests
            that were under way have ended by then, and none follows.
    """
    source, account_path = level.clone(), path_part(account_id)
    for name, resource in source.resources.items():
        if not resource.selected:
            ids = [account_id] if name == ACCOUNTS.name else parent_ids(name)
            resource.bind([_parent_row(account_path, row_id) for row_id in ids])
    with ManagedPipeIterator.from_pipes(source.resources.selected_pipes) as items:
        for item in items:
            yield Page(item.pipe.name, item.item)


def with_parents(resource_names: Collection[str]) -> list[Resource]:
    """The named resources and those whose rows they are asked for, parents first."""
    needed = set(resource_names)
    for resource in reversed(RESOURCES.values()):
        if resource.name in needed and resource.has_parent_rows:
            needed.add(str(resource.parent))
    return [resource for name, resource in RESOURCES.items() if name in needed]


def _parent_row(account_path: str, row_id: Any) -> Row:
    return {"account_path": account_path, "path": path_part(row_id), PARENT_ID: row_id}


def _depth(resource: Resource) -> int:
    return 1 + _depth(RESOURCES[str(resource.parent)]) if resource.has_parent_rows else 0


def _source(client: ApiClient, resources: Collection[Resource]) -> DltSource:
    parents = {_asked_for(resource) for resource in resources} - {None}
    config: RESTAPIConfig = {
        "client": {"base_url": client.base_url, "session": client.session, "auth": client.auth},
        "resource_defaults": {"parallelized": True, "endpoint": {"data_selector": "results"}},
        "resources": [
            *(_parents(str(name)) for name in parents),
            *(_endpoint(resource) for resource in resources),
        ],
    }
    return rest_api_source(config, name="analytics")


def _asked_for(resource: Resource) -> str | None:
    """The parent whose rows a list is asked for, if any."""
    if resource is ACCOUNTS:
        return None
    return resource.parent if resource.has_parent_rows else ACCOUNTS.name


def _parents(name: str) -> DltResource:
    def parents(rows: list[Row]) -> Iterator[list[Row]]:
        yield rows

    return dlt.resource(parents, name=name, selected=False)


def _endpoint(resource: Resource) -> EndpointResource:
    of_parent = f"{{resources.{_asked_for(resource)}.%s}}"
    endpoint: EndpointResource = {
        "name": resource.name,
        "endpoint": {
            "path": request_path(resource, of_parent % "account_path", of_parent % "path"),
            "paginator": NumberedPages(list_key(resource)),
        },
    }
    if resource.has_parent_rows:
        endpoint["include_from_parent"] = [PARENT_ID]
    return endpoint

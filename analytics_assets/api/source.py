"""dlt's REST API source, made from the resource table: one for each level of lists.

The first level are the lists of an account, the second those below the rows of one of them, and so
on. What a list is asked for stands in it as a resource of dlt's own: whoever iterates over a level
binds it to the parents' ids.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator
from typing import Any, NamedTuple

import dlt
from dlt.common.configuration import inject_section
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.jsonpath import compile_path
from dlt.extract import DltResource, DltSource
from dlt.extract.exceptions import ResourceExtractionError
from dlt.extract.pipe_iterator import PipeIterator
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.typing import EndpointResource, RESTAPIConfig

from analytics_assets.api.answers import Row
from analytics_assets.api.client import ApiClient
from analytics_assets.api.pagination import NumberedPages
from analytics_assets.api.paths import path_part, request_path
from analytics_assets.lookup import PIPELINE_NAME
from analytics_assets.resources import ACCOUNTS
from analytics_assets.rows.keys import PARENT_ID, list_key, parents_of
from analytics_assets.schema import Resource, ResourceTable
from analytics_assets.speedups import await_any


class Page(NamedTuple):
    """Rows of one list, as they came.

    Attributes:
        resource_name: The resource that they are of.
        rows: The rows; where they have a parent, each has its id as `parent_id_field(resource)`.
    """

    resource_name: str
    rows: list[Row]


class MissingList(NamedTuple):
    """A list that could not be had.

    Attributes:
        resource_name: The resource that its rows are of.
        error: What happened.
    """

    resource_name: str
    error: ResourceExtractionError


def levels(client: ApiClient, resource_names: Collection[str]) -> list[DltSource]:
    """A source for each level of the named resources, parents included, the accounts' own first.

    To make one takes many times as long as to clone it: one for all accounts, and a clone for each.
    """
    found: dict[int, list[Resource]] = {}
    for resource in with_parents(client.resources, resource_names):
        found.setdefault(_depth(client.resources, resource), []).append(resource)
    return [_source(client, found[depth]) for depth in sorted(found)]


def pages(
    client: ApiClient,
    level: DltSource,
    names: Iterable[str],
    account_id: str | None,
    parent_ids: Callable[[str], Iterable[Any]],
    given_up: Container[str] = (),
) -> Iterator[Page | MissingList]:
    """Asks for the lists of some resources, side by side, and yields them as they come.

    One that cannot be had stops no other.

    Args:
        client: Asks.
        level: The level that the resources are of.
        names: The resources.
        account_id: The account; None for the list of accounts.
        parent_ids: Gives the ids of the parent rows below which a resource's lists are asked for.
        given_up: Resources of which no further list is asked for; it may grow meanwhile.
    """
    source, account_path = level.with_resources(*names), path_part(account_id)
    for resource in map(client.resources.__getitem__, source.selected_resources):
        if (parent := _asked_for(resource)) is not None:
            ids = [account_id] if parent == ACCOUNTS.name else parent_ids(resource.name)
            rows = [
                {"account_path": account_path, "path": path_part(row_id), PARENT_ID: row_id}
                for row_id in ids
            ]
            asked_for = _UntilGivenUp(rows, resource.name, given_up)
            source.resources[parents_of(resource)].bind(asked_for)
    yield from answers(source)


def answers(source: DltSource) -> Iterator[Page | MissingList]:
    """Asks for what a source's selected resources are bound to, side by side."""
    # by its name dlt finds our defaults for it
    with inject_section(ConfigSectionContext(pipeline_name=PIPELINE_NAME)):
        iterator = PipeIterator.from_pipes(source.resources.selected_pipes)
    with iterator as items:
        await_any(items)
        while True:
            try:
                item = next(items)
            except StopIteration:
                return
            except ResourceExtractionError as error:
                yield MissingList(error.pipe_name, error)
            else:
                yield Page(item.pipe.name, item.item)


class _UntilGivenUp:
    """The rows that a resource's lists are asked for, until the resource is given up.

    No generator, which dlt would take for a source of its own and not for rows.
    """

    def __init__(self, rows: list[Row], resource_name: str, given_up: Container[str]) -> None:
        self._rows = rows
        self._resource_name = resource_name
        self._given_up = given_up

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            if self._resource_name in self._given_up:
                return
            yield row


def with_parents(resources: ResourceTable, names: Collection[str]) -> list[Resource]:
    """The named lists and those whose rows they are asked for, parents first."""
    needed = set(names)
    for resource in reversed([*resources.lists.values()]):
        if resource.name in needed and resource.has_parent_rows:
            needed.add(str(resource.parent))
    return [resource for name, resource in resources.lists.items() if name in needed]


def _depth(resources: ResourceTable, resource: Resource) -> int:
    if not resource.has_parent_rows:
        return 0
    return 1 + _depth(resources, resources[str(resource.parent)])


def rest_source(client: ApiClient, resources: list[EndpointResource | DltResource]) -> DltSource:
    """dlt's REST source over the client."""
    config: RESTAPIConfig = {
        "client": {"base_url": client.base_url, "session": client.session, "auth": client.auth},
        "resource_defaults": {"parallelized": True},
        "resources": [*resources],
    }
    return rest_api_source(config, name="analytics")


def parents(resource: Resource) -> DltResource:
    """What a resource is asked for, row by row: to be bound to rows that fill its requests."""

    def bound(rows: Iterable[Row]) -> Iterator[Iterable[Row]]:
        yield rows

    return dlt.resource(bound, name=parents_of(resource), selected=False)


def _source(client: ApiClient, resources: Collection[Resource]) -> DltSource:
    asked_for = [parents(resource) for resource in resources if _asked_for(resource)]
    endpoints = [_endpoint(resource, client.version) for resource in resources]
    return rest_source(client, [*asked_for, *endpoints])


def _asked_for(resource: Resource) -> str | None:
    """The parent whose rows a list is asked for, if any."""
    if resource.parent is None or resource.has_parent_rows:
        return resource.parent
    return ACCOUNTS.name


def _endpoint(resource: Resource, api_version: str) -> EndpointResource:
    of_parent = f"{{resources.{parents_of(resource)}.%s}}"
    endpoint: EndpointResource = {
        "name": resource.name,
        "endpoint": {
            "path": request_path(
                resource, api_version, of_parent % "account_path", of_parent % "path"
            ),
            "paginator": NumberedPages(list_key(resource)),
            # as text it would be parsed anew for each answer, which takes longer than all else
            "data_selector": compile_path(resource.data_selector),
        },
    }
    if resource.has_parent_rows:
        endpoint["include_from_parent"] = [PARENT_ID]
    return endpoint

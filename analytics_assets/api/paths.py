"""From a resource and its ids to the path of a request, and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from analytics_assets.reports import TOTALS
from analytics_assets.schema import RESULTS, Resource, ResourceTable

_DOTS: Final = (".", "..")


class Asked(NamedTuple):
    """What a request asks for.

    Attributes:
        resource_name: The resource; empty for none of ours, as where a redirect led.
        account_id: The account; empty for none.
        parent_id: The `id`, as text, of the row below which the list lies; empty for none.
        data_selector: Where an answer has the rows.
    """

    resource_name: str = ""
    account_id: str = ""
    parent_id: str = ""
    data_selector: str = RESULTS


def request_path(
    resource: Resource, api_version: str, account_path: str, parent_path: str = ""
) -> str:
    """The path below the base URL; the account's and the parent's id must be fit for a path."""
    path = resource.path_in(api_version)
    return path.format(account_id=account_path, parent_id=parent_path).lstrip("/")


def path_part(value: object) -> str:
    """An id, fit for a path."""
    # nothing is safe: dlt takes braces in a path for placeholders
    part = quote(str(value), safe="")
    return part.replace(".", "%2E") if part in _DOTS else part


def path_reader(resources: ResourceTable) -> Callable[[str], Asked]:
    """What tells of a request's path, with or without query, of whatever version, what it asks."""
    # an id may be a word of a shorter path, or of one with fewer ids
    paths = sorted(
        [*resources.values(), TOTALS],
        key=lambda each: (-each.path.rstrip("/").count("/"), each.path.count("{")),
    )
    patterns = [(_pattern(resource.path), resource) for resource in paths]

    def asked_by(path_url: str) -> Asked:
        path = path_url.partition("?")[0].rstrip("/")
        for pattern, resource in patterns:
            if (found := pattern.fullmatch(path)) is not None:
                ids = found.groupdict(default="")
                account_id, parent_id = (unquote(ids.get(k, "")) for k in ("account", "parent"))
                return Asked(resource.name, account_id, parent_id, resource.data_selector)
        return Asked()

    return asked_by


def _pattern(resource_path: str) -> re.Pattern[str]:
    """Matches a resource's paths, below whatever prefix a base URL has."""
    path = re.escape(resource_path).rstrip("/")
    path = path.replace(r"\{account_id\}", "(?P<account>[^/]+)", 1)
    path = path.replace(r"\{parent_id\}", "(?P<parent>[^/]+)", 1)
    return re.compile(".*" + re.sub(r"\\\{\w+\\\}", "[^/]+", path))

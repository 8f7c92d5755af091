"""From ids to the path of a request and back, whatever the ids are."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from analytics_assets.api.paths import Asked, path_part, path_reader, request_path
from analytics_assets.resources import RESOURCES
from analytics_assets.schema import resource_table

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def path_url(path: str, base_url: str = "https://api.example.com") -> str:
    """The path as `requests` sends it."""
    return str(requests.Request("GET", f"{base_url}/{path}").prepare().path_url)


@pytest.mark.parametrize("name", RESOURCES)
@pytest.mark.parametrize("version", ["v1", "1.0"])
@pytest.mark.parametrize("prefix", ["", "/below/a%20prefix"])
@given(account=IDS, parent=IDS)
@example(account="campaigns", parent="campaigns")
@example(account="v1", parent="items")
def test_there_and_back(name: str, prefix: str, version: str, account: str, parent: str):
    resource = RESOURCES[name]
    path = request_path(resource, version, path_part(account), path_part(parent))
    sent = path_url(path, f"https://api.example.com{prefix}")
    segments = [unquote(part) for part in sent.removeprefix(prefix).strip("/").split("/")]
    ids = {"{version}": version, "{account_id}": account, "{parent_id}": parent}
    assert segments == [ids.get(part, part) for part in resource.path.strip("/").split("/")]
    asked = path_reader(RESOURCES)(sent + "?page=2&of=a?b")
    assert asked == Asked(
        name,
        account if "{account_id}" in resource.path else "",
        parent if "{parent_id}" in resource.path else "",
    )


@pytest.mark.parametrize("odd", [".", "..", "...", "a.b", "%2E"])
def test_dots(odd: str):
    path = request_path(RESOURCES["audiences"], "v1", path_part(odd))
    assert unquote(path_url(path)).startswith(f"/v1/{odd}/" if odd != "%2E" else "/v1/%2E/")


def test_a_path_of_nobody():
    assert path_reader(RESOURCES)("/elsewhere/v1") == Asked("", "")


@pytest.mark.parametrize("path", ["/v2/{account_id}/campaigns", "/v2/{account_id}/campaigns/"])
def test_a_list_of_one_version_is_told_from_that_of_whatever_version(path: str):
    own = replace(RESOURCES["audiences"], name="mine", path=path, data_selector="data")
    asked_by = path_reader(resource_table([*RESOURCES.values(), own]))
    assert asked_by("/v2/acme/campaigns") == Asked("mine", "acme", data_selector="data")
    assert asked_by("/v1/acme/campaigns/") == Asked("campaigns", "acme")

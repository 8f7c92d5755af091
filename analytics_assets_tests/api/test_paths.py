"""From ids to the path of a request and back, whatever the ids are."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from analytics_assets.api.paths import Asked, path_part, path_reader, request_path
from analytics_assets.resources import RESOURCES

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

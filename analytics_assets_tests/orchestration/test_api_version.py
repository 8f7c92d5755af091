"""The first part of the API's paths: `v1`, or as a deployment has it."""

from __future__ import annotations

import pytest

from analytics_assets.errors import SettingsError
from analytics_assets.factory import compose
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets.settings import api_settings, platform_settings
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api

PATHS = [
    "/{}/users/current/allowed-accounts",
    "/{}/A/campaigns/",
    "/{}/A/campaigns/P/items/",
    "/{}/A/campaigns/P/performance-video/items/",
    "/{}/A/combined_audiences/resources/audiences",
    "/{}/A/universal_pixel/custom_audience_rule",
    "/{}/A/universal_pixel/conversion_rule",
]


def asked_for(api: SampleApi) -> list[str]:
    """The paths that were asked for, with letters for ids."""
    ids = dict.fromkeys(api.data.account_ids, "A")
    ids |= {str(row["id"]): "P" for row in api.data.table("campaigns")}
    paths = {entry.path for entry in api.log.entries if entry.path != "/oauth/token"}
    return sorted(
        {"/".join(ids.get(segment, segment) for segment in path.split("/")) for path in paths}
    )


def test_seven_resources_at_these_paths_unless_a_setting_says_otherwise(sync, api: SampleApi):
    assert sync().exit_code == 0
    assert asked_for(api) == sorted(path.format("v1") for path in PATHS)


def test_another_version(home, sync, doctor, api: SampleApi, monkeypatch):
    api.behaviour.api_version = "1.0"
    monkeypatch.setenv("SOURCES__ANALYTICS__API_VERSION", "1.0")
    checks = doctor()
    assert all(check["ok"] for check in checks.values())
    assert "GET /1.0/users/current/allowed-accounts" in checks["account list"]["detail"]
    assert sync().exit_code == 0
    assert asked_for(api) == sorted(path.format("1.0") for path in PATHS)
    assert_warehouse_equals_api(home, api.data)


def test_the_assets_say_which(home, monkeypatch):
    def endpoints() -> list[str]:
        specs = compose(platform_settings()).resolve_all_asset_specs()
        for spec in specs:
            assert str(spec.description).endswith(f"Read from `{spec.metadata['endpoint']}`.")
        return sorted(spec.metadata["endpoint"] for spec in specs)

    assert endpoints() == sorted(f"GET {r.path_in('v1')}" for r in RESOURCES.lists.values())
    monkeypatch.setenv("SOURCES__ANALYTICS__API_VERSION", "1.0")
    monkeypatch.delenv("SOURCES__ANALYTICS__CLIENT_ID")  # nothing is asked for here
    assert endpoints() == sorted(f"GET {r.path_in('1.0')}" for r in RESOURCES.lists.values())


def test_a_version_that_the_api_does_not_have(sync, doctor, api: SampleApi):
    api.behaviour.api_version = "1.0"
    result = sync()
    assert result.exit_code == 1
    assert "answers 404" in result.stderr
    assert "SOURCES__ANALYTICS__API_VERSION right?)" in result.stderr
    advice = doctor()["account list"]["advice"]
    assert advice.startswith(
        "check SOURCES__ANALYTICS__BASE_URL and SOURCES__ANALYTICS__API_VERSION, and what lies"
    )


def test_a_number_of_toml_would_lose_its_zeros(monkeypatch, home, toml):
    toml("[sources.analytics]\napi_version = 1.10\n")
    for get in (api_settings, lambda: compose(platform_settings())):
        with pytest.raises(SettingsError, match=r"API_VERSION to one part of a path.* in quotes"):
            get()

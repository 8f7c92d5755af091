"""The client's secret is changed at the API while the platform is at work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api

SECRET = "SOURCES__ANALYTICS__CLIENT_SECRET"


def test_a_new_secret_is_needed_when_the_token_is_refused(
    home: Path, api: SampleApi, sync: Callable[..., Result], monkeypatch
):
    assert sync("--resource", "accounts").exit_code == 0
    old, api.behaviour.client_secret = api.behaviour.client_secret, "the-new-one"
    first, *others = api.data.account_ids
    assert sync("--account", first).exit_code == 0, "its token is valid still"

    api.behaviour.faults.append(Fault("revoke_tokens", f"/v1/{others[-1]}/*", times=1))
    refused = sync("--json", *(f"--account={account}" for account in others))
    assert refused.exit_code == 1
    failures = json.loads(refused.stdout)["failures"]
    assert failures
    for each in failures:
        assert (
            f"refuses the credentials (401): check {SECRET[:-6]}ID, {SECRET} and" in each["cause"]
        )
        assert not each["permanent"], "so that it is tried again when its wait is over"
    assert old not in refused.output
    assert "the-new-one" not in refused.output

    monkeypatch.setenv(SECRET, "the-new-one")
    assert sync("--failed").exit_code == 0
    assert_warehouse_equals_api(home, api.data)

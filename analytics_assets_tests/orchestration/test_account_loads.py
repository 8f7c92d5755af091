"""What is said of lists that were read and not loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from analytics_assets.errors import ReadError, WarehouseError
from analytics_assets.orchestration import ingestion
from analytics_assets.orchestration.account_loads import _not_loaded
from analytics_assets.sample_api import SampleApi
from analytics_assets.warehouse.load import load
from analytics_assets.warehouse.outcome import LoadOutcome


def test_a_list_that_another_load_has_overtaken_is_named(
    api: SampleApi, sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, other, *_ = api.data.account_ids
    assert sync("--resource", "accounts").exit_code == 0

    def overtaken(*args: Any, **options: Any) -> LoadOutcome:
        return replace(load(*args, **options), overtaken={account: ["campaigns"]})

    monkeypatch.setattr(ingestion, "load", overtaken)
    result = sync("--account", account, "--account", other, "--resource", "campaigns")
    assert result.exit_code == 1
    [line] = [line for line in result.output.splitlines() if "has changed its rows" in line]
    assert line.strip().startswith(account)
    assert line.endswith("while it was read; sync again")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (WarehouseError("it is full"), "it is full"),
        (ReadError("it broke off"), "it broke off"),
        (KeyError("secret"), "the run ended with KeyError"),
    ],
)
def test_what_an_error_has_left_unloaded(error: Exception, cause: str) -> None:
    wanted = {"acme": ["campaigns", "audiences"], "globex": ["campaigns"], "initech": ["audiences"]}
    made = {("campaigns", "acme"), ("campaigns", "globex")}
    failures = list(_not_loaded(wanted, made, error))
    assert [(each.account_id, each.lost) for each in failures] == [
        ("acme", ("audiences",)),
        ("initech", ("audiences",)),
    ]
    assert {str(each.error) for each in failures} == {cause}

"""What the assets of a run share."""

from __future__ import annotations

import logging
import os
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from analytics_assets.errors import SettingsError
from analytics_assets.orchestration.ingestion import (
    lock_request,
    selected_resources,
    users_errors_as_failures,
)
from analytics_assets.orchestration.progress import Progress
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse import load


def context(**known: Any) -> dg.AssetExecutionContext:
    return cast(dg.AssetExecutionContext, SimpleNamespace(**known))


def test_an_error_for_users_ends_the_run_in_its_own_words() -> None:
    with pytest.raises(dg.Failure, match=r"^set this$") as caught, users_errors_as_failures():
        raise SettingsError("set this")
    assert not caught.value.allow_retries
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("error", [ValueError("ours to mend"), dg.Failure("already")])
def test_another_error_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, users_errors_as_failures():
        raise error
    assert caught.value is error


def test_who_waits_for_the_warehouse_says_which_run_it_is() -> None:
    lines: list[str] = []
    run = context(run=SimpleNamespace(run_id="run-7"), log=SimpleNamespace(info=lines.append))
    request = lock_request(run, Progress(), PlatformSettings(lock_timeout=12.0))
    assert request.holder == f"run run-7 (process {os.getpid()})"
    assert request.timeout == 12.0
    request.report("waits for another")
    assert lines == ["waits for another"]


def test_what_a_run_materialises_comes_parents_first() -> None:
    chosen = {dg.AssetKey("motion_ads"), dg.AssetKey("campaigns"), dg.AssetKey("accounts")}
    found = selected_resources(context(selected_asset_keys=chosen), PlatformSettings())
    assert found == ["accounts", "campaigns", "motion_ads"]


def test_a_table_without_an_index_is_a_warning(
    home, sync, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "index_accounts", lambda *_: "there is no index: make one")
    assert sync("--resource", "accounts").exit_code == 0
    [run] = instance.get_runs()
    lines = [(entry.level, entry.user_message) for entry in instance.all_logs(run.run_id)]
    assert (logging.WARNING, "there is no index: make one") in lines

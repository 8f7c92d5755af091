"""The accounts as partitions: how a run covers a set of them, and which ones a run is for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from logging import getLogger
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.events import AssetMaterializationPlannedData

from analytics_assets.orchestration import partitions
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import (
    AccountsConfig,
    RunTarget,
    keep_partitions,
    known_accounts,
    requested_accounts,
    run_target,
    run_targets,
)
from analytics_assets_tests.testing.records import load

NAMES = AssetNames()


OP = "account_resources"


@pytest.fixture
def records() -> Iterator[dg.DagsterInstance]:
    """Records in memory, of four accounts."""
    with dg.DagsterInstance.ephemeral() as instance:
        keep_partitions(instance, ["a", "b", "c", "d"])
        yield instance


def config(**given: Any) -> dict[str, Any]:
    return {OP: {"config": given}}


@pytest.mark.parametrize(
    ("accounts", "tags", "given"),
    [
        ("b", {"dagster/partition": "b"}, {}),
        (
            "cdb",
            {
                "dagster/asset_partition_range_start": "b",
                "dagster/asset_partition_range_end": "d",
            },
            {},
        ),
        ("dab", {"dagster/partition": "a"}, {"accounts": ["a", "b", "d"]}),
    ],
    ids=["one", "neighbours", "with a gap"],
)
def test_how_a_run_covers_accounts(
    records: dg.DagsterInstance, accounts: str, tags: dict[str, str], given: dict[str, Any]
) -> None:
    assert run_target(records, NAMES.accounts_op, accounts) == RunTarget(tags, config(**given))
    allowing = run_target(records, NAMES.accounts_op, accounts, allow_empty=True)
    assert allowing == RunTarget(tags, config(allow_empty=True, **given))


def test_a_run_is_for_the_accounts_that_are_listed_at_its_turn(records: dg.DagsterInstance) -> None:
    targets = run_targets(records, NAMES.accounts_op, ["ab", "d", "bc"], full=True)
    assert next(targets).tags["dagster/asset_partition_range_start"] == "a"
    keep_partitions(records, ["a", "c"])
    assert list(targets) == [RunTarget({"dagster/partition": "c"}, config(full=True))]


def test_the_partitions_become_the_listed_accounts(records: dg.DagsterInstance) -> None:
    keep_partitions(records, ["d", "e", "b"])
    assert set(known_accounts(records)) == {"b", "d", "e"}
    keep_partitions(records, [])
    assert known_accounts(records) == []


def run_over(records: dg.DagsterInstance, own: list[str] | None) -> dg.AssetExecutionContext:
    """A run over a partition, or over a range of which these were planned."""
    keys = {dg.AssetKey("campaigns"), dg.AssetKey("audiences")}
    tags = {}
    if own is not None:
        range_tags = {partitions.RANGE_START_TAG: own[0], partitions.RANGE_END_TAG: own[-1]}
        tags = {partitions.PARTITION_TAG: own[0]} if len(own) == 1 else range_tags
    run = SimpleNamespace(run_id=str(uuid4()), tags=tags)
    for key, partition in product(keys, own or []):
        plan(records, run.run_id, key, partition)
    plan(records, run.run_id, dg.AssetKey("another"), "x")
    context = SimpleNamespace(
        instance=records, run=run, selected_asset_keys=keys, log=getLogger("run")
    )
    return cast(dg.AssetExecutionContext, context)


def plan(records: dg.DagsterInstance, run_id: str, key: dg.AssetKey, partition: str) -> None:
    planned = AssetMaterializationPlannedData(key, partition=partition)
    event = dg.DagsterEvent.build_asset_materialization_planned_event("job", "step", planned)
    records.report_dagster_event(event, run_id)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The partitions that are planned beyond those of a run."""
    planned: list[list[str]] = []

    def plan(context: dg.AssetExecutionContext, keys: list[str]) -> None:
        assert context.instance
        planned.append(keys)

    monkeypatch.setattr(partitions, "plan_partitions", plan)
    return planned


@pytest.mark.parametrize("own", [["b"], ["b", "c"]])
def test_a_run_is_for_its_own_partitions(
    records: dg.DagsterInstance, planned: list[list[str]], own: list[str]
) -> None:
    assert requested_accounts(run_over(records, own), AccountsConfig()) == own
    assert planned == []


@pytest.mark.parametrize("gone", ["b", "c", "d"])
def test_a_range_is_what_is_left_of_it(
    records: dg.DagsterInstance, caplog: pytest.LogCaptureFixture, gone: str
) -> None:
    run = run_over(records, ["b", "c", "d"])
    keep_partitions(records, {"a", "b", "c", "d"} - {gone})
    left = [account for account in "bcd" if account != gone]
    assert requested_accounts(run, AccountsConfig()) == left
    assert caplog.messages == [f"no longer listed, or left out by now, and not read: {gone}"]


def test_a_run_is_for_the_accounts_of_its_configuration(
    records: dg.DagsterInstance, planned: list[list[str]]
) -> None:
    given = AccountsConfig(accounts=["d", "b", "d"])
    assert requested_accounts(run_over(records, ["b"]), given) == ["d", "b"]
    # those that Dagster does not know of by itself
    assert planned == [["d"]]
    assert requested_accounts(run_over(records, None), given) == ["d", "b"]


@pytest.mark.parametrize("gone", ["b", "d"], ids=["its own", "another"])
def test_a_set_is_what_is_left_of_it(
    records: dg.DagsterInstance,
    planned: list[list[str]],
    caplog: pytest.LogCaptureFixture,
    gone: str,
) -> None:
    load(records, "audiences", gone)
    keep_partitions(records, {"a", "b", "c", "d", "e"} - {gone})
    left = [account for account in "bde" if account != gone]
    given = AccountsConfig(accounts=["b", "d", "e"])
    assert requested_accounts(run_over(records, ["b"]), given) == left
    assert planned == [[account for account in left if account != "b"]]
    assert caplog.messages == [f"no longer listed, or left out by now, and not read: {gone}"]
    given = AccountsConfig(accounts=["b", "d", "zz"])
    with pytest.raises(dg.Failure, match=r"^no such account: zz: "):
        requested_accounts(run_over(records, ["b"]), given)


@pytest.mark.parametrize(
    ("own", "accounts", "said"),
    [
        (None, [], "the run names no account: give a partition, or a range"),
        (["b"], ["b", "zz", "yy"], "no such account: zz, yy: materialise `accounts` to list"),
        (["zz"], [], "^no such account: zz: materialise `accounts` to list them anew$"),
        (["b1"], [], r"^no such account: b1: did you mean b\? Else materialise `accounts`"),
        (["b", "c"], ["c", "d"], "`accounts` leaves out the run's own partition b$"),
    ],
)
def test_what_a_run_cannot_be_for(
    records: dg.DagsterInstance,
    planned: list[list[str]],
    own: list[str] | None,
    accounts: list[str],
    said: str,
) -> None:
    with pytest.raises(dg.Failure, match=said) as caught:
        requested_accounts(run_over(records, own), AccountsConfig(accounts=accounts))
    assert not caught.value.allow_retries
    assert planned == []

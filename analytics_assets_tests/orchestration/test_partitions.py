"""The accounts as partitions: how a run covers a set of them, and which ones a run is for."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from analytics_assets.orchestration import partitions
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import (
    AccountsConfig,
    RunTarget,
    keep_partitions,
    known_accounts,
    requested_accounts,
    run_target,
)

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
    assert run_target(records, NAMES, accounts) == RunTarget(tags, config(**given))
    allowing = run_target(records, NAMES, accounts, allow_empty=True)
    assert allowing == RunTarget(tags, config(allow_empty=True, **given))


def test_the_partitions_become_the_listed_accounts(records: dg.DagsterInstance) -> None:
    keep_partitions(records, ["d", "e", "b"])
    assert set(known_accounts(records)) == {"b", "d", "e"}
    keep_partitions(records, [])
    assert known_accounts(records) == []


def run_over(
    records: dg.DagsterInstance, own: list[str] | None, is_range: bool = False
) -> dg.AssetExecutionContext:
    context = SimpleNamespace(
        instance=records,
        has_partition_key=own is not None and not is_range,
        has_partition_key_range=own is not None and is_range,
        partition_keys=own,
    )
    return cast(dg.AssetExecutionContext, context)


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The partitions that are planned beyond those of a run."""
    planned: list[list[str]] = []

    def plan(context: dg.AssetExecutionContext, keys: list[str]) -> None:
        assert context.instance
        planned.append(keys)

    monkeypatch.setattr(partitions, "plan_partitions", plan)
    return planned


@pytest.mark.parametrize(("own", "is_range"), [(["b"], False), (["b", "c"], True)])
def test_a_run_is_for_its_own_partitions(
    records: dg.DagsterInstance, planned: list[list[str]], own: list[str], is_range: bool
) -> None:
    assert requested_accounts(run_over(records, own, is_range), AccountsConfig()) == own
    assert planned == []


def test_a_run_is_for_the_accounts_of_its_configuration(
    records: dg.DagsterInstance, planned: list[list[str]]
) -> None:
    given = AccountsConfig(accounts=["d", "b", "d"])
    assert requested_accounts(run_over(records, ["b"]), given) == ["d", "b"]
    # those that Dagster does not know of by itself
    assert planned == [["d"]]
    assert requested_accounts(run_over(records, None), given) == ["d", "b"]


@pytest.mark.parametrize(
    ("own", "accounts", "said"),
    [
        (None, [], "the run names no account: give a partition, or a range"),
        (["b"], ["b", "z", "y"], "no such account: z, y. Materialise `accounts`"),
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

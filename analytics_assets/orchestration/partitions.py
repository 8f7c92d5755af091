"""The accounts as dynamic partitions, and which of them a run is for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from pydantic import Field

from analytics_assets.dagster_backend.batches import plan_partitions
from analytics_assets.orchestration.naming import AssetNames

ACCOUNT_PARTITIONS = dg.DynamicPartitionsDefinition(name="accounts")


class ListConfig(dg.Config):
    """Configuration of a run that lists the accounts."""

    allow_empty: bool = Field(
        default=False,
        description="Accept a list that lacks most of the accounts that were there before, or all.",
    )


class AccountsConfig(dg.Config):
    """Configuration of a run over accounts."""

    allow_empty: bool = Field(
        default=False,
        description="Accept an account without any rows, where it had rows in several tables.",
    )
    # empty and not None, so that the launchpad shows it
    accounts: list[str] = Field(
        default=[],
        description=(
            "The accounts to materialise: any set of them, where a partition range covers only"
            " neighbours. The run's own partition must be one of them. Empty: those of the run's"
            " partition or range."
        ),
    )


@dataclass(frozen=True, slots=True)
class RunTarget:
    """What makes one run be for a set of accounts."""

    tags: Mapping[str, str] = field(default_factory=dict)
    ops: Mapping[str, Any] = field(default_factory=dict)


def run_target(
    instance: dg.DagsterInstance,
    names: AssetNames,
    account_ids: Collection[str],
    *,
    allow_empty: bool = False,
) -> RunTarget:
    """How one run covers the accounts: by partition, by range, or by configuration.

    Dagster knows a key and a range of neighbours. A run for any other set has the first of them as
    its partition, without which Dagster would not run it, and all of them in its configuration.
    """
    config: dict[str, Any] = {"allow_empty": True} if allow_empty else {}
    known = known_accounts(instance)
    places = sorted(known.index(account_id) for account_id in account_ids)
    first, last = known[places[0]], known[places[-1]]
    tags: dict[str, str] = {}
    if len(places) == 1:
        tags = {"dagster/partition": first}
    elif places[-1] - places[0] + 1 == len(places):
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        }
    else:
        tags = {"dagster/partition": first}
        config["accounts"] = [known[place] for place in places]
    return RunTarget(tags, {names.accounts_op: {"config": config}})


def known_accounts(instance: dg.DagsterInstance) -> list[str]:
    """The partition keys, in Dagster's order."""
    return list(instance.get_dynamic_partitions(str(ACCOUNT_PARTITIONS.name)))


def keep_partitions(instance: dg.DagsterInstance, account_ids: Collection[str]) -> None:
    """Makes the partitions equal the listed accounts. Rows of an account that left stay."""
    name = str(ACCOUNT_PARTITIONS.name)
    known = set(known_accounts(instance))
    instance.add_dynamic_partitions(name, [key for key in account_ids if key not in known])
    for key in sorted(known.difference(account_ids)):
        instance.delete_dynamic_partition(name, key)


def requested_accounts(context: dg.AssetExecutionContext, config: AccountsConfig) -> Sequence[str]:
    """The partition keys that the run is for, from its partition, its range or its configuration.

    Raises:
        dagster.Failure: It names none, one that is not listed, or two sets that do not agree.
    """
    own: Sequence[str] = []
    if context.has_partition_key or context.has_partition_key_range:
        own = list(context.partition_keys)
    wanted = list(dict.fromkeys(config.accounts or own))
    if not wanted:
        raise _failure(
            "the run names no account: give a partition, or a range with its first key first"
        )
    if config.accounts:
        _refuse_unknown(context, wanted)
        if missing := [key for key in own if key not in wanted]:
            raise _failure(f"`accounts` leaves out the run's own partition {', '.join(missing)}")
        plan_partitions(context, [key for key in wanted if key not in own])
    return wanted


def _refuse_unknown(context: dg.AssetExecutionContext, account_ids: Sequence[str]) -> None:
    known = set(known_accounts(context.instance))
    unknown = [key for key in account_ids if key not in known]
    if unknown:
        raise _failure(
            f"no such account: {', '.join(unknown)}. Materialise `accounts` to list them anew"
        )


def _failure(message: str) -> dg.Failure:
    return dg.Failure(message, allow_retries=False)

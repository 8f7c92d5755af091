"""The accounts as dynamic partitions, and which of them a run is for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

import dagster as dg
from pydantic import Field

from analytics_assets.dagster_backend.batches import plan_partitions
from analytics_assets.resources import ACCOUNTS
from analytics_assets.text import one_line

# Dagster's tags of a run that is for a partition, or for those from one to another
PARTITION_TAG: Final = "dagster/partition"
RANGE_START_TAG: Final = "dagster/asset_partition_range_start"
RANGE_END_TAG: Final = "dagster/asset_partition_range_end"

ACCOUNT_PARTITIONS = dg.DynamicPartitionsDefinition(name="accounts")


class ListConfig(dg.Config):
    """Configuration of a run that lists the accounts."""

    allow_empty: bool = Field(
        default=False,
        description="Accept a list that lacks most of the accounts that were there before, or all.",
    )


class AccountSetConfig(dg.Config):
    """Which accounts a run is for."""

    # empty and not None, so that the launchpad shows it
    accounts: list[str] = Field(
        default=[],
        description=(
            "The accounts to materialise: any set of them, where a partition range covers only"
            " neighbours. The run's own partition must be one of them. Empty: those of the run's"
            " partition or range."
        ),
    )


class AccountsConfig(AccountSetConfig):
    """Configuration of a run over accounts."""

    allow_empty: bool = Field(
        default=False,
        description="Accept an account without any rows, where it had rows in several tables.",
    )
    full: bool = Field(
        default=False,
        description=(
            "Read all lists, also those that the setting reread_unchanged_days leaves out where"
            " nothing has changed."
        ),
    )


class ReportsConfig(AccountSetConfig):
    """Configuration of a run over reports of accounts."""

    allow_empty: bool = Field(
        default=False, description="Accept that no day of a window has rows, where some had."
    )
    start_date: str = Field(
        default="",
        description="The first day to ask for, such as 2026-01-31. Empty: the days that are due.",
    )
    end_date: str = Field(
        default="", description="The last day to ask for. Empty: today, in the account's time zone."
    )


@dataclass(frozen=True, slots=True)
class RunTarget:
    """What makes one run be for a set of accounts."""

    tags: Mapping[str, str] = field(default_factory=dict)
    ops: Mapping[str, Any] = field(default_factory=dict)


def run_target(
    instance: dg.DagsterInstance, op_name: str, account_ids: Collection[str], **chosen: bool | str
) -> RunTarget:
    """How one run covers the accounts: by partition, by range, or by configuration.

    Dagster knows a key and a range of neighbours. A run for any other set has the first of them as
    its partition, without which Dagster would not run it, and all of them in its configuration.

    Args:
        instance: Knows the accounts.
        op_name: The op that reads them.
        account_ids: The accounts.
        chosen: What else the op's configuration says; what is false or empty is left out.
    """
    return _target(known_accounts(instance), op_name, account_ids, chosen)


def run_targets(
    instance: dg.DagsterInstance,
    op_name: str,
    shards: Iterable[Collection[str]],
    **chosen: bool | str,
) -> Iterator[RunTarget]:
    """How one run after the other covers each shard, as `run_target` has it.

    Accounts may leave the list while others are read: a run is for those that are left at its turn.
    """
    for shard in shards:
        known = known_accounts(instance)
        if left := set(shard).intersection(known):
            yield _target(known, op_name, left, chosen)


def _target(
    known: Sequence[str],
    op_name: str,
    account_ids: Collection[str],
    chosen: Mapping[str, bool | str],
) -> RunTarget:
    config: dict[str, Any] = {name: value for name, value in chosen.items() if value}
    places = sorted(known.index(account_id) for account_id in account_ids)
    first, last = known[places[0]], known[places[-1]]
    tags = {PARTITION_TAG: first}
    if places[-1] - places[0] + 1 != len(places):  # with gaps
        config["accounts"] = [known[place] for place in places]
    elif len(places) > 1:
        tags = {RANGE_START_TAG: first, RANGE_END_TAG: last}
    return RunTarget(tags, {op_name: {"config": config}})


def known_accounts(instance: dg.DagsterInstance) -> list[str]:
    """The partition keys, in Dagster's order."""
    return list(instance.get_dynamic_partitions(str(ACCOUNT_PARTITIONS.name)))


def planned_partitions(
    instance: dg.DagsterInstance, run_id: str, keys: Collection[dg.AssetKey]
) -> list[str]:
    """The partitions of some assets that a run was to materialise when it was made, each once."""
    planned = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    events = [entry.dagster_event for entry in planned if entry.dagster_event]
    partitions = (event.partition for event in events if event.asset_key in keys)
    return list(dict.fromkeys(filter(None, partitions)))


def keep_partitions(instance: dg.DagsterInstance, account_ids: Collection[str]) -> None:
    """Makes the partitions equal the listed accounts. Rows of an account that left stay."""
    name = str(ACCOUNT_PARTITIONS.name)
    known = set(known_accounts(instance))
    instance.add_dynamic_partitions(name, [key for key in account_ids if key not in known])
    for key in sorted(known.difference(account_ids)):
        instance.delete_dynamic_partition(name, key)


def requested_accounts(context: dg.AssetExecutionContext, config: AccountSetConfig) -> list[str]:
    """The listed accounts that the run is for, from its partition, its range or its configuration.

    A run may have waited while accounts left the list: those that are left are read, and the others
    named in its log.

    Raises:
        dagster.Failure: It names none that is listed, one that never was, or two sets that do not
            agree.
    """
    own = _own_accounts(context)
    wanted = list(dict.fromkeys(config.accounts or own))
    if not wanted:
        raise _failure(
            "the run names no account: give a partition, or a range with its first key first"
        )
    known = known_accounts(context.instance)
    unknown = [account for account in wanted if account not in set(known)]
    if len(unknown) == len(wanted):
        raise _failure(_no_such(unknown, known))
    if unknown:
        never = _never_loaded(context, unknown) if config.accounts else []
        if never:  # a slip of the pen
            raise _failure(_no_such(never, known))
        gone = ", ".join(map(one_line, unknown))
        context.log.warning(f"no longer listed, or left out by now, and not read: {gone}")
    left = [account for account in wanted if account not in unknown]
    if config.accounts:
        if missing := [key for key in own if key not in wanted]:
            raise _failure(f"`accounts` leaves out the run's own partition {', '.join(missing)}")
        plan_partitions(context, [key for key in left if key not in own])
    return left


def has_its_range(context: dg.AssetExecutionContext) -> bool:
    """Whether the run's partition, or the ends of its range, are still listed.

    Dagster can tell an asset downstream nothing of what it does not know.
    """
    tags = (PARTITION_TAG, RANGE_START_TAG, RANGE_END_TAG)
    ends = {context.run.tags.get(tag) for tag in tags} - {None}
    return ends.issubset(known_accounts(context.instance))


def _own_accounts(context: dg.AssetExecutionContext) -> list[str]:
    """The run's partition, or those of its range when it was made: its ends may be gone by now."""
    if (partition := context.run.tags.get(PARTITION_TAG)) is not None:
        return [partition]
    if RANGE_START_TAG not in context.run.tags:
        return []
    keys = context.selected_asset_keys
    return planned_partitions(context.instance, context.run.run_id, keys)


def _never_loaded(context: dg.AssetExecutionContext, accounts: Sequence[str]) -> list[str]:
    """Those of the accounts of which none of the run's assets was ever made."""
    made: set[str] = set()
    for key in context.selected_asset_keys:
        made |= context.instance.get_materialized_partitions(key)
    return [account for account in accounts if account not in made]


def _no_such(unknown: Sequence[str], known: Collection[str]) -> str:
    near = get_close_matches(unknown[0], known, n=1)
    hint = f"did you mean {near[0]}? Else materialise" if near else "materialise"
    named = ", ".join(map(one_line, unknown))
    return f"no such account: {named}: {hint} `{ACCOUNTS.name}` to list them anew"


def _failure(message: str) -> dg.Failure:
    return dg.Failure(message, allow_retries=False)

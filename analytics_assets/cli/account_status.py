"""What is on record of each account and what the warehouse holds of it: what `status` shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from analytics_assets.cli.accounts import chosen_accounts
from analytics_assets.cli.home import dagster_instance, end_killed_runs
from analytics_assets.errors import AnalyticsError
from analytics_assets.resources import ACCOUNTS

if TYPE_CHECKING:
    import dagster as dg

    from analytics_assets.orchestration.recorded_attempts import FailedAttempt
    from analytics_assets.orchestration.recorded_loads import Load
    from analytics_assets.settings import PlatformSettings
    from analytics_assets.warehouse.holdings import HeldRows

State = Literal["failed", "lost", "partly", "never", "ok"]

STATES: Final[tuple[State, ...]] = get_args(State)
"""In the order in which accounts are listed."""

_Key = tuple[str, str | None]
# the list of accounts belongs to no account
_LIST: Final[_Key] = (ACCOUNTS.name, None)


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account.

    Attributes:
        account_id: The account.
        loads: The latest load of each resource.
        lost: The resources whose latest load the warehouse does not hold.
        failure: Why the latest attempt failed, if it did.
    """

    account_id: str
    loads: Mapping[str, Load | None]
    lost: Collection[str]
    failure: FailedAttempt | None

    @property
    def loaded(self) -> list[Load]:
        """The loads that there are."""
        return [
            load for name, load in self.loads.items() if load is not None and name not in self.lost
        ]

    @property
    def state(self) -> State:
        """`ok` only if every resource is loaded and no latest attempt failed."""
        if self.failure is not None:
            return "failed"
        if self.lost:
            return "lost"
        if not self.loaded:
            return "never"
        return "ok" if len(self.loaded) == len(self.loads) else "partly"

    def state_of(self, resource_name: str) -> State:
        """The state of one resource."""
        if self.failure is not None and resource_name in self.failure.resources:
            return "failed"
        if resource_name in self.lost:
            return "lost"
        return "never" if self.loads[resource_name] is None else "ok"

    @property
    def rows(self) -> int:
        """Rows over all resources."""
        return sum(load.rows or 0 for load in self.loaded)

    @property
    def oldest_load(self) -> float | None:
        """When the resource that is most out of date was loaded, in seconds since 1970."""
        return min((load.at for load in self.loaded), default=None)


@dataclass(frozen=True, slots=True)
class UnreadAccount:
    """An account that is not read, because the API no longer lists it or a setting leaves it out.

    Attributes:
        account_id: The account.
        rows: What the tables keep of it.
        last_load: When it was last loaded, in seconds since 1970, if that is on record.
        setting: The setting that leaves it out; None where the API no longer lists it.
    """

    account_id: str
    rows: int
    last_load: float | None
    setting: str | None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What there is to show.

    Attributes:
        listed: When the accounts were listed; None if they never were.
        list_is_lost: Whether the warehouse does not hold that list.
        accounts: The accounts that were asked for, those that need attention first.
        departed: The accounts that are not listed any more and have rows, where all were asked for.
        skipped_accounts: The accounts that the settings leave out, where all were asked for.
        skipped_resources: The resources that the settings leave out.
        idle_reports: The reports that have a table and are not read any more.
        left_tables: Tables of resources that the settings do not have any more, with their rows.
        runs: The runs that have not ended.
        not_compared: Why the warehouse could not be asked, if so; these are records only then.
    """

    listed: Load | None
    list_is_lost: bool
    accounts: Sequence[AccountStatus]
    departed: Sequence[UnreadAccount]
    skipped_accounts: Sequence[UnreadAccount]
    skipped_resources: Sequence[str]
    idle_reports: Sequence[str]
    left_tables: Mapping[str, int]
    runs: Sequence[dg.DagsterRun]
    not_compared: str | None


def status_report(accounts: Sequence[str]) -> StatusReport:
    """Compares Dagster's records of the accounts, or of all, with what the warehouse holds.

    Raises:
        click.ClickException: The records cannot be read, or an account is not listed.
        SettingsError: A setting of the platform is unusable.
    """
    with dagster_instance() as instance:
        from analytics_assets.orchestration.naming import AssetNames
        from analytics_assets.orchestration.recorded_attempts import failed_attempts
        from analytics_assets.orchestration.recorded_loads import latest_loads, recorded_as_skipped
        from analytics_assets.orchestration.recorded_runs import unfinished_runs
        from analytics_assets.settings import platform_settings

        settings = platform_settings()
        names = AssetNames.of_settings(settings)

        end_killed_runs(instance)
        account_ids = chosen_accounts(instance, names, accounts)
        loads, failures = latest_loads(instance, names), failed_attempts(instance, names)
        runs, skipped = unfinished_runs(instance, names), recorded_as_skipped(instance, names)
    held, not_compared = _held(settings, loads, accounts)
    lost = _lost(loads, held)
    statuses = [
        AccountStatus(
            account_id,
            {name: loads.get((name, account_id)) for name in names.partitioned},
            [name for name in names.partitioned if (name, account_id) in lost],
            failures.get(account_id),
        )
        for account_id in account_ids
    ]
    # as the API lists them, where there is nothing to choose between
    statuses.sort(key=lambda status: STATES.index(status.state))
    listed = loads.get(_LIST)
    there = held.loads.tables if held is not None else ()
    unread = [] if accounts or listed is None else _unread(loads, held, account_ids, skipped)
    return StatusReport(
        listed,
        _LIST in lost,
        statuses,
        [account for account in unread if account.setting is None],
        [account for account in unread if account.setting is not None],
        [name for name in names.resources.lists if name not in names.resource_names],
        [n for n in names.resources.reports if n in there and n not in names.report_names],
        _left(settings) if held is not None else {},
        runs,
        not_compared,
    )


def _held(
    settings: PlatformSettings, loads: Mapping[_Key, Load], accounts: Sequence[str]
) -> tuple[HeldRows | None, str | None]:
    """What the warehouse holds, or why it was not asked; neither where there is nothing to ask."""
    if not loads:
        return None, None
    from analytics_assets.warehouse.holdings import held_rows

    try:
        return held_rows(settings, accounts), None
    except AnalyticsError as error:
        return None, str(error)


def _left(settings: PlatformSettings) -> Mapping[str, int]:
    from analytics_assets.warehouse.left_tables import left_tables

    try:
        return left_tables(settings)
    except AnalyticsError:  # a run has begun meanwhile
        return {}


def _lost(loads: Mapping[_Key, Load], held: HeldRows | None) -> set[_Key]:
    """The loads whose rows the warehouse does not hold, as far as it was asked."""
    if held is None:
        return set()
    from analytics_assets.orchestration.presence import without_rows

    return {(load.resource, load.account_id) for load in without_rows(loads.values(), held)}


def _unread(
    loads: Mapping[_Key, Load],
    held: HeldRows | None,
    read: Collection[str],
    skipped: Mapping[str, str],
) -> list[UnreadAccount]:
    """The accounts beyond those read: those skipped, and others that have rows.

    What rows they have is the warehouse's to say, or else the records'.
    """
    if held is None:
        counts = {key: load.rows or 0 for key, load in loads.items()}
    else:
        counts = {key: rows for key, (rows, _) in held.counts.items()}
    rows: Counter[str] = Counter(dict.fromkeys(skipped, 0))
    for (_, account_id), number in counts.items():
        if account_id is not None and account_id not in read:
            rows[account_id] += number
    last = {
        account_id: max(load.at for load in loads.values() if load.account_id == account_id)
        for account_id in {load.account_id for load in loads.values()} & rows.keys()
    }
    return [
        UnreadAccount(account_id, number, last.get(account_id), skipped.get(account_id))
        for account_id, number in sorted(rows.items())
        if number or account_id in skipped
    ]

"""What the assets, ops and jobs are called: as the resources, under a prefix where there is one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import dagster as dg

from analytics_assets.choice import chosen_reports, chosen_resources, kept_histories
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.schema import Resource, ResourceTable, resource_of
from analytics_assets.settings import PlatformSettings


@dataclass(frozen=True, slots=True)
class AssetNames:
    """What of the platform a code location has, and how it calls it.

    Attributes:
        key_prefix: What the asset keys begin with; empty where an asset is called as its resource.
        resource_names: The lists that are assets, each parent before its children.
        histories: Those of them whose history is an asset, too.
        report_names: The reports that are assets.
        resources: All that there are, assets or not.
    """

    key_prefix: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = tuple(RESOURCES.lists)
    histories: tuple[str, ...] = ()
    report_names: tuple[str, ...] = ()
    resources: ResourceTable = RESOURCES

    @classmethod
    def of_settings(cls, settings: PlatformSettings) -> AssetNames:
        """The names that the settings ask for.

        Raises:
            SettingsError: They skip what cannot be skipped, or keep no history that there can be.
        """
        prefix = tuple(settings.key_prefix.split("/")) if settings.key_prefix else ()
        return cls(
            prefix,
            chosen_resources(settings),
            tuple(kept_histories(settings)),
            chosen_reports(settings),
            settings.resources,
        )

    @classmethod
    def of_run(cls, context: dg.AssetExecutionContext, settings: PlatformSettings) -> AssetNames:
        """The names in a run, their prefix by an asset or a check that it is for.

        Raises:
            SettingsError: As `of_settings`.
        """
        checked = (check.asset_key for check in context.selected_asset_check_keys)
        key = next(iter(context.selected_asset_keys), None) or next(checked)
        asked_for = cls.of_settings(settings)
        return replace(asked_for, key_prefix=tuple(key.path[:-1]))

    @property
    def account_resources(self) -> list[str]:
        """The lists that are assets and read account by account."""
        return [name for name in self.resource_names if name != ACCOUNTS.name]

    @property
    def partitioned(self) -> list[str]:
        """All that is partitioned by account: lists, then reports."""
        return [*self.account_resources, *self.report_names]

    @property
    def all_names(self) -> list[str]:
        """All that is an asset."""
        return [*self.resource_names, *self.report_names]

    def parent(self, resource: Resource) -> str | None:
        """The resource whose asset this one's comes after: the next above it that is an asset."""
        parent = resource.parent
        while parent is not None and parent not in self.resource_names:
            parent = self.resources[parent].parent
        return parent

    def key(self, resource_name: str) -> dg.AssetKey:
        """The asset of a resource."""
        return dg.AssetKey([*self.key_prefix, resource_name])

    def keys(self, resource_names: Iterable[str]) -> list[dg.AssetKey]:
        """The assets of resources, in their order, each with that of its history."""
        found = []
        for name in resource_names:
            found.append(self.key(name))
            if name in self.histories:
                found.append(self.history_key(name))
        return found

    def history_key(self, resource_name: str) -> dg.AssetKey:
        """The asset of a resource's history."""
        return self.key(self.resources[resource_name].history.name)

    @staticmethod
    def resource_name(key: dg.AssetKey) -> str:
        """The resource of one of the platform's assets, which may be its history."""
        return resource_of(key.path[-1])

    def is_ours(self, run: dg.DagsterRun, made: Collection[dg.AssetKey]) -> bool:
        """Whether a run, which makes these assets, is for the platform's assets or checks, too."""
        if run.job_name in (self.refresh_job, self.sync_job, self.performance_job, self.check_job):
            return True
        checked = {check.asset_key for check in run.asset_check_selection or ()}
        ours = self.keys(self.all_names)
        return not checked.union(made).isdisjoint(ours)

    def of_definition(self, name: str) -> str:
        """The name of an op, job, schedule or sensor, which have no keys and share one name space.

        With the prefix, so that a code location may have an asset `accounts` or a job `sync`
        of its own.
        """
        return "__".join([*self.key_prefix, name])

    @property
    def listing_op(self) -> str:
        """The op that reads the list of accounts; its configuration is `ListConfig`."""
        return self.of_definition(ACCOUNTS.name)

    @property
    def accounts_op(self) -> str:
        """The op that reads accounts; its configuration is `AccountsConfig`."""
        return self.of_definition("account_resources")

    @property
    def reports_op(self) -> str:
        """The op that reads reports of accounts; its configuration is `ReportsConfig`."""
        return self.of_definition("account_reports")

    def op_of(self, resource_names: Collection[str]) -> str:
        """The op that reads these resources of accounts, lists or reports."""
        return self.accounts_op if self.are_lists(resource_names) else self.reports_op

    def job_of(self, resource_names: Collection[str]) -> str:
        """The job that reads these resources of accounts, lists or reports."""
        return self.sync_job if self.are_lists(resource_names) else self.performance_job

    def are_lists(self, resource_names: Collection[str]) -> bool:
        """Whether these resources are lists; otherwise all are reports."""
        return set(resource_names).isdisjoint(self.report_names)

    @property
    def refresh_job(self) -> str:
        """The job that lists the accounts anew."""
        return self.of_definition("refresh_accounts")

    @property
    def sync_job(self) -> str:
        """The job that reads accounts."""
        return self.of_definition("sync")

    @property
    def performance_job(self) -> str:
        """The job that reads reports of accounts."""
        return self.of_definition("performance")

    @property
    def check_job(self) -> str:
        """The job that judges the tables as they are."""
        return self.of_definition("check")

"""A load as a run does it, with rows instead of an API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from analytics_assets.resources import RESOURCES
from analytics_assets.rows.account_rows import AccountRows, AccountWriter, Part
from analytics_assets.schema import Resource, ResourceTable, resource_table
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.load import load as load_accounts

RULES = RESOURCES["audience_rules"]


def load(
    folder: Path,
    accounts: Mapping[str, Sequence[Mapping[str, Any]]],
    parts: Mapping[str, Part | None] = MappingProxyType({}),
    resource: Resource = RULES,
) -> None:
    """Loads audience rules of each account, with a pipeline folder of its own.

    Args:
        folder: An existing folder.
        accounts: The rules by account.
        parts: What was read of the accounts that were not read whole.
        resource: How the rules are declared.
    """
    resources = resource_table({**RESOURCES, RULES.name: resource}.values())
    settings = replace(platform_settings(), resources=resources)
    with TemporaryDirectory(dir=folder) as working:
        rows = [
            account_rows(Path(working) / str(number), account_id, {RULES.name: given}, resources)
            for number, (account_id, given) in enumerate(accounts.items())
        ]
        for account in rows:
            account.resources[RULES.name].part = parts.get(str(account.account_id))
        request = LockRequest("a test", settings.lock_timeout, print)
        load_accounts(settings, Path(working), [RULES.name], rows, request, allow_empty=True)


def account_rows(
    folder: Path,
    account_id: str | None,
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    resources: ResourceTable = RESOURCES,
) -> AccountRows:
    """An account's rows by resource, as a reader writes them; None lists the accounts."""
    folder.mkdir()
    writer = AccountWriter(resources, account_id, list(rows), folder)
    for name, of_resource in rows.items():
        writer.add(name, of_resource)
    return AccountRows(account_id, {name: writer.close(name) for name in rows})

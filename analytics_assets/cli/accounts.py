"""Accounts as arguments: completed, checked, and listed with those that failed first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import click

from analytics_assets.cli.home import dagster_instance, has_records
from analytics_assets.text import one_line

if TYPE_CHECKING:
    import dagster as dg

    from analytics_assets.orchestration.naming import AssetNames

ACCOUNTS_SHOWN: Final = 40
"""A longer list of accounts is shown in part: those that are not in order are never left out."""


def complete_account(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The accounts that begin so, for the shell, which can show no error."""
    try:
        if not has_records():
            return []
        from analytics_assets.orchestration.partitions import known_accounts

        with dagster_instance() as instance:
            return [key for key in known_accounts(instance) if key.startswith(incomplete)]
    except Exception:  # of a home or records that will not do: the command itself will say it
        return []


def chosen_accounts(
    instance: dg.DagsterInstance, names: AssetNames, accounts: Sequence[str]
) -> list[str]:
    """The accounts named, each once, or all where none is.

    Raises:
        click.ClickException: One is not listed, or a setting leaves it out.
    """
    from analytics_assets.orchestration.partitions import known_accounts
    from analytics_assets.orchestration.recorded_loads import recorded_as_skipped

    known = known_accounts(instance)
    for account in accounts:
        if account not in known:
            if setting := recorded_as_skipped(instance, names).get(account):
                raise click.ClickException(left_out_by(account, setting))
            raise click.ClickException(no_such_account(account, known))
    return list(dict.fromkeys(accounts)) or known


def left_out_by(account: str, setting: str) -> str:
    """Says that a setting leaves an account out."""
    return one_line(f"{account} is left out by {setting}: change that to read it")


def no_such_account(account: str, known: Collection[str]) -> str:
    """Says that an account is not among those known, and which one may be meant."""
    near = get_close_matches(account, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "`accounts` lists none of that name"
    return one_line(f"no such account: {account} ({hint})")

"""How a run tells of its progress: in its log, unless someone puts a terminal in its place."""

from __future__ import annotations

import dagster as dg

from analytics_assets.api.reader import AccountFailure, AccountRead
from analytics_assets.text import one_line


class Progress:
    """Writes a line to the run's log for every account."""

    def reading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """The run starts to read that many accounts."""
        context.log.info(f"reading {accounts} accounts")

    def read(
        self, context: dg.AssetExecutionContext, outcome: AccountRead | AccountFailure
    ) -> None:
        """An account was read whole, or could not be."""
        if isinstance(outcome, AccountFailure):
            context.log.warning(f"{outcome}: nothing of this account will be changed")
            return
        account = one_line(str(outcome.rows.account_id))
        context.log.info(f"{account}: {outcome.rows.count} rows in {outcome.seconds:.1f} s")

    def waiting(self, context: dg.AssetExecutionContext, line: str) -> None:
        """The run waits for another that has the warehouse; `line` says for whom."""
        context.log.info(line)

    def loading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """All accounts are read, and those read whole go to the warehouse."""
        context.log.info(f"loading {accounts} accounts")

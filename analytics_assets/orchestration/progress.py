"""How a run tells of its progress: in its log, unless someone puts a terminal in its place."""

from __future__ import annotations

import dagster as dg

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.text import one_line


class Progress:
    """Writes a line to the run's log for every account."""

    def reading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """The run starts to read that many accounts."""
        context.log.info(f"reading {accounts} accounts")

    def read(self, context: dg.AssetExecutionContext, read: AccountRead) -> None:
        """An account was read; what failed of it is named."""
        for failure in read.failures:
            context.log.warning(f"{failure}; what is loaded of it stays")
        if read.rows.resources:
            account = one_line(str(read.rows.account_id))
            context.log.info(f"{account}: {read.rows.count} rows in {read.seconds:.1f} s")

    def waiting(self, context: dg.AssetExecutionContext, line: str) -> None:
        """The run waits for another that has the warehouse; `line` says for whom."""
        context.log.info(line)

    def loading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """All accounts are read, and what was read whole goes to the warehouse."""
        context.log.info(f"loading {accounts} accounts")

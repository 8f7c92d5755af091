"""How a run tells of its progress: in its log, unless someone puts a terminal in its place."""

from __future__ import annotations

import dagster as dg

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.orchestration.remaining import Remaining
from analytics_assets.text import counted, one_line


class Progress:
    """Writes a line to the run's log for every account, and one a minute of what is left."""

    def reading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """The run starts to read that many accounts."""
        context.log.info(f"reading {counted(accounts, 'account')}")

    def read(
        self, context: dg.AssetExecutionContext, read: AccountRead, *, ended: bool = True
    ) -> None:
        """An account was read, or, if it has not ended, a part of it; what failed is named."""
        for failure in read.failures:
            context.log.warning(f"{failure}; what is loaded of it stays")
        if read.rows.resources:
            account = one_line(str(read.rows.account_id))
            rows = counted(read.rows.count, "row")
            context.log.info(f"{account}: {rows} in {read.seconds:.1f} s")

    def going_on(self, context: dg.AssetExecutionContext, remaining: Remaining) -> None:
        """The run reads on, about once a second; a line a minute says how long the rest takes."""
        if remaining.is_time():
            self.tell(context, remaining)

    def tell(self, context: dg.AssetExecutionContext, remaining: Remaining) -> None:
        """Says how long the rest takes."""
        context.log.info(str(remaining))

    def waiting(self, context: dg.AssetExecutionContext, line: str) -> None:
        """The run waits for another that has the warehouse; `line` says for whom."""
        context.log.info(line)

    def loading(self, context: dg.AssetExecutionContext, accounts: int) -> None:
        """What was read whole of so many accounts goes to the warehouse."""
        context.log.info(f"loading {counted(accounts, 'account')}")

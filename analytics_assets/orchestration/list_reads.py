"""How a step reads lists of accounts: all of them, but for those in which nothing has changed."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

import dagster as dg

from analytics_assets.api.account_reading import AccountRead, ReadFailure
from analytics_assets.errors import WarehouseError
from analytics_assets.orchestration.asset_checks import Findings
from analytics_assets.orchestration.ingestion import Ingestion
from analytics_assets.orchestration.metadata import materializations
from analytics_assets.orchestration.partitions import AccountsConfig
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.recorded_loads import listed_accounts, requests_taken
from analytics_assets.orchestration.remaining import Remaining
from analytics_assets.rows.lists import KnownLists
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets.warehouse.read_lists import read_lists


class ListReading:
    """Reads lists of accounts; a partition is made when its list is loaded."""

    def __init__(
        self, context: dg.AssetExecutionContext, config: AccountsConfig, progress: Progress
    ) -> None:
        self.differences: Findings = {}
        self._context = context
        self._config = config
        self._progress = progress

    def read(
        self, run: Ingestion, wanted: Mapping[str, Sequence[str]]
    ) -> Generator[list[AccountRead], None, None]:
        """Reads all that can have changed."""
        known = self._known_lists(run, wanted)
        self._progress.reading(self._context, len(wanted))
        return run.batches(self._reads(run, wanted, known))

    def made(
        self,
        run: Ingestion,
        outcome: LoadOutcome,
        whole: Sequence[AccountRead],
        failures: Sequence[ReadFailure],
    ) -> Iterator[dg.AssetMaterialization]:
        """Each list that was loaded."""
        listed = listed_accounts(self._context.instance, run.names)
        return materializations(outcome, run.settings, run.names, whole, listed)

    def _known_lists(
        self, run: Ingestion, wanted: Mapping[str, Sequence[str]]
    ) -> KnownLists | None:
        """The lists that are left out if nothing has changed; None to leave out none, ever."""
        if not run.reread_unchanged_days:
            return None
        if not self._config.full:
            names = {name for names in wanted.values() for name in names}
            try:
                lists = read_lists(run.settings, run.folder, names, wanted, run.request)
                return KnownLists(run.reread_unchanged_days, lists)
            except WarehouseError as error:
                self._context.log.warning(f"no list is left out: {error}")
        return KnownLists(run.reread_unchanged_days)

    def _reads(
        self, run: Ingestion, wanted: Mapping[str, Sequence[str]], known: KnownLists | None
    ) -> Iterator[list[AccountRead]]:
        context, progress = self._context, self._progress
        requests = run.reader.client.requests
        remaining = Remaining(wanted, requests, lambda: requests_taken(context.instance, run.names))
        for ended in run.reader.read_accounts(wanted, known):
            for read in ended:
                progress.read(context, read)
                remaining.without(read)
            progress.going_on(context, remaining)
            yield ended

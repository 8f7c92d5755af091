"""Our sync of many accounts on a fleet: Celery workers, PostgreSQL, one quota for all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from dagster import DagsterInstance, DagsterRun

from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.fleet import Fleet, broker, runs_over_accounts
from analytics_assets_tests.testing.postgres_server import PASSWORD, PostgresServer, running
from analytics_assets_tests.testing.tables import assert_equal_tables, served_table, warehouse_table
from benchmarks.workloads import LATENCY

_LIMIT_SECONDS = 3600
_POLL_SECONDS = 0.5
_WORKER = b"analytics_assets.dagster_backend.celery_worker"


@dataclass(frozen=True)
class Agency:
    """Accounts of several sizes, and the fleet that reads them.

    Attributes:
        sizes: How many accounts have how many campaigns.
        forbidden: Accounts that the API lists and then refuses.
        quota: Requests per second that are admitted, over all accounts.
        workers: Workers; each may use its share of the quota.
        accounts_per_run: Accounts of a shard.
    """

    sizes: tuple[tuple[int, int], ...] = ((5, 400), (45, 50), (250, 8), (700, 1))
    forbidden: int = 10
    quota: int = 100
    workers: int = 4
    accounts_per_run: int = 125

    @property
    def accounts(self) -> int:
        """How many there are."""
        return sum(accounts for accounts, _ in self.sizes)

    def data(self) -> SampleData:
        """What the API serves; the sizes are spread over the list."""
        data = SampleData.generate(self.accounts, campaigns=0, others=2)
        first = 0
        step = 7  # has no factor in common with the number of accounts
        order = [data.account_ids[i * step % self.accounts] for i in range(self.accounts)]
        for accounts, campaigns in self.sizes:
            source = SampleData.generate(self.accounts, campaigns)
            for account_id in order[first : first + accounts]:
                _copy_campaigns(source, data, account_id)
            first += accounts
        return data


SMOKE = Agency(((1, 6), (5, 1)), forbidden=1, quota=50, workers=2, accounts_per_run=3)


def simulate(agency: Agency) -> dict[str, object]:
    """Lets the fleet read all accounts for the first time; says what it took."""
    data = agency.data()
    with _deployment(agency, data) as (api, fleet, records):
        started = time.monotonic()
        fleet.daemon()
        peaks = _until_all_ended(records, -(-agency.accounts // agency.accounts_per_run))
        wall = time.monotonic() - started
        entries = [entry for entry in api.log.entries if entry.account_id is not None]
        begun = [entry.started for entry in entries]
        runs = runs_over_accounts(records)
        return {
            "accounts": agency.accounts,
            "forbidden": agency.forbidden,
            "workers": agency.workers,
            "runs": len(runs),
            "quota": agency.quota,
            "requests": len(entries),
            "rows": sum(len(data.table(name)) for name in RESOURCES.lists),
            "refused": api.log.refused,
            "wall": wall,
            "reading": max(begun) - min(begun),
            "at_quota": len(entries) / agency.quota,
            "events_per_run": median(_events(records, run) for run in runs),
            "peak_mb": max(peaks.values()),
            "wrong_rows": _differences(api, data),
        }


def _copy_campaigns(source: SampleData, data: SampleData, account_id: str) -> None:
    campaigns = source.rows("campaigns", account_id)
    data.set_rows("campaigns", campaigns, account_id=account_id)
    for name in ("campaign_items", "motion_ads"):
        for campaign in campaigns:
            key = {"account_id": account_id, "parent_id": campaign["id"]}
            data.set_rows(name, source.rows(name, **key), **key)


@contextmanager
def _deployment(
    agency: Agency, data: SampleData
) -> Iterator[tuple[SampleApi, Fleet, DagsterInstance]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="fleet-")))
        server = stack.enter_context(
            running(Path(stack.enter_context(TemporaryDirectory(prefix="postgres-"))))
        )
        api = stack.enter_context(SampleApi(data))
        api.behaviour.latency = LATENCY
        api.behaviour.quota = agency.quota
        api.behaviour.forbidden_accounts.update(data.account_ids[-agency.forbidden :])
        warehouse = stack.enter_context(server.database())
        records = stack.enter_context(server.database())
        os.environ.update(_settings(agency, api, server, warehouse, records))
        os.environ["CELERY_BROKER_URL"] = stack.enter_context(broker())
        fleet = Fleet(folder, stack)
        fleet.configure(folder)
        os.environ["DAGSTER_HOME"] = str(folder)
        instance = stack.enter_context(DagsterInstance.get())
        instance.event_log_storage.set_concurrency_slots("warehouse", agency.workers)
        for number in range(agency.workers):
            fleet.worker(f"worker-{number}")
        yield api, fleet, instance


def _settings(
    agency: Agency, api: SampleApi, server: PostgresServer, warehouse: str, records: str
) -> dict[str, str]:
    return {
        "SOURCES__ANALYTICS__BASE_URL": api.base_url,
        "SOURCES__ANALYTICS__TOKEN_URL": api.token_url,
        "SOURCES__ANALYTICS__CLIENT_ID": api.behaviour.client_id,
        "SOURCES__ANALYTICS__CLIENT_SECRET": api.behaviour.client_secret,
        "SOURCES__ANALYTICS__MAX_REQUESTS_PER_SECOND": str(agency.quota / agency.workers),
        "ANALYTICS__DESTINATION": "postgres",
        "DESTINATION__POSTGRES__CREDENTIALS": server.url(warehouse),
        "ANALYTICS__AUTOMATION": "true",
        "ANALYTICS__ACCOUNTS_PER_RUN": str(agency.accounts_per_run),
        "ANALYTICS__SYNC_CRON": "0 0 29 2 *",
        "ANALYTICS__REFRESH_CRON": "0 0 29 2 *",
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_PORT": str(server.port),
        "DAGSTER_POSTGRES_DB": records,
        "DAGSTER_POSTGRES_USER": "postgres",
        "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
    }


def _until_all_ended(records: DagsterInstance, expected: int) -> Mapping[int, float]:
    """Waits for so many runs over accounts; the peak memory in MB of each process of a run."""
    peaks: dict[int, float] = {}
    deadline = time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < deadline:
        runs = runs_over_accounts(records)
        if len(runs) >= expected and all(run.is_finished for run in runs):
            return peaks
        for process in Path("/proc").glob("[0-9]*"):
            if peak := _peak_mb(process):
                peaks[int(process.name)] = peak
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"the fleet did not end within {_LIMIT_SECONDS} s")


def _peak_mb(process: Path) -> float | None:
    """The most memory that a worker's process held so far, or None for other processes."""
    try:
        if (
            b"analytics_assets.dagster_backend.celery_worker"
            not in (process / "cmdline").read_bytes()
        ):
            return None
        status = (process / "status").read_text()
    except OSError:  # it has ended
        return None
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines["VmHWM"].split()[0]) / 1024 if "VmHWM" in lines else None


def _events(records: DagsterInstance, run: DagsterRun) -> int:
    return len(records.all_logs(run.run_id))


def _differences(api: SampleApi, data: SampleData) -> dict[str, tuple[int, int]]:
    """Rows there are and should be, by table where one of them differs in a value."""
    found = {}
    for name in RESOURCES.lists:
        due = [
            row
            for row in served_table(data, name)
            if name == ACCOUNTS.name or row["account_id"] not in api.behaviour.forbidden_accounts
        ]
        got = warehouse_table(Path(), name)
        try:
            assert_equal_tables(due, got, name)
        except AssertionError:
            found[name] = (len(got), len(due))
    return found

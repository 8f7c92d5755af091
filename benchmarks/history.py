"""A load of many rows of which few have changed, with a history of them and without."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from analytics_assets.lookup import configure_dlt
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.account_rows import AccountRows, AccountWriter
from analytics_assets.sample_api import SampleData
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.load import load
from analytics_assets_tests.testing.postgres_server import running

ROWS: Final = 200_000
"""Rows of a load."""

_ITEMS: Final = RESOURCES["campaign_items"]
_ACCOUNTS: Final = 20
_ONE_IN: Final = 100
"""Of so many rows, one changes from load to load."""


def in_both(rows: int = ROWS, rounds: int = 3) -> Iterator[dict[str, object]]:
    """Measures both warehouses, with a history and without by turns; yields a row for each."""
    configure_dlt()
    for name, warehouse in {"DuckDB": _duckdb, "PostgreSQL": _postgres}.items():
        taken: dict[bool, list[float]] = {False: [], True: []}
        with TemporaryDirectory(prefix="history-") as folder, warehouse() as environment:
            os.environ.update(environment)
            for number in range(rounds + 1):
                accounts = _accounts(Path(folder), number, rows)
                for kept in (False, True):
                    started = time.monotonic()
                    _load(Path(folder), name, accounts, kept=kept)
                    taken[kept].append(time.monotonic() - started)
        yield {
            "name": name,
            "n": rounds,
            "rows": rows,
            "without": median(taken[False][1:]),
            "with": median(taken[True][1:]),
        }


def _load(folder: Path, name: str, accounts: list[AccountRows], *, kept: bool) -> None:
    settings = PlatformSettings(
        destination="postgres" if name == "PostgreSQL" else "duckdb",
        dataset_name="kept" if kept else "plain",
        history=(_ITEMS.name,) if kept else (),
    )
    with TemporaryDirectory(dir=folder) as working:
        request = LockRequest("a benchmark", settings.lock_timeout, print)
        load(settings, Path(working), [_ITEMS.name], accounts, request, allow_empty=True)


def _accounts(folder: Path, number: int, rows: int) -> list[AccountRows]:
    """The accounts as they are read for a load of that number."""
    sample = SampleData.generate(accounts=1, campaigns=20, items=5, motion_ads=0, others=0)
    served = sample.table(_ITEMS.name)
    found = []
    for account in range(_ACCOUNTS):
        place = folder / f"{number}-{account}"
        place.mkdir()
        writer = AccountWriter(RESOURCES, f"account-{account}", [_ITEMS.name], place)
        writer.add(
            _ITEMS.name,
            (
                {
                    **row,
                    "id": str(row_id),
                    "title": f"title {number if row_id % _ONE_IN == 0 else 0}",
                }
                for row_id, row in enumerate(islice(cycle(served), rows // _ACCOUNTS))
            ),
        )
        found.append(AccountRows(f"account-{account}", {_ITEMS.name: writer.close(_ITEMS.name)}))
    return found


@contextmanager
def _duckdb() -> Iterator[Mapping[str, str]]:
    with TemporaryDirectory(prefix="duckdb-") as folder:
        yield {"DESTINATION__DUCKDB__CREDENTIALS": f"{folder}/warehouse.duckdb"}


@contextmanager
def _postgres() -> Iterator[Mapping[str, str]]:
    with (
        TemporaryDirectory(prefix="postgres-") as folder,
        running(Path(folder)) as server,
        server.database() as database,
    ):
        yield {"DESTINATION__POSTGRES__CREDENTIALS": server.url(database)}

"""A load as a run does it, with rows instead of an API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from analytics_assets.api.reader import AccountRead, ResourceRead
from analytics_assets.api.request_counts import RequestStatistics
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.arrow import arrow_schema, to_arrow
from analytics_assets.schema import Resource
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.destination import write
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.replacement import load_source
from analytics_assets.warehouse.stored import stored_tables
from analytics_assets.warehouse.tables import prepare

RULES = RESOURCES["audience_rules"]


def load(folder: Path, accounts: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Loads audience rules of each account, with a pipeline folder of its own."""
    rules = RESOURCES[RULES.name]
    settings = platform_settings()
    reads = [
        _read(folder / f"{number}.arrow", rules, account_id, rows)
        for number, (account_id, rows) in enumerate(accounts.items())
    ]
    with TemporaryDirectory(dir=folder) as working:
        pipeline = make_pipeline(settings, Path(working))

        def replace_rows() -> None:
            loads = prepare(settings, pipeline, [RULES.name], reads, stored_tables(pipeline))
            pipeline.run(load_source(loads), loader_file_format="parquet")

        write(
            settings,
            pipeline,
            replace_rows,
            who="a test",
            tell=print,
            account_ids=list(accounts),
        )


def _read(
    path: Path, rules: Resource, account_id: str, rows: Sequence[Mapping[str, Any]]
) -> AccountRead:
    table = to_arrow(rules, [{**row, "account_id": account_id} for row in rows])
    with pa.ipc.new_stream(path, arrow_schema(rules)) as writer:
        writer.write_table(table)
    read = ResourceRead(path, rows=table.num_rows, extras=table.num_rows)
    return AccountRead(account_id, {rules.name: read}, RequestStatistics(), 0.0)

"""Plain dlt: a report by its REST source, with an incremental that asks for 31 days again."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.contenders import access

os.environ |= {
    "EXTRACT__WORKERS": str(access.IN_FLIGHT),
    "EXTRACT__MAX_PARALLEL_ITEMS": str(access.IN_FLIGHT),
    "RUNTIME__DLTHUB_TELEMETRY": "false",
}

import dlt
from dlt.sources.rest_api import rest_api_source

from analytics_assets.resources import ACCOUNTS, RESOURCES

_REPORT = RESOURCES["campaign_performance"]
_LOOKBACK_DAYS = 31


def main() -> None:
    """Loads the accounts, and of each the days of the report that are due."""
    source = rest_api_source(
        {
            "client": access.DLT_CLIENT,
            "resource_defaults": {"endpoint": {"data_selector": "results"}},
            "resources": [_accounts(), _report()],
        },
        name="analytics",
    )
    pipeline = dlt.pipeline(
        "plain",
        destination=os.environ["ANALYTICS__DESTINATION"],
        dataset_name="analytics",
        pipelines_dir="pipelines",
    )
    pipeline.run(source)


def _accounts() -> Any:
    path = ACCOUNTS.path_in(access.API_VERSION)
    return {
        "name": ACCOUNTS.name,
        "endpoint": {"path": path.lstrip("/")},
        "write_disposition": "replace",
    }


def _report() -> Any:
    path = _REPORT.path_in(access.API_VERSION)
    cursor = {
        "type": "incremental",
        "cursor_path": "date",
        "initial_value": os.environ["BENCHMARK_FIRST_DAY"],
        "lag": _LOOKBACK_DAYS,
    }
    return {
        "name": _REPORT.name,
        "endpoint": {
            "path": path.lstrip("/").format(account_id="{resources.accounts.account_id}"),
            "params": {"start_date": cursor, "end_date": os.environ["BENCHMARK_LAST_DAY"]},
        },
        "parallelized": True,
        "include_from_parent": ["account_id"],
        "processing_steps": [{"map": _with_day}],
        "columns": {"date": {"data_type": "date"}},
        "primary_key": ["_accounts_account_id", "date", "campaign"],
        "write_disposition": "merge",
    }


def _with_day(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "date": row["date"][:10]}


if __name__ == "__main__":
    main()

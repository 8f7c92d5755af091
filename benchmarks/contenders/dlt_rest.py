"""Plain dlt: its REST source and its pipeline, as its documentation shows them."""

from __future__ import annotations

import os
import sys
from typing import Any

from benchmarks.contenders import access

PARALLEL = "--parallel" in sys.argv
if PARALLEL:
    os.environ |= {
        "EXTRACT__WORKERS": str(access.IN_FLIGHT),
        "EXTRACT__MAX_PARALLEL_ITEMS": str(access.IN_FLIGHT),
    }
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

import dlt  # noqa: E402 - reads the environment
from dlt.sources.rest_api import rest_api_source  # noqa: E402

from analytics_assets.resources import ACCOUNTS, RESOURCES  # noqa: E402
from analytics_assets.schema import Resource  # noqa: E402


def main() -> None:
    """Loads all resources in one run."""
    source = rest_api_source(
        {
            "client": access.DLT_CLIENT,
            "resource_defaults": {
                "parallelized": PARALLEL,
                "endpoint": {"data_selector": "results"},
            },
            "resources": [_resource(resource) for resource in RESOURCES.lists.values()],
        },
        name="analytics",
    )
    pipeline = dlt.pipeline(
        "plain",
        destination=dlt.destinations.duckdb(access.WAREHOUSE),
        dataset_name="analytics",
        pipelines_dir="pipelines",
    )
    pipeline.run(source)


def _resource(resource: Resource) -> Any:
    path = resource.path_in(access.API_VERSION)
    if resource is ACCOUNTS:
        return {"name": resource.name, "endpoint": {"path": path.lstrip("/")}}
    parent = resource.parent
    account_id = "account_id" if parent == ACCOUNTS.name else "_accounts_account_id"
    path = path.format(
        account_id=f"{{resources.{parent}.{account_id}}}",
        parent_id=f"{{resources.{parent}.id}}",
    )
    return {
        "name": resource.name,
        "endpoint": {"path": path.lstrip("/")},
        "include_from_parent": [account_id],
    }


if __name__ == "__main__":
    main()

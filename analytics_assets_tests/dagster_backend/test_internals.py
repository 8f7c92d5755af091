"""What is needed of Dagster beyond its public names: named here when a release moves it."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import analytics_assets
from analytics_assets.dagster_backend import internals

PACKAGE = Path(analytics_assets.__file__).parent
BACKEND = PACKAGE / "dagster_backend"

SQLITE = "dagster._core.storage.event_log:SqliteEventLogStorage"
POSTGRES = "dagster_postgres:PostgresEventLogStorage"
CELERY = "dagster_celery.launcher:CeleryRunLauncher"
LAUNCHER = "dagster:DefaultRunLauncher"
EVENT_LOG = "dagster._core.storage.event_log.base:EventLogStorage"

# by file and owner: what is overridden or called, and the parameters that are given or taken
METHODS = {
    ("dagster_backend/sqlite_event_log.py", SQLITE): {
        "__init__": "base_dir inst_data",
        "config_type": "",
        "from_config_value": "inst_data config_value",
        "store_event": "event",
        "store_event_batch": "events",
        "store_asset_event": "event event_id",
        "store_asset_event_tags": "events event_ids",
        "has_table": "table_name",
        "delete_events": "run_id",
        "delete_events_for_run": "conn run_id",
        "free_concurrency_slots_for_run": "run_id",
        "wipe": "",
        "dispose": "",
        "index_connection": "",
        "run_connection": "run_id",
        "conn_string_for_shard": "shard_name",
        "path_for_shard": "run_id",
        "_connect": "shard",
        "_initdb": "engine",
        "_event_to_row": "event",
    },
    ("dagster_backend/postgres_event_log.py", POSTGRES): {
        "from_config_value": "inst_data config_value",
        "dispose": "",
    },
    ("dagster_backend/celery_launcher.py", CELERY): {
        "check_run_worker_health": "run",
        "terminate": "run_id",
    },
    ("dagster_backend/run_launcher.py", LAUNCHER): {
        "check_run_worker_health": "run",
        "terminate": "run_id",
    },
    ("dagster_backend/command_runs.py", "dagster:DagsterInstance"): {
        "create_run_for_job": "job_def run_config tags asset_selection remote_job_origin",
        "report_run_canceling": "run message",
        "report_run_canceled": "dagster_run message",
    },
    ("dagster_backend/batches.py", "dagster:DagsterEvent"): {
        "asset_materialization": "step_context materialization batch_metadata",
        "build_asset_materialization_planned_event": (
            "job_name step_key asset_materialization_planned_data"
        ),
    },
    ("dagster_backend/batches.py", "dagster:DagsterInstance"): {
        "report_dagster_event": "dagster_event run_id batch_metadata",
    },
    ("dagster_backend/batches.py", "dagster:OpExecutionContext"): {
        "get_step_execution_context": "",
    },
    ("cli/home.py", "dagster._core.instance.ref:InstanceRef"): {"from_dir": "base_dir overrides"},
    ("orchestration/recorded_attempts.py", EVENT_LOG): {
        "get_latest_asset_partition_materialization_attempts_without_materializations": "asset_key",
    },
    ("orchestration/recorded_loads.py", EVENT_LOG): {
        "get_latest_storage_id_by_partition": "asset_key event_type",
    },
    ("orchestration/recorded_runs.py", "dagster:DagsterInstance"): {
        "get_execution_plan_snapshot": "snapshot_id",
    },
    ("orchestration/retention.py", EVENT_LOG): {
        "get_latest_asset_partition_materialization_attempts_without_materializations": "asset_key",
        "get_latest_storage_id_by_partition": "asset_key event_type",
        "get_asset_check_summary_records": "asset_check_keys",
    },
    ("orchestration/alerts.py", EVENT_LOG): {
        "get_latest_asset_check_execution_by_key": "check_keys",
    },
    ("orchestration/recorded_checks.py", EVENT_LOG): {
        "get_asset_check_summary_records": "asset_check_keys",
    },
}

# by file: the attributes of objects, by who sets them
ATTRIBUTES = [
    ("dagster_backend/sqlite_event_log.py", SQLITE, "_db_lock"),
    ("dagster_backend/sqlite_event_log.py", SQLITE, "supports_global_concurrency_limits"),
    ("dagster_backend/sqlite_event_log.py", SQLITE, "_initialized_dbs"),
    ("dagster_backend/postgres_event_log.py", POSTGRES, "_engine"),
    ("dagster_backend/celery_launcher.py", CELERY, "celery"),
    ("dagster_backend/celery_launcher.py", CELERY, "_instance"),
    ("dagster_backend/run_launcher.py", LAUNCHER, "_instance"),
]


def imports() -> Iterator[tuple[str, str, str]]:
    """Each private name that the backend imports: file, module and name."""
    for path in sorted(BACKEND.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster._"):
                for alias in node.names:
                    yield str(path.relative_to(PACKAGE)), str(node.module), alias.name


def found(pointer: str, file: str) -> Any:
    """The class that is named as `module:Class`."""
    module, _, name = pointer.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        pytest.fail(f"{file} needs {module}.{name}, which this release of Dagster does not have")


@pytest.mark.parametrize(("file", "module", "name"), list(imports()))
def test_a_private_name_is_there(file: str, module: str, name: str) -> None:
    assert found(f"{module}:{name}", file) is not None


@pytest.mark.parametrize(
    ("file", "pointer", "method", "parameters"),
    [(*owner, *needed) for owner, methods in METHODS.items() for needed in methods.items()],
)
def test_a_method_takes_what_is_given(
    file: str, pointer: str, method: str, parameters: str
) -> None:
    owner = found(pointer, file)
    assert hasattr(owner, method), f"{file} needs {pointer}.{method}, which is gone"
    taken = inspect.signature(getattr(owner, method)).parameters
    missing = [name for name in parameters.split() if name not in taken]
    assert not missing, f"{file} gives {pointer}.{method} what it no longer takes: {missing}"


@pytest.mark.parametrize(("file", "pointer", "attribute"), ATTRIBUTES)
def test_an_attribute_is_set(file: str, pointer: str, attribute: str) -> None:
    owner = found(pointer, file)
    is_there = hasattr(owner, attribute) or attribute in owner.__init__.__code__.co_names
    assert is_there, f"{file} needs the attribute {attribute} of {pointer}, which is gone"


def test_nobody_else_imports_what_is_private() -> None:
    private = re.compile(r"\b(from|import) dagster\._|\bfrom dagster import _")
    others = [path for path in PACKAGE.rglob("*.py") if path.parent != BACKEND]
    assert [str(path) for path in others if private.search(path.read_text())] == []


def test_no_name_is_handed_on_for_nobody() -> None:
    sources = [path.read_text() for path in PACKAGE.rglob("*.py") if path.parent != BACKEND]
    unused = [name for name in internals.__all__ if not any(name in text for text in sources)]
    assert unused == []

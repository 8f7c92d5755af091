"""Where there is no warehouse, only a load makes one; and git sees nothing of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from analytics_assets.definitions import defs
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.file_lock import LockRequest, file_lock
from analytics_assets_tests.testing.commands import CHECKOUT, invoke
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import on_postgres, query


def warehouse_files(*folders: Path) -> list[Path]:
    return [
        path
        for folder in folders
        for pattern in ("*.duckdb*", "*.lock", "*.writer", "*.db.*")
        for path in folder.rglob(pattern)
        if path.name != ".setup.lock"
    ]


def assert_no_warehouse(home: Path) -> None:
    if on_postgres():
        assert query(home, "SELECT nspname FROM pg_namespace WHERE nspname ~ 'analytics'") == []
    assert warehouse_files(home, home.parent / "elsewhere") == []


@both_warehouses
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("forget", "nobody"), 1),
        (("forget", "nobody", "--yes"), 1),
        (("status",), 0),
        (("status", "--json"), 0),
        (("doctor",), 0),
    ],
)
def test_commands_that_load_nothing(home, warehouse, monkeypatch, arguments, code: int):
    elsewhere = home.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    if arguments[0] == "forget":
        assert result.stderr == "Error: the warehouse holds nothing of nobody\n"
    assert_no_warehouse(home)


@both_warehouses
def test_a_sync_that_fails_before_it_loads(home, sync, api: SampleApi, warehouse):
    api.behaviour.faults.append(Fault("status", "*/allowed-accounts", value=403))
    assert sync().exit_code == 1
    assert_no_warehouse(home)


@pytest.mark.parametrize(
    "settings",
    [
        {"SOURCES__ANALYTICS__CLIENT_SECRET": "another"},
        {"SOURCES__ANALYTICS__TIMEOUT": "0"},
        {"ANALYTICS__ACCOUNTS_PER_RUN": "0"},
        {"ANALYTICS__DATASET_NAME": "warehouse"},
    ],
)
def test_a_sync_with_unusable_settings(home, sync, monkeypatch, settings: dict[str, str]):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert sync().exit_code == 1
    assert_no_warehouse(home)


@both_warehouses
def test_checks_alone(home, instance, warehouse):
    defs.resolve_job_def("check").execute_in_process(instance=instance, raise_on_error=False)
    assert_no_warehouse(home)


@pytest.mark.process
@pytest.mark.parametrize("name", ["warehouse.duckdb", "mine.db", "warehouse"])
def test_git_sees_no_lock(home, tmp_path: Path, name: str):
    """`warehouse` is where loads into other destinations have their lock."""
    repository = tmp_path / "repository"
    repository.mkdir()
    shutil.copy(CHECKOUT / ".gitignore", repository)
    git = ["git", "-C", str(repository)]
    subprocess.run([*git, "init", "-q"], check=True)
    wait = platform_settings().lock_timeout
    with file_lock(repository / name, LockRequest("a test", wait, print)):
        (repository / f"{name}.wal").touch()
        seen = subprocess.run(
            [*git, "ls-files", "--others", "--exclude-standard"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(list(repository.glob(f"{name}.*"))) == 3
    assert seen.stdout.split() == [".gitignore"]


@pytest.mark.process
def test_git_sees_the_lock_files_of_the_packages():
    ignored = subprocess.run(
        ["git", "-C", str(CHECKOUT), "check-ignore", "requirements-another.lock"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout == ""

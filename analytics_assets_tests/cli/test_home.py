"""DAGSTER_HOME and TMPDIR that will not do: one line, from each command."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock

from analytics_assets.cli import home as home_module
from analytics_assets_tests.testing.commands import CHECKOUT, Commands, invoke
from analytics_assets_tests.testing.tables import query

COMMANDS = [("doctor",), ("status",), ("sync",), ("forget", "nobody")]


@pytest.fixture
def one_line(home, monkeypatch):
    """What each command says in this process: one line, and of `doctor` the line that failed."""

    def told(*commands: tuple[str, ...]) -> set[str]:
        lines = set()
        for arguments in commands or COMMANDS:
            result = invoke(*arguments)
            assert result.exit_code == 1, result.output
            if arguments == ("doctor",):
                *_, failed, advice, _, _, _ = ["", "", *result.stdout.splitlines()]
                assert failed.startswith("FAIL  dagster home"), result.stdout
                lines.add(f"{failed.split(maxsplit=3)[3]}: {advice.removeprefix('      -> ')}")
            else:
                assert result.stderr.count("\n") == 1, result.output
                lines.add(result.stderr.removeprefix("Error: ").strip())
        return lines

    return told


@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize(
    "file", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"]
)
def test_records_that_are_no_database(home: Path, sync, one_line, file: str):
    (home / file).write_bytes(b"no database at all" * 1000)
    assert one_line() == {
        (
            f"Dagster cannot open its records, because {home / file} is no SQLite file: set it"
            " right, or move it away (one that is missing is made anew)"
        )
    }
    (home / file).unlink()
    assert sync().exit_code == 0


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a: [b\n: c", "while parsing a flow sequence"),
        ("- 1\n", "Expected YAML from file"),
        ("no_such_key: 1\n", 'Received unexpected config entry "no_such_key" at the root: check'),
        (
            "concurrency:\n  runs:\n    max_concurrent_runs: a-secret\n",
            "Invalid scalar at path root:concurrency:runs:max_concurrent_runs. A value of type",
        ),
        (
            "storage:\n  custom:\n    module: no.such\n    class: X\n    config: {}\n",
            "Couldn't import module no.such",
        ),
        (
            "storage:\n  postgres:\n    postgres_url:\n      env: NO_SUCH_VARIABLE\n",
            'environment variable "NO_SUCH_VARIABLE" which is not set',
        ),
    ],
    ids=["no YAML", "no table", "unknown key", "wrong type", "unknown module", "no variable"],
)
def test_a_dagster_yaml_that_is_broken(home: Path, one_line, text: str, cause: str):
    (home / "dagster.yaml").write_text(text)
    (line,) = one_line()
    assert line.startswith("Dagster cannot open its records: ")
    assert cause in line
    assert line.endswith(f": check dagster.yaml in {home}")
    assert len(line) < 500
    assert "a-secret" not in line


OLD_MODULE = """
storage:
  custom:
    module: analytics_assets.platform.storage
    class: SqliteStorage
    config: {base_dir: {env: DAGSTER_HOME}}
"""
OLD_CLASS = """
event_log_storage:
  module: analytics_assets.dagster_backend.sqlite_event_log
  class: OldName
"""


@pytest.mark.parametrize(
    ("text", "module"),
    [
        (OLD_MODULE, "analytics_assets.platform.storage"),
        (OLD_CLASS, "analytics_assets.dagster_backend.sqlite_event_log"),
    ],
    ids=["module", "class"],
)
def test_a_dagster_yaml_of_another_release(home: Path, one_line, text: str, module: str):
    (home / "dagster.yaml").write_text(text)
    assert one_line() == {
        (
            f"`module: {module}` in {home / 'dagster.yaml'} leads to nothing, as of another"
            " release: copy dagster.yaml, or the file in deploy/ that it was made from, anew"
        )
    }


@pytest.mark.usefixtures("synced")
def test_a_launcher_of_another_release(home: Path, one_line):
    ours = (home / "dagster.yaml").read_text()
    module = "analytics_assets.platform.fleet"
    launcher = f"run_launcher:\n  module: {module}\n  class: FleetRunLauncher\n"
    (home / "dagster.yaml").write_text(ours + launcher)
    (line,) = one_line(("doctor",))
    assert line.startswith(f"`module: {module}` in {home / 'dagster.yaml'} leads to nothing")


def test_what_a_module_of_ours_needs_and_does_not_find(monkeypatch):
    """An extra that is not installed: to copy dagster.yaml anew would not help."""
    module = "analytics_assets.dagster_backend.celery_launcher"
    pointer = f"when attempting to load the configurable class {module}.FleetRunLauncher"
    error = Exception(f"Couldn't import module {module} {pointer}")
    assert "Couldn't import module" in home_module._unusable(Path("/nowhere"), error).message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "storage:\n  sqlite:\n    base_dir:\n      env: DAGSTER_HOME\n",
        (CHECKOUT / "dagster.yaml").read_text(),
    ],
    ids=["nothing", "sqlite", "ours"],
)
def test_records_in_files_are_not_made_to_see_if_there_are_any(new_home: Path, text: str):
    (new_home / "dagster.yaml").write_text(text)
    assert not home_module.has_records()
    assert [path.name for path in new_home.iterdir()] == ["dagster.yaml"]
    with home_module.dagster_instance():
        pass
    assert home_module.has_records()


def test_records_on_a_server_may_always_be_there(new_home: Path):
    shutil.copy(CHECKOUT / "deploy" / "dagster.yaml", new_home)
    assert home_module.has_records()


@pytest.mark.usefixtures("synced")
def test_a_launcher_that_is_not_there(home: Path, one_line):
    (home / "dagster.yaml").write_text("run_launcher:\n  module: no.such\n  class: X\n")
    (line,) = one_line(("doctor",))
    assert "Couldn't import module no.such" in line


def test_a_home_that_cannot_be_written(home: Path, one_line, small_disk: Path, monkeypatch):
    shutil.copy(CHECKOUT / "dagster.yaml", small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    monkeypatch.setenv("DAGSTER_HOME", str(small_disk))
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(home / "warehouse.duckdb"))
    assert one_line() == {
        (
            f"cannot write in {small_disk} (Read-only file system): set DAGSTER_HOME to a folder"
            " that can be"
        )
    }


def test_a_process_that_sets_up_for_ever(home: Path, one_line, monkeypatch):
    monkeypatch.setattr(home_module, "SETUP_SECONDS", 0.1)
    lock = home / ".setup.lock"
    with FileLock(lock):
        (home / ".setup.writer").write_text("process 4711")
        for holder in ("process 4711", "another process"):
            assert one_line(("status",), ("sync",)) == {
                f"{holder} has held {lock} for 0.1 s: check if it hangs, end it and run again"
            }
            (home / ".setup.writer").unlink(missing_ok=True)
    assert invoke("status").exit_code == 0
    assert not (home / ".setup.writer").exists()


def test_who_sets_up_is_told_to_others(home: Path):
    with home_module._set_up_alone(home):
        assert (home / ".setup.writer").read_text().startswith("process ")


@pytest.mark.parametrize("name", ["a?b", "a%20b", "a*b", "a[b]c"])
def test_a_home_whose_name_will_not_do(tmp_path: Path, home, one_line, monkeypatch, name: str):
    (tmp_path / name).mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path / name)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / name))
    assert one_line() == {
        (
            f"Dagster cannot keep its records in {tmp_path / name}: set DAGSTER_HOME to a folder"
            " whose path has no ?, *, [ or %20"
        )
    }
    assert [path.name for path in (tmp_path / name).iterdir()] == ["dagster.yaml"]


def test_a_home_with_an_unusual_name(tmp_path: Path, commands: Commands):
    folder = tmp_path / 'it\'s "a" b#c 50% {x}'
    folder.mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", folder)
    commands.environment = {"DAGSTER_HOME": str(folder)}
    for _ in range(2):
        result = commands.analytics_assets("sync")
        assert (result.returncode, result.stderr) == (0, "")
    assert (folder / "history" / "runs.db").is_file()
    assert query(folder, "SELECT count(*) > 0 FROM analytics.campaigns") == [(True,)]


@pytest.mark.parametrize("name", ["it's", "50%", "a%20b"])
def test_a_folder_for_temporary_files_that_will_not_do(tmp_path, sync, monkeypatch, name: str):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    line = f"dlt cannot load from {folder}, whose path holds a ' or a %: set TMPDIR to a folder wit"
    result = sync()
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert line in result.stderr
    doctor = invoke("doctor")
    assert doctor.exit_code == 1
    assert "-> set TMPDIR to a folder without" in doctor.stdout
    assert list(folder.iterdir()) == []


def test_a_folder_for_temporary_files_with_an_unusual_name(tmp_path, commands):
    folder = tmp_path / 'a "b" c?d#e[f]*{g}'
    folder.mkdir()
    commands.environment = {"TMPDIR": str(folder)}
    result = commands.analytics_assets("sync")
    assert result.returncode == 0, result.stderr
    assert list(folder.iterdir()) == []


def test_few_open_files(home: Path, tmp_path: Path):
    program = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30));"
    program += "from analytics_assets.cli import main; main(['sync'])"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
    assert "too many open files: allow more (`ulimit -n 1024`)" in result.stderr


@pytest.mark.usefixtures("synced")
def test_a_load_that_fails_says_so_once(home: Path, commands: Commands):
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        connection.execute("ALTER TABLE analytics.campaigns ADD COLUMN note INTEGER")
        connection.execute("UPDATE analytics.campaigns SET note = 1")
        connection.execute("ALTER TABLE analytics.campaigns ALTER COLUMN note SET NOT NULL")
    result = commands.analytics_assets("sync")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
    assert result.stderr.startswith("Error: ")
    commands.environment = {"RUNTIME__LOG_LEVEL": "INFO"}
    assert "Traceback" in commands.analytics_assets("sync").stderr

"""`init`: a folder becomes a Dagster home, and nothing of its owner's is lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import tomlkit
import yaml

from analytics_assets.cli.home import ensure_dagster_home
from analytics_assets_tests.testing.commands import CHECKOUT, invoke

FILES = {
    ".dlt/config.toml",
    ".dlt/secrets.toml",
    ".env.example",
    ".gitignore",
    "dagster.yaml",
    "workspace.yaml",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one; its path holds a space."""
    folder = tmp_path / "my home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return folder


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_it_writes_what_a_home_needs_and_says_what_next(folder: Path):
    result = invoke("init")
    assert result.exit_code == 0, result.output
    assert files_in(folder) == FILES
    for name in ("dagster.yaml", "workspace.yaml", ".env.example", ".dlt/config.toml"):
        assert (folder / name).read_text() == (CHECKOUT / name).read_text()
    assert f"cd '{folder}'" in result.output
    assert "analytics-assets doctor" in result.output


def test_the_secrets_are_for_their_owner_alone(folder: Path):
    before = os.umask(0)
    try:
        assert invoke("init").exit_code == 0
    finally:
        os.umask(before)
    secrets = folder / ".dlt" / "secrets.toml"
    assert secrets.stat().st_mode & 0o777 == 0o600
    settings = tomlkit.parse(secrets.read_text()).unwrap()["sources"]["analytics"]
    assert set(settings) == {"base_url", "token_url", "client_id", "client_secret"}


def test_git_sees_neither_secrets_nor_records(folder: Path):
    assert invoke("init").exit_code == 0
    for name in ("warehouse.duckdb", "history/runs.db", ".env", "storage/x"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    subprocess.run(["git", "init", "-q"], check=True)
    command = ["git", "ls-files", "--others", "--exclude-standard"]
    seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(seen) == FILES - {".dlt/secrets.toml"}


def test_another_folder_which_it_makes(folder: Path):
    assert invoke("init", "new/home").exit_code == 0
    assert files_in(folder / "new" / "home") == FILES


def test_what_is_there_is_named_and_left(folder: Path):
    (folder / "dagster.yaml").write_text("mine")
    result = invoke("init")
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: dagster.yaml is in {folder} already, and nothing was written: run with --force to"
        " write what is there anew\n"
    )
    assert files_in(folder) == {"dagster.yaml"}
    assert (folder / "dagster.yaml").read_text() == "mine"


def test_force_writes_ours_anew_and_keeps_yours(folder: Path):
    (folder / ".dlt").mkdir()
    yours = {".dlt/config.toml", ".dlt/secrets.toml", ".gitignore"}
    for name in FILES:
        (folder / name).write_text("mine")
    result = invoke("init", "--force")
    assert result.exit_code == 0, result.output
    assert {name for name in FILES if (folder / name).read_text() == "mine"} == yours
    assert {line.split()[1] for line in result.output.splitlines() if "kept" in line} == yours


def test_a_dry_run_writes_nothing(folder: Path):
    (folder / ".gitignore").write_text("mine")
    result = invoke("init", "--dry-run")
    assert result.exit_code == 0
    assert files_in(folder) == {".gitignore"}
    would = {line.split()[-1] for line in result.output.splitlines() if "would write" in line}
    assert would == FILES - {".gitignore"}


def test_a_folder_that_will_not_do(folder: Path):
    (folder / "file").touch()
    for name, cause in (("a*b", "has no ?, *, ["), ("file/below", "Not a directory")):
        result = invoke("init", name)
        assert result.exit_code == 1
        assert cause in result.stderr
        assert result.stderr.count("\n") == 1


def test_the_current_folder_is_the_home_if_nothing_else_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert ensure_dagster_home() == CHECKOUT
    monkeypatch.delenv("DAGSTER_HOME")
    assert invoke("init").exit_code == 0
    assert ensure_dagster_home() == folder
    monkeypatch.setenv("DAGSTER_HOME", str(CHECKOUT))
    assert ensure_dagster_home() == CHECKOUT


def test_without_any_home_it_says_how_to_make_one(folder: Path, tmp_path, monkeypatch):
    monkeypatch.setattr("analytics_assets.__file__", str(tmp_path / "lib" / "package" / "x.py"))
    result = invoke("status")
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: no dagster.yaml in {folder}: run `analytics-assets init` there, or set"
        " DAGSTER_HOME to a folder that holds one\n"
    )


def test_the_delivered_workspace_names_the_code_location():
    [location] = yaml.safe_load((CHECKOUT / "workspace.yaml").read_text())["load_from"]
    assert location["python_module"]["module_name"] == "analytics_assets.definitions"

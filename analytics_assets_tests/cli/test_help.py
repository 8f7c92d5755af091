"""Help comes at once: what takes a second to import is imported where it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"dagster", "dlt", "duckdb", "pyarrow", "requests", "sqlalchemy"}


@pytest.mark.parametrize("command", ["", "sync", "status", "doctor", "forget"])
def test_help_imports_nothing_heavy(command: str) -> None:
    asked = [*command.split(), "--help"]
    python = [sys.executable, "-X", "importtime", "-m", "analytics_assets.cli"]
    done = subprocess.run([*python, *asked], capture_output=True, text=True, check=True)
    assert f"Usage: analytics-assets {command}".rstrip() in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "analytics_assets.cli" in imported
    assert not {name.partition(".")[0] for name in imported} & HEAVY

"""Keeps what an earlier release leaves behind, for the test that a later one goes on with it.

Installs the release from its commit, lets it sync a small sample of the API, twice into DuckDB and
twice into PostgreSQL, one account failing the second time, and packs both homes, the DuckDB file
and a dump of the PostgreSQL database. Run with the project's Python, in a clone with its history:

    .venv/bin/python tools/earlier_home.py f4e9041 analytics_assets_tests/upgrades/0.1.0.tar.xz
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from analytics_assets_tests.testing.postgres_server import running

CHECKOUT = Path(__file__).resolve().parent.parent
SAMPLE = ("sample-api", "--port", "0", "--accounts", "3", "--campaigns", "2")
FAULT = ("--fault", "status=403@*globex*")


def main(commit: str, archive: Path) -> None:
    """Writes the archive."""
    with TemporaryDirectory(prefix="earlier-") as name:
        folder = Path(name)
        subprocess.run(
            ["git", "worktree", "add", "--detach", folder / "release", commit],
            cwd=CHECKOUT,
            check=True,
        )
        try:
            subprocess.run(["make", "install"], cwd=folder / "release", check=True)
            _duckdb(folder)
            _postgres(folder)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", folder / "release"], check=True)
        with tarfile.open(archive, "w:xz") as file:
            for home in ("duckdb", "postgres"):
                file.add(folder / home, home, filter=_anonymous)


def _duckdb(folder: Path) -> None:
    _sync_twice(folder, "duckdb", {})


def _postgres(folder: Path) -> None:
    with running(folder / "server") as server, server.database() as database:
        settings = {
            "ANALYTICS__DESTINATION": "postgres",
            "DESTINATION__POSTGRES__CREDENTIALS": server.url(database),
        }
        _sync_twice(folder, "postgres", settings)
        server.dump(database, folder / "postgres" / "warehouse.sql")


def _sync_twice(folder: Path, home_name: str, settings: Mapping[str, str]) -> None:
    home = folder / home_name
    home.mkdir()
    shutil.copy(folder / "release" / "dagster.yaml", home)
    command = folder / "release" / ".venv" / "bin" / "analytics-assets"
    for faults, status in (((), 0), (FAULT, 1)):
        with _sample_api(command, faults) as api:
            variables = {**os.environ, **api, **settings, "DAGSTER_HOME": str(home)}
            done = subprocess.run([command, "sync"], cwd=home, env=variables, check=False)
            if done.returncode != status:
                sys.exit(f"the sync ended with {done.returncode}, not {status}")
    shutil.rmtree(home / "storage", ignore_errors=True)  # what the runs printed


@contextmanager
def _sample_api(command: Path, faults: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Serves the release's sample of the API; yields the settings that lead to it."""
    process = subprocess.Popen([command, *SAMPLE, *faults], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        settings: dict[str, str] = {}
        while len(settings) < 4 and (line := process.stdout.readline()):
            settings |= re.findall(r"export (\w+)=(\S+)", line)
        yield settings
    finally:
        process.kill()
        process.wait()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member of the archive that says nothing of who made it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

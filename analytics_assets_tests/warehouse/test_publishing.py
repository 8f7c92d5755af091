"""The copy of the DuckDB file for readers: whole, new after each run, and in no load's way."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from click.testing import Result

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT, invoke
from analytics_assets_tests.testing.records import metadata
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api

READER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
for _ in sys.stdin:
    print(connection.sql("SELECT count(*) FROM analytics.campaigns").fetchall()[0][0], flush=True)
"""
# half of the copy is written, then the power goes
KILLED = """
import os, signal, sys
from analytics_assets.warehouse import publishing
def half(source, copy, length):
    copy.write(source.read()[:100_000])
    copy.flush()
    os.kill(os.getpid(), signal.SIGKILL)
publishing.shutil.copyfileobj = half
from analytics_assets.cli import main
main(["sync"])
"""
# somebody writes to the copy, and is killed
CHANGED = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE notes (note TEXT)")
os._exit(0)
"""


class Reader:
    """A process that has the copy open, and counts campaigns when it is asked to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def count(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


@contextmanager
def reader(file: Path) -> Iterator[Reader]:
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Reader(process)
        process.communicate()


@pytest.fixture
def copy(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the copy is to be, in a folder that readers have for themselves."""
    folder = tmp_path / "readers"
    folder.mkdir()
    file = folder / "published.duckdb"
    monkeypatch.setenv("ANALYTICS__PUBLISH_TO", str(file))
    return file


def campaigns(file: Path) -> int:
    """The rows, from a process of its own: DuckDB shares what one process has open."""
    with reader(file) as process:
        return process.count()


def served(api: SampleApi) -> int:
    return len(api.data.table("campaigns"))


def one_line(result: Result) -> str:
    """The error of a command that failed."""
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.usefixtures("synced")
def test_readers_neither_wait_nor_see_half(copy: Path, sync, api: SampleApi):
    assert sync().exit_code == 0
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    first, *_ = api.data.account_ids
    held = served(api)
    with reader(copy) as process:
        assert process.count() == held
        gone = api.data.rows("campaigns", first)[0]
        api.data.delete_row("campaigns", gone["id"], account_id=first)
        assert sync().exit_code == 0
        assert process.count() == held
        assert campaigns(copy) == served(api) == held - 1
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_the_copy_is_the_warehouse(home: Path, copy: Path, sync, api: SampleApi):
    assert sync().exit_code == 0
    (home / "warehouse.duckdb").unlink()
    copy.rename(home / "warehouse.duckdb")
    assert_warehouse_equals_api(home, api.data)
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        sql = "SELECT count(comment) FROM duckdb_tables() WHERE schema_name = 'analytics'"
        assert connection.sql(sql).fetchall() == [(len(RESOURCES.lists),)]


@pytest.mark.usefixtures("synced")
def test_forget_publishes(copy: Path, sync, api: SampleApi, monkeypatch):
    account = api.data.account_ids[0]
    api.data.remove_account(account)
    assert sync().exit_code == 0
    before = campaigns(copy)
    assert invoke("forget", account, "--yes").exit_code == 0
    assert campaigns(copy) == served(api) < before

    monkeypatch.setenv("ANALYTICS__PUBLISH_TO", "/no/such/folder/file.duckdb")
    account = api.data.account_ids[0]
    api.data.remove_account(account)
    assert sync("--resource", "accounts").exit_code == 0
    failed = invoke("forget", account, "--yes")
    assert failed.exit_code == 1
    assert "was not published to /no/such/folder/file.duckdb" in failed.stderr


@pytest.mark.usefixtures("synced")
def test_a_kill_while_publishing(copy: Path, sync, api: SampleApi):
    assert sync().exit_code == 0
    before = copy.read_bytes()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert copy.read_bytes() == before
    left = copy.parent / ".published.duckdb.unfinished"
    assert left.stat().st_size == 100_000
    api.data.add_account("new-sc")
    assert sync().exit_code == 0
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    assert campaigns(copy) == served(api)


@pytest.mark.usefixtures("synced")
def test_a_copy_that_cannot_be_made_leaves_what_was_loaded(
    home: Path, copy: Path, sync, api: SampleApi, instance
):
    copy.parent.rmdir()
    first, *_ = api.data.account_ids
    gone = api.data.rows("campaigns", first)[0]
    api.data.delete_row("campaigns", gone["id"], account_id=first)
    message = (
        f"Error: the warehouse has new rows, and was not published to {copy} (No such file or"
        " directory): check ANALYTICS__PUBLISH_TO; the next run publishes them"
    )
    assert one_line(sync()) == message
    assert_warehouse_equals_api(home, api.data)
    assert metadata(instance, "campaigns", first)["dagster/partition_row_count"] == len(
        api.data.table("campaigns", [first])
    )
    accounts = json.loads(invoke("status", "--json").stdout)["accounts"]
    assert {account["state"] for account in accounts} == {"ok"}


@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize("small_disk", ["1m"], indirect=True)
def test_a_full_disk(copy: Path, sync, small_disk: Path, doctor, monkeypatch):
    file = small_disk / "published.duckdb"
    file.write_text("the copy of before")
    monkeypatch.setenv("ANALYTICS__PUBLISH_TO", str(file))
    checks = doctor()
    assert checks["published copy"]["ok"] is False
    assert "MB left, and the warehouse has" in checks["published copy"]["detail"]
    assert f"not published to {file} (No space left on device)" in one_line(sync())
    assert file.read_text() == "the copy of before"
    assert [path.name for path in small_disk.iterdir()] == [file.name]


@pytest.mark.usefixtures("synced")
def test_what_others_did_to_the_copy(copy: Path, sync, api: SampleApi):
    assert sync().exit_code == 0
    copy.chmod(0o640)
    wal = Path(f"{copy}.wal")
    subprocess.run([sys.executable, "-c", CHANGED, str(copy)], check=True)
    assert wal.exists()
    assert sync().exit_code == 0
    assert campaigns(copy) == served(api)
    assert not wal.exists()
    assert copy.stat().st_mode & 0o777 == 0o640


@pytest.mark.usefixtures("synced")
def test_another_warehouse_that_is_being_published_there(copy: Path, sync, api: SampleApi):
    with (copy.parent / ".published.duckdb.unfinished").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "(another warehouse is being published there)" in one_line(sync())
    assert not copy.exists()
    assert sync().exit_code == 0
    assert campaigns(copy) == served(api)


def test_where_no_copy_can_be(home: Path, sync, doctor, api: SampleApi, monkeypatch, tmp_path):
    (tmp_path / "link.duckdb").symlink_to(home / "warehouse.duckdb")
    for place, words in {
        home / "warehouse.duckdb": "leads to the warehouse itself",
        home / "warehouse.duckdb.wal": "leads to the warehouse itself",
        tmp_path / "link.duckdb": "leads to the warehouse itself",
        tmp_path: "is a folder",
        tmp_path / "analytics.duckdb": "DuckDB could not tell a file analytics.duckdb",
        "relative.duckdb": "ANALYTICS__PUBLISH_TO is not an absolute path of a file",
    }.items():
        monkeypatch.setenv("ANALYTICS__PUBLISH_TO", str(place))
        assert words in one_line(sync())
    assert api.log.requests == 0
    monkeypatch.setenv("ANALYTICS__PUBLISH_TO", str(home / "warehouse.duckdb"))
    assert doctor()["published copy"]["advice"].startswith("set it to another path")


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_warehouse_that_lets_readers_in(copy: Path, sync, api: SampleApi, doctor):
    line = one_line(sync())
    assert line == (
        "Error: ANALYTICS__PUBLISH_TO is for a warehouse in DuckDB, and postgres lets readers in by"
        " itself: remove it"
    )
    assert api.log.requests == 0
    assert doctor()["published copy"]["ok"] is False


@pytest.mark.usefixtures("synced")
def test_the_doctor_looks_at_it(copy: Path, doctor, sync):
    assert "published copy" in doctor()
    assert (
        doctor()["published copy"]["detail"]
        == f"{copy} is not there yet; its folder can be written"
    )
    assert sync().exit_code == 0
    assert f"{copy} can be replaced; it is of 20" in doctor()["published copy"]["detail"]
    copy.unlink()
    copy.parent.rmdir()
    check = doctor()["published copy"]
    assert (check["ok"], check["advice"]) == (False, "check ANALYTICS__PUBLISH_TO")

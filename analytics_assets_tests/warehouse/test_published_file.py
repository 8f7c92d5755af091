"""The copy for readers by itself: where it may be, how it is put there, and what is left of it."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics_assets.errors import SettingsError, WarehouseError
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.file_lock import LockRequest, file_lock
from analytics_assets.warehouse.location import default_duckdb
from analytics_assets.warehouse.publishing import probe_publication, publish, published_file
from analytics_assets_tests.testing.loading import load
from analytics_assets_tests.testing.tables import taken

REQUEST = LockRequest("a test", 0, print)


@pytest.fixture
def target(home: Path, tmp_path: Path) -> Path:
    """Where the copy is to be: in a folder that is for it alone."""
    folder = tmp_path / "readers"
    folder.mkdir()
    return folder / "published.duckdb"


def to(place: Path | str, **more: Any) -> PlatformSettings:
    return PlatformSettings(publish_to=str(place), **more)


def held(file: Path) -> int:
    with duckdb.connect(str(file), read_only=True) as connection:
        [(rows,)] = connection.sql("SELECT count(*) FROM analytics.audience_rules").fetchall()
    return int(rows)


def refusal(settings: PlatformSettings) -> str:
    with pytest.raises(SettingsError) as error:
        published_file(settings)
    return str(error.value)


def test_no_copy_is_asked_for_unless_it_is_set(home: Path):
    assert published_file(platform_settings()) is None
    assert probe_publication(platform_settings()) == "none is asked for"
    publish(platform_settings(), REQUEST)
    assert not list(home.glob("*.lock"))


def test_where_a_copy_may_be(target: Path):
    assert published_file(to(target)) == target
    link = target.parent / "link"
    link.symlink_to(target.parent)
    assert published_file(to(link / target.name)) == target


@pytest.mark.parametrize("end", ["", ".wal", ".lock"])
def test_it_may_not_be_the_warehouse_or_what_is_beside_it(home: Path, end: str):
    assert refusal(to(f"{default_duckdb()}{end}")) == (
        "ANALYTICS__PUBLISH_TO leads to the warehouse itself: set it to another path, in a folder"
        " of its own"
    )


def test_it_may_not_be_the_warehouse_by_another_name(home: Path, target: Path):
    default_duckdb().touch()
    assert published_file(to(target)) == target  # there is no copy yet
    target.hardlink_to(default_duckdb())
    assert "leads to the warehouse itself" in refusal(to(target))
    target.unlink()
    target.touch()
    assert published_file(to(target)) == target


def test_it_may_not_be_a_folder(target: Path):
    assert refusal(to(target.parent)) == (
        "ANALYTICS__PUBLISH_TO is a folder: set it to the path of a file in it, such as"
        f" {target.parent}/published.duckdb"
    )


def test_it_may_not_have_the_name_of_the_dataset(target: Path):
    file = target.parent / "Ad_Data.duckdb"
    assert published_file(to(file)) == file
    assert refusal(to(file, dataset_name="ad-data")) == (
        "DuckDB could not tell a file Ad_Data.duckdb from the dataset ad-data: set"
        " ANALYTICS__PUBLISH_TO to another name"
    )


def test_it_is_for_duckdb_alone(target: Path):
    assert refusal(to(target, destination="postgres")) == (
        "ANALYTICS__PUBLISH_TO is for a warehouse in DuckDB, and postgres lets readers in by"
        " itself: remove it"
    )


def test_the_copy_is_put_in_place_whole(home: Path, target: Path):
    load(home, {"a": [{"id": 1}]})
    publish(to(target), REQUEST)
    assert held(target) == 1
    target.chmod(0o640)
    with duckdb.connect(str(target), read_only=True) as reader:
        load(home, {"a": [{"id": 1}, {"id": 2}]})
        publish(to(target), REQUEST)
        rows = reader.sql("SELECT id FROM analytics.audience_rules").fetchall()
        assert rows == [(1,)]  # a reader keeps what it has opened
    assert held(target) == 2
    assert target.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert target.read_bytes() == default_duckdb().read_bytes()


def test_what_is_in_the_log_of_the_warehouse_is_published(home: Path, target: Path, tmp_path: Path):
    load(home, {"a": [{"id": 1}]})
    wal, aside = Path(f"{default_duckdb()}.wal"), tmp_path / "aside"
    with duckdb.connect(str(default_duckdb())) as writer:
        writer.execute("SET checkpoint_threshold = '1 GB'")
        writer.execute(
            "INSERT INTO analytics.audience_rules SELECT * REPLACE (2 AS id)"
            " FROM analytics.audience_rules"
        )
        aside.write_bytes(wal.read_bytes())
        before = default_duckdb().read_bytes()
    # as a process leaves them that is killed
    default_duckdb().write_bytes(before)
    wal.write_bytes(aside.read_bytes())
    publish(to(target), REQUEST)
    assert held(target) == 2
    assert not wal.exists()


def test_a_log_beside_the_copy_goes(home: Path, target: Path):
    load(home, {"a": [{"id": 1}]})
    log = Path(f"{target}.wal")
    log.write_bytes(b"of another file")
    publish(to(target), REQUEST)
    assert held(target) == 1
    assert not log.exists()


def test_what_a_killed_run_left_is_begun_anew(home: Path, target: Path):
    load(home, {"a": [{"id": 1}]})
    left = target.parent / f".{target.name}.unfinished"
    left.write_bytes(b"x" * 100 * 2**20)
    publish(to(target), REQUEST)
    assert target.read_bytes() == default_duckdb().read_bytes()
    assert not left.exists()


def not_published(target: Path) -> str:
    with pytest.raises(WarehouseError) as error:
        publish(to(target), REQUEST)
    message = str(error.value)
    found = re.fullmatch(
        rf"the warehouse has new rows, and was not published to {target} \((.*)\): check"
        r" ANALYTICS__PUBLISH_TO; the next run publishes them",
        message,
    )
    assert found, message
    return found[1]


def test_a_copy_that_cannot_be_made_leaves_the_one_before(home: Path, target: Path):
    load(home, {"a": [{"id": 1}]})
    publish(to(target), REQUEST)
    before = target.read_bytes()
    with taken(default_duckdb()):
        assert "Conflicting lock is held in" in not_published(target)
    default_duckdb().write_bytes(b"no database")
    assert "not a valid DuckDB database file" in not_published(target)
    default_duckdb().unlink()
    not_published(target)
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert not_published(target.parent / "nowhere" / "a.duckdb") == "No such file or directory"


def test_another_warehouse_is_not_in_the_way_for_long(home: Path, target: Path):
    load(home, {"a": [{"id": 1}]})
    unfinished = target.parent / f".{target.name}.unfinished"
    with unfinished.open("ab") as other:
        other.write(b"of another")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        assert not_published(target) == "another warehouse is being published there"
        assert unfinished.read_bytes() == b"of another"
    publish(to(target), REQUEST)
    assert held(target) == 1


def test_the_copy_is_made_while_no_run_writes(home: Path, target: Path):
    load(home, {"a": [{"id": 1}]})
    with (
        file_lock(default_duckdb(), LockRequest("a load", 0, print)),
        pytest.raises(WarehouseError, match="a load still writes to"),
    ):
        publish(to(target), REQUEST)
    assert not target.exists()


def test_what_is_said_of_it_beforehand(home: Path, target: Path):
    assert probe_publication(to(target)) == (
        f"{target} is not there yet; its folder can be written"
    )
    load(home, {"a": [{"id": 1}]})
    assert probe_publication(to(target)) == (
        f"{target} is not there yet; its folder can be written"
    )
    publish(to(target), REQUEST)
    said = re.escape(f"{target} can be replaced; it is of ")
    assert re.fullmatch(said + r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", probe_publication(to(target)))
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    nowhere = target.parent / "nowhere" / "a.duckdb"
    with pytest.raises(WarehouseError) as error:
        probe_publication(to(nowhere))
    assert str(error.value) == (
        f"cannot write in {nowhere.parent} (No such file or directory): check ANALYTICS__PUBLISH_TO"
    )


@pytest.fixture
def far_east() -> Iterator[None]:
    """A machine whose clock is that of Tokyo."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def test_when_it_was_made_is_told_in_utc(target: Path, far_east: None):
    target.touch()
    os.utime(target, (86_400, 86_400))
    said = f"{target} can be replaced; it is of 1970-01-02 00:00:00 UTC"
    assert probe_publication(to(target)) == said


@pytest.mark.parametrize("small_disk", ["1m"], indirect=True)
def test_a_folder_without_room_is_told_beforehand(home: Path, small_disk: Path):
    target = small_disk / "published.duckdb"
    default_duckdb().write_bytes(b"x" * 5_000_000)
    with pytest.raises(WarehouseError) as error:
        probe_publication(to(target))
    assert str(error.value) == (
        f"{small_disk} has 1 MB left, and the warehouse has 5 MB: check ANALYTICS__PUBLISH_TO, or"
        " free some space"
    )
    default_duckdb().write_bytes(b"x" * 2**19)
    assert probe_publication(to(target)).endswith("its folder can be written")

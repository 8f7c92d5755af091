"""The lock at a DuckDB file, and what those who wait are told of its holder."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from filelock import FileLock

from analytics_assets.errors import WarehouseError
from analytics_assets.warehouse.file_lock import LockRequest, file_lock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def ask(holder: str, timeout: float = 0.0) -> tuple[LockRequest, list[str]]:
    reported: list[str] = []
    return LockRequest(holder, timeout, reported.append), reported


def test_the_holder_is_named_while_it_holds_the_lock(file: Path):
    first, told_first = ask("the first")
    second, told_second = ask("the second")
    with (
        file_lock(file, first),
        pytest.raises(WarehouseError, match=r"the first still writes to .* after 0 s: run this"),
        file_lock(file, second),
    ):
        raise AssertionError("two hold one lock")
    assert told_first == []
    assert told_second == [f"waiting for the first, which writes to {file}"]


def test_who_waits_gets_the_lock_when_the_holder_is_done(file: Path):
    with ExitStack() as holder:
        holder.enter_context(file_lock(file, ask("the first")[0]))
        request = LockRequest("the second", 60, lambda line: holder.close())
        with file_lock(file, request):
            assert Path(f"{file}.writer").read_text() == "the second"


@pytest.mark.parametrize("written", ["", None])
def test_a_holder_that_has_not_said_who_it_is(file: Path, written: str | None):
    request, told = ask("the second", 0.25)
    line = (
        rf"^another run still writes to {file} after 0\.25 s: run this one again later, or raise"
        r" ANALYTICS__LOCK_TIMEOUT$"
    )
    with FileLock(f"{file}.lock"):
        if written is not None:
            Path(f"{file}.writer").write_text(written)
        with pytest.raises(WarehouseError, match=line), file_lock(file, request):
            raise AssertionError("two hold one lock")
    assert told == [f"waiting for another run, which writes to {file}"]


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_nothing_names_a_holder_when_it_is_done(file: Path, error: type[Exception] | None):
    request, _ = ask("the first")
    try:
        with file_lock(file, request):
            assert [path.name for path in file.parent.glob("*.writer")] == [f"{file.name}.writer"]
            if error:
                raise error
    except ZeroDivisionError:
        pass
    assert list(file.parent.glob("*.writer")) == []
    with file_lock(file, ask("the second")[0]):
        pass


def test_who_has_no_room_to_say_who_it_is_lets_go(file: Path):
    holder = Path(f"{file}.writer")
    holder.symlink_to("/dev/full")
    with pytest.raises(WarehouseError, match="No space left on device") as kept:
        file_lock(file, ask("the first")[0]).__enter__()
    holder.unlink()
    with file_lock(file, ask("the second")[0]):
        assert kept.value is not None  # which would keep the lock with it


def test_a_folder_that_is_not_there(tmp_path: Path):
    request, _ = ask("the first")
    with (
        pytest.raises(
            WarehouseError,
            match=rf"^cannot write in {tmp_path}/nowhere \(No such file or directory\): check"
            " DESTINATION__DUCKDB__CREDENTIALS or DAGSTER_HOME$",
        ),
        file_lock(tmp_path / "nowhere" / "warehouse.duckdb", request),
    ):
        pass

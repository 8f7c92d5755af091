"""A run's working folder: gone after it, and nobody else's folder with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from analytics_assets.errors import SettingsError
from analytics_assets.warehouse import working_folder as module
from analytics_assets.warehouse.working_folder import working_folder
from analytics_assets_tests.testing.commands import CHECKOUT

CRASH = """
import os
from analytics_assets.warehouse.working_folder import working_folder
with working_folder() as folder:
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "state").write_text("state")
    print(folder.parent, flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, for this process and others."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def left_over() -> Path:
    """The folder of a run that was killed."""
    result = subprocess.run(
        [sys.executable, "-c", CRASH],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = Path(result.stdout.strip())
    assert folder.is_dir()
    return folder


def sweep() -> None:
    with working_folder():
        pass


def contents(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): path.readlink()
        if path.is_symlink()
        else (path.read_bytes() if path.is_file() else path.lstat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
    }


def make_old(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (0, 0), follow_symlinks=False)


def test_nothing_is_left(temporary: Path):
    with working_folder() as folder:
        (folder / "file").write_text("x")
        assert list(temporary.iterdir()) == [folder.parent]
    assert list(temporary.iterdir()) == []


def test_nothing_is_left_of_a_run_that_failed(temporary: Path):
    with pytest.raises(ZeroDivisionError), working_folder() as folder:
        (folder / "file").write_text(str(1 / 0))
    assert list(temporary.iterdir()) == []


def test_a_killed_runs_folder_is_removed(temporary: Path, left_over: Path):
    sweep()
    assert list(temporary.iterdir()) == []


def test_so_is_one_whose_removal_was_cut_short(temporary: Path, left_over: Path):
    shutil.rmtree(left_over / "files")
    (left_over / "in-use.lock").unlink()
    sweep()
    assert list(temporary.iterdir()) == []


def test_a_folder_in_use_is_not_removed(temporary: Path):
    with working_folder() as folder:
        (folder / "file").write_text("x")
        make_old(folder.parent)
        sweep()
        assert (folder / "file").read_text() == "x"


def test_a_folder_that_is_being_made_is_not_removed(monkeypatch: pytest.MonkeyPatch):
    others: list[bool] = []

    def lock(*arguments: Any, **options: Any) -> FileLock:
        if not others:  # another run starts just before this one has its lock
            others.append(True)
            sweep()
        return FileLock(*arguments, **options)

    monkeypatch.setattr(module, "FileLock", lock)
    with working_folder() as folder:
        assert others
        assert folder.is_dir()
        assert (folder.parent / "analytics-assets.mark").is_file()


def checkout(folder: Path) -> None:
    (folder / "analytics_assets").mkdir()
    (folder / "warehouse.duckdb").write_bytes(b"all that there is")
    (folder / "files").mkdir()
    (folder / "files" / "notes").write_text("mine")


def with_a_lock_only(folder: Path) -> None:
    (folder / "files").mkdir()
    (folder / "in-use.lock").touch()


def with_another_mark(folder: Path) -> None:
    with_a_lock_only(folder)
    (folder / "analytics-assets.mark").write_text("Analytics Assets")


def with_an_unreadable_mark(folder: Path) -> None:
    with_a_lock_only(folder)
    (folder / "analytics-assets.mark").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    "make",
    [lambda folder: None, checkout, with_a_lock_only, with_another_mark, with_an_unreadable_mark],
    ids=["empty", "checkout", "lock only", "another mark", "unreadable mark"],
)
def test_what_has_no_mark_of_ours_stays_as_it_is(temporary: Path, make):
    folder = temporary / "analytics-assets-backup"
    folder.mkdir()
    make(folder)
    make_old(folder)
    before = contents(folder)
    sweep()
    assert contents(folder) == before


def test_a_file_and_a_link_of_such_a_name_stay(temporary: Path, tmp_path: Path):
    (temporary / "analytics-assets-notes").write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    checkout(elsewhere)
    (temporary / "analytics-assets-link").symlink_to(elsewhere)
    (temporary / "analytics-assets-nowhere").symlink_to(tmp_path / "nowhere")
    before = contents(temporary), contents(elsewhere)
    sweep()
    after = contents(temporary), contents(elsewhere)
    assert {**after[0], ".": 0} == {**before[0], ".": 0}
    assert after[1] == before[1]


def test_a_link_to_a_folder_of_ours_is_not_followed(tmp_path: Path, temporary: Path, left_over):
    moved = tmp_path / "moved"
    left_over.rename(moved)
    left_over.symlink_to(moved)
    before = contents(moved)
    sweep()
    assert contents(moved) == before


def test_a_copy_of_a_folder_of_ours_stays(temporary: Path, left_over: Path):
    copy = temporary / "analytics-assets-copy"
    shutil.copytree(left_over, copy)
    before = contents(copy)
    sweep()
    assert contents(copy) == before
    assert not left_over.exists()


@pytest.mark.parametrize("name", ["notes.txt", "backup", "link"])
def test_a_folder_in_which_something_else_lies_stays(tmp_path, left_over: Path, name: str):
    if name == "link":
        (left_over / name).symlink_to(tmp_path)
    elif name == "backup":
        (left_over / name).mkdir()
    else:
        (left_over / name).write_text("mine")
    before = contents(left_over)
    sweep()
    assert contents(left_over) == before


@pytest.mark.parametrize("name", ["files", "in-use.lock", "analytics-assets.mark"])
def test_a_link_in_place_of_what_is_ours_is_not_followed(tmp_path, left_over: Path, name: str):
    (left_over / name).rename(tmp_path / name)
    (left_over / name).symlink_to(tmp_path / name)
    before = contents(left_over), contents(tmp_path / name)
    sweep()
    assert (contents(left_over), contents(tmp_path / name)) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_stays(left_over: Path):
    os.chown(left_over, 4711, 4711)
    before = contents(left_over)
    sweep()
    assert contents(left_over) == before


def test_what_is_put_into_the_folder_of_a_run_stays_after_it(temporary: Path):
    with working_folder() as folder:
        (folder.parent / "notes.txt").write_text("mine")
    assert [path.name for path in temporary.rglob("*") if path.is_file()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["o'neil", "100%"])
def test_a_folder_from_which_dlt_cannot_load_is_refused(tmp_path: Path, monkeypatch, name: str):
    place = tmp_path / name
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with pytest.raises(SettingsError) as error, working_folder():
        pass
    assert str(error.value) == (
        f"dlt cannot load from {place}, whose path holds a ' or a %: set TMPDIR to a folder without"
    )
    assert list(place.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, monkeypatch):
    place = tmp_path / "nowhere"
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with pytest.raises(SettingsError) as error, working_folder():
        pass
    assert str(error.value) == (
        f"cannot write in {place} (No such file or directory): set TMPDIR to a folder that can be"
    )


def test_the_folder_of_a_run_is_found_by_its_name(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with working_folder() as folder:
        assert folder.parent.name.startswith("analytics-assets-")
        assert folder.is_dir()
        mark = folder.parent / "analytics-assets.mark"
        assert mark.read_text() == (
            "Analytics Assets: a run's working folder, removed when it is over\n"
            f"{folder.parent.resolve()}\n"
        )

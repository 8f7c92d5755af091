"""Where Dagster keeps its records: found without anything exported."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Final

import click

import analytics_assets
from analytics_assets.errors import AnalyticsError, causes

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

SETUP_SECONDS = 60.0
"""Longest wait for another process that sets up Dagster's records, which takes a second or two."""

# of a folder named so, Dagster would not find its dagster.yaml, or SQLite its files
_UNFIT: Final = re.compile(r"[?*\[]|%[0-9A-Fa-f]{2}")
_SQLITE_HEADER: Final = b"SQLite format 3\0"
# in what Dagster says of a class that dagster.yaml names and that it cannot load
_OUR_CLASS: Final = re.compile(
    rf"when attempting to load the configurable class ({analytics_assets.__name__}\.[\w.]+)\.\w+"
)
# Dagster's, of all its records and of its runs: they make their files when they are opened
_SQLITE_STORAGES: Final = ("DagsterSqliteStorage", "SqliteRunStorage")


def ensure_dagster_home() -> Path:
    """DAGSTER_HOME, or else the current folder or the checkout, whichever holds a dagster.yaml.

    Raises:
        click.ClickException: None holds one, or its path will not do.
    """
    checkout = Path(analytics_assets.__file__).resolve().parent.parent
    named = os.environ.get("DAGSTER_HOME")
    folders = [Path(named)] if named else [Path(), checkout]
    home = next((folder for folder in folders if _is_home(folder)), folders[0]).absolute()
    refuse_unfit(home)
    if not _is_home(home):
        raise click.ClickException(
            f"no dagster.yaml in {home}: run `analytics-assets init` there, or set DAGSTER_HOME to"
            " a folder that holds one"
        )
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def refuse_unfit(folder: Path) -> None:
    """Stops where Dagster would not find its files again.

    Raises:
        click.ClickException: The folder's path will not do.
    """
    if _UNFIT.search(str(folder)):
        raise click.ClickException(
            f"Dagster cannot keep its records in {folder}: set DAGSTER_HOME to a folder whose path"
            " has no ?, *, [ or %20"
        )


def _is_home(folder: Path) -> bool:
    return (folder / "dagster.yaml").is_file()


@contextmanager
def dagster_instance(overrides: Mapping[str, Any] | None = None) -> Iterator[DagsterInstance]:
    """Dagster's records in its home.

    Args:
        overrides: What is other than dagster.yaml says.

    Raises:
        click.ClickException: There is no home, or its records cannot be opened, read or written.
    """
    home = ensure_dagster_home()
    from dagster import DagsterInstance

    from analytics_assets.dagster_backend.internals import InstanceRef

    try:
        with _set_up_alone(home):
            records = InstanceRef.from_dir(str(home), overrides=overrides)
            instance = DagsterInstance.from_ref(records)
            _read_something(instance)
    except click.ClickException:
        raise
    except Exception as error:
        raise _unusable(home, error) from None
    with instance:
        try:
            yield instance
        except (click.ClickException, AnalyticsError):  # also what became of the warehouse's errors
            raise
        except Exception as error:
            if _database_error(error) is None:
                raise
            raise _unusable(home, error) from None


def without_compute_logs() -> dict[str, Any]:
    """What a command that runs a job has otherwise than dagster.yaml: its terminal is its own.

    In a run, Dagster would have all that is written go to files instead: no progress is seen then,
    and the helper processes that bring it back print tracebacks at Ctrl-C.
    """
    from analytics_assets.dagster_backend.internals import NoOpComputeLogManager

    nothing = {"module": NoOpComputeLogManager.__module__, "class": NoOpComputeLogManager.__name__}
    return {"compute_logs": {**nothing, "config": {}}}


def end_killed_runs(instance: DagsterInstance) -> None:
    """Marks the runs of commands as failed whose process on this machine was killed."""
    from analytics_assets.dagster_backend.orphans import fail_orphans

    fail_orphans(instance, _unfinished(instance))


def _unfinished(instance: DagsterInstance) -> Sequence[DagsterRun]:
    from dagster import RunsFilter

    from analytics_assets.orchestration.recorded_runs import UNFINISHED

    return instance.get_runs(RunsFilter(statuses=UNFINISHED))


def probe_dagster_home() -> str:
    """Says where Dagster's records are, if they can be read and written. Makes no new ones.

    Raises:
        click.ClickException: They cannot.
    """
    home = ensure_dagster_home()
    from dagster import DagsterInstance

    from analytics_assets.dagster_backend.internals import InstanceRef
    from analytics_assets.dagster_backend.orphans import is_orphan

    try:
        with TemporaryFile(dir=home) as probe:
            probe.write(b"x")
        if not has_records():
            return f"{home}, in which nothing is recorded yet"
        with DagsterInstance.from_ref(InstanceRef.from_dir(str(home))) as instance:
            _read_something(instance)
            for lazily_made in ("run_launcher", "run_coordinator"):
                getattr(instance, lazily_made)
            killed = sum(map(is_orphan, _unfinished(instance)))
            return f"{home}, {instance.get_runs_count()} runs recorded{_of_killed(killed)}"
    except Exception as error:
        raise _unusable(home, error) from None


def _of_killed(runs: int) -> str:
    if not runs:
        return ""
    were, them = ("was", "it") if runs == 1 else ("were", "them")
    return f", of which {runs} {were} killed: the next `sync` or `status` marks {them} as failed"


def has_records() -> bool:
    """Whether anything is recorded in the home; to open records in SQLite would make their files.

    Raises:
        click.ClickException: There is no home.
    """
    home = ensure_dagster_home()
    from analytics_assets.dagster_backend.internals import InstanceRef

    records = InstanceRef.from_dir(str(home))
    classes = {data.class_name for data in (records.storage_data, records.run_storage_data) if data}
    in_sqlite = not classes.isdisjoint(_SQLITE_STORAGES)
    return not in_sqlite or (home / "history" / "runs.db").exists()


@contextmanager
def _set_up_alone(home: Path) -> Iterator[None]:
    """Two processes that find an empty home would both set up Dagster's files, and one fail."""
    from filelock import FileLock, Timeout

    lock, holder = FileLock(home / ".setup.lock"), home / ".setup.writer"
    try:
        lock.acquire(timeout=SETUP_SECONDS)
    except Timeout:
        # not the lock file: to look at it is to empty it
        named = holder.read_text() if holder.is_file() else "another process"
        raise click.ClickException(
            f"{named} has held {lock.lock_file} for {SETUP_SECONDS:g} s: check if it hangs, end it"
            " and run again"
        ) from None
    try:
        holder.write_text(f"process {os.getpid()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read_something(instance: DagsterInstance) -> None:
    instance.get_runs_count()
    instance.get_dynamic_partitions("accounts")


def _unusable(home: Path, error: Exception) -> click.ClickException:
    """The error of records that cannot be used, on one line, without the values of dagster.yaml."""
    if isinstance(error, OSError):
        return click.ClickException(
            f"cannot write in {home} ({error.strerror}): set DAGSTER_HOME to a folder that can be"
        )
    broken = [path for path in home.rglob("*.db") if not _is_sqlite(path)]
    if broken:
        return click.ClickException(
            f"Dagster cannot open its records, because {broken[0]} is no SQLite file: set it right,"
            " or move it away (one that is missing is made anew)"
        )
    first = _database_error(error) or error
    message = str(getattr(first, "orig", None) or first) or type(first).__name__
    if module := _module_that_is_gone(message):
        return click.ClickException(
            f"`module: {module}` in {home / 'dagster.yaml'} leads to nothing, as of another"
            " release: copy dagster.yaml, or the file in deploy/ that it was made from, anew"
        )
    # Dagster goes on with all that could stand there, and with what does
    cause = " ".join(
        re.split(r"Expected: |Stack Trace:", message.rpartition("Error 1: ")[2])[0].split()
    )
    cause = re.sub(r"of original value .* failed: [\w.]*:", "cannot be used:", cause)
    cause = re.sub(r'Value ".*" of type', "A value of type", cause).rstrip(" .:")
    return click.ClickException(
        f"Dagster cannot open its records: {cause}: check dagster.yaml in {home}"
    )


def _database_error(error: Exception) -> BaseException | None:
    """What the database said that Dagster's error came of; in PostgreSQL it only counts attempts.

    None if the error is another one.
    """
    from sqlalchemy.exc import SQLAlchemyError

    return next((link for link in causes(error) if isinstance(link, SQLAlchemyError)), None)


def _module_that_is_gone(message: str) -> str | None:
    """The module of this package in which Dagster found no class that dagster.yaml names.

    None if the module is there and only lacks what it imports: then Dagster's own message counts.
    """
    if (named := _OUR_CLASS.search(message)) is None:
        return None
    module = named[1]
    try:
        is_there = find_spec(module) is not None
    except ModuleNotFoundError:  # nor is its package
        is_there = False
    return None if is_there and "Couldn't find class" not in message else module


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE_HEADER)) in (_SQLITE_HEADER, b"")

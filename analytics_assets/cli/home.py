"""Where Dagster keeps its records: found without anything exported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

import click

import analytics_assets

if TYPE_CHECKING:
    from dagster import DagsterInstance

# Dagster's, and ours upon it: both make their files in the home when they are opened
_SQLITE_STORAGES: Final = ("DagsterSqliteStorage", "SqliteStorage")


def ensure_dagster_home() -> Path:
    """DAGSTER_HOME, or else the checkout that this package lies in.

    Raises:
        click.ClickException: Neither holds a dagster.yaml.
    """
    checkout = Path(analytics_assets.__file__).resolve().parent.parent
    home = Path(os.environ.get("DAGSTER_HOME") or checkout).absolute()
    if not (home / "dagster.yaml").is_file():
        raise click.ClickException(
            f"no dagster.yaml in {home}: set DAGSTER_HOME to a folder that holds a copy of it"
        )
    os.environ["DAGSTER_HOME"] = str(home)
    return home


@contextmanager
def dagster_instance() -> Iterator[DagsterInstance]:
    """Dagster's records in its home.

    Raises:
        click.ClickException: There is no home.
    """
    home = ensure_dagster_home()
    from dagster import DagsterInstance
    from filelock import FileLock

    # Two processes that find an empty home would both set up Dagster's SQLite files, and one fail.
    with FileLock(home / ".setup.lock"):
        instance = DagsterInstance.get()
    with instance:
        yield instance


def probe_dagster_home() -> str:
    """Says where Dagster's records are, if they can be read and written. Makes no new ones.

    Raises:
        click.ClickException: They cannot.
    """
    home = ensure_dagster_home()
    from dagster import DagsterInstance
    from dagster._core.instance.ref import InstanceRef

    try:
        with TemporaryFile(dir=home) as probe:
            probe.write(b"x")
        reference = InstanceRef.from_dir(str(home))
        storage = reference.storage_data
        in_sqlite = storage is not None and storage.class_name in _SQLITE_STORAGES
        if in_sqlite and not (home / "history" / "runs.db").exists():
            return f"{home}, in which nothing is recorded yet"
        with DagsterInstance.from_ref(reference) as instance:
            return f"{home}, {instance.get_runs_count()} runs recorded"
    except OSError as error:
        raise click.ClickException(
            f"cannot write in {home} ({error.strerror}): set DAGSTER_HOME to a folder that can be"
        ) from None
    except Exception as error:
        cause = " ".join(str(error).split())
        raise click.ClickException(
            f"Dagster cannot open its records: {cause}: check dagster.yaml in {home}"
        ) from None

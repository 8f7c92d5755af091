"""Where Dagster keeps its records: found without anything exported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import analytics_assets

if TYPE_CHECKING:
    from dagster import DagsterInstance


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

"""Where Dagster keeps its records: found without anything exported."""

from __future__ import annotations

import os
from pathlib import Path

import click

import analytics_assets


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

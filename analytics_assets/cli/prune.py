"""`analytics-assets prune`: removes what is on record of runs that ended long ago."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from analytics_assets.cli.home import dagster_instance, ensure_dagster_home
from analytics_assets.text import counted

if TYPE_CHECKING:
    import dagster as dg

    from analytics_assets.orchestration.naming import AssetNames
    from analytics_assets.settings import PlatformSettings
    from analytics_assets.warehouse.retention import RecordedLoads

_HOLDER: Final = "analytics-assets prune"
_report: Final = partial(click.echo, err=True)
_HOURS: Final = {"h": 1, "d": 24, "w": 7 * 24}
_MEGABYTE: Final = 1_000_000


@click.command()
@click.option(
    "--older-than",
    "age",
    metavar="AGE",
    help="Hours, days or weeks since a run ended: 36h, 90d, 12w.",
)
@click.option(
    "--history-older-than",
    "history_age",
    metavar="AGE",
    help="The same, since a version of a row was replaced or gone.",
)
@click.option("--yes", is_flag=True, help="Remove them; without it, they are only counted.")
def prune(age: str | None, history_age: str | None, yes: bool) -> None:
    """Remove runs that ended long ago, with their events and logs, and old loads from dlt's record.

    What tells what is loaded, what failed last and what the checks found last stays, whatever its
    age. So do all tables, and all rows in them but, with --history-older-than, versions that ended
    long ago.

    Without --yes nothing is removed: it says what would be.
    """
    if age is None and history_age is None:
        raise click.ClickException("say what to remove: set --older-than or --history-older-than")
    moments = {
        option: (text, time.time() - _seconds(option, text))
        for option, text in (("--older-than", age), ("--history-older-than", history_age))
        if text is not None
    }
    if history_age is not None:
        _prune_history(*moments["--history-older-than"], yes=yes)
    if age is not None:
        _prune_records(*moments["--older-than"], yes=yes)


def _prune_history(age: str, before: float, *, yes: bool) -> None:
    from analytics_assets.settings import platform_settings
    from analytics_assets.warehouse.file_lock import LockRequest
    from analytics_assets.warehouse.history_retention import (
        Versions,
        count_versions,
        remove_versions,
    )
    from analytics_assets.warehouse.working_folder import working_folder

    ensure_dagster_home()
    settings = platform_settings()
    ended = Versions.ended_before(before)
    counts = count_versions(settings, ended)
    for name, versions in counts.items():
        click.echo(f"{counted(versions, 'version')} that ended, in {name}")
    if yes and any(counts.values()):
        with working_folder() as folder:
            request = LockRequest.of(_HOLDER, settings, _report)
            remove_versions(settings, folder, list(counts), ended, request)
    _say_done(age, yes=yes)


def _prune_records(age: str, before: float, *, yes: bool) -> None:
    with dagster_instance() as instance:
        from analytics_assets.orchestration.naming import AssetNames
        from analytics_assets.orchestration.retention import expired_runs
        from analytics_assets.settings import platform_settings

        settings = platform_settings()
        names = AssetNames.of_settings(settings)
        loads = _recorded_loads(settings, instance, names, before)
        run_ids = expired_runs(instance, names, before)
        size = sum(file.stat().st_size for file in _files(instance, run_ids))
        click.echo(
            f"{len(run_ids):,} of {instance.get_runs_count():,} runs, with their events and logs"
            f" ({size / _MEGABYTE:,.1f} MB of files)"
        )
        click.echo(f"{len(loads.expired):,} of {loads.number:,} loads in dlt's record, _dlt_loads")
        if yes:
            _remove_loads(settings, loads)
            _remove_runs(instance, run_ids)
    _say_done(age, yes=yes)


def _say_done(age: str, *, yes: bool) -> None:
    click.echo(
        f"These are older than {age}, and were removed."
        if yes
        else f"These are older than {age}, and would be removed: run again with --yes."
    )


def _seconds(option: str, age: str) -> float:
    """An age as it is written.

    Raises:
        click.ClickException: It is none.
    """
    found = re.fullmatch(r"([0-9]{1,6})([hdw])", age.strip().lower())
    if found is None:
        raise click.ClickException(
            f"{option} takes a number of hours, days or weeks: set it to one such as 36h, 90d"
            " or 12w"
        )
    return int(found[1]) * _HOURS[found[2]] * 3600.0


def _recorded_loads(
    settings: PlatformSettings, instance: dg.DagsterInstance, names: AssetNames, before: float
) -> RecordedLoads:
    from analytics_assets.orchestration.recorded_loads import latest_loads
    from analytics_assets.warehouse.retention import recorded_loads

    on_record = {load.load_id for load in latest_loads(instance, names).values() if load.load_id}
    return recorded_loads(settings, before, on_record)


def _remove_loads(settings: PlatformSettings, loads: RecordedLoads) -> None:
    from analytics_assets.warehouse.file_lock import LockRequest
    from analytics_assets.warehouse.retention import remove_loads
    from analytics_assets.warehouse.working_folder import working_folder

    if not loads.expired:
        return
    with working_folder() as folder:
        request = LockRequest.of(_HOLDER, settings, _report)
        remove_loads(settings, folder, loads.expired, request)


def _remove_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> None:
    from rich.console import Console
    from rich.progress import track

    from analytics_assets.dagster_backend.sqlite_event_log import SqliteEventLog

    console = Console(stderr=True)
    for run_id in track(run_ids, "removing", console=console, disable=not console.is_terminal):
        # first: of a run that is gone, nobody looks for logs
        instance.compute_log_manager.delete_logs(prefix=[run_id, "compute_logs"])
        with suppress(OSError):  # what else is there stays, and the folder with it
            _storage(instance, run_id).rmdir()
        instance.delete_run(run_id)
    if run_ids and isinstance(instance.event_log_storage, SqliteEventLog):
        instance.event_log_storage.compact()


def _files(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> list[Path]:
    """The files of the runs on this machine."""
    from analytics_assets.dagster_backend.sqlite_event_log import SqliteEventLog

    files = [file for run_id in run_ids for file in _storage(instance, run_id).rglob("*")]
    if isinstance(instance.event_log_storage, SqliteEventLog):
        files += [Path(instance.event_log_storage.path_for_shard(run_id)) for run_id in run_ids]
    return [file for file in files if file.is_file()]


def _storage(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.storage_directory(), run_id)

"""The command `analytics-assets`."""

from __future__ import annotations

import errno
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from analytics_assets.cli.interrupts import Interrupted, end_process, stopping_as_ctrl_c_does
from analytics_assets.errors import AnalyticsError

if TYPE_CHECKING:
    from analytics_assets.schema import ResourceTable

# Each command lies in a module of its own, imported when it is used: `--help` stays quick.
_COMMANDS = {
    "init": ("analytics_assets.cli.init", "Write what a folder needs to be a Dagster home."),
    "sync": ("analytics_assets.cli.sync", "Materialise all accounts, or some, in one run."),
    "status": (
        "analytics_assets.cli.status",
        "Show what is loaded, how old it is and what failed.",
    ),
    "doctor": ("analytics_assets.cli.doctor", "Check settings, API, warehouse and Dagster home."),
    "forget": (
        "analytics_assets.cli.forget",
        "Remove what the warehouse holds of an account or a resource.",
    ),
    "prune": ("analytics_assets.cli.prune", "Remove what is on record of runs of long ago."),
    "sample-api": ("analytics_assets.sample_api.cli", "Serve a sample of the API, to try things."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _ = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), cmd_name.replace("-", "_"))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = get_close_matches(args[0], _COMMANDS, n=1)
        if args[0] not in _COMMANDS and near and not ctx.resilient_parsing:
            ctx.fail(f"No such command '{args[0]}': did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with stopping_as_ctrl_c_does():
                return super().invoke(ctx)
        except AnalyticsError as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            where = error.filename or "what the command writes to"
            raise click.ClickException(f"no space left for {where}: free some") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="analytics-assets")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Ingests an advertising analytics API into a warehouse, with Dagster and dlt."""
    ctx.obj = _resources  # for the sample API, which itself knows no settings


def _resources() -> ResourceTable:
    """The resources that there are, by the settings.

    Raises:
        SettingsError: One that they add cannot be read.
    """
    from analytics_assets.settings import platform_settings

    return platform_settings().resources


def run() -> None:
    """The command as a process of its own."""
    end_process(lambda: main(prog_name="analytics-assets"))

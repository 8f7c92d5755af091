"""`analytics-assets init`: makes a folder one that Dagster and the commands can work in."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Final

import click

from analytics_assets.cli.home import refuse_unfit
from analytics_assets.cli.home_files import delivered

_SECRETS: Final = ".dlt/secrets.toml"
# what people write into, by the delivered file that it begins as: it is never written anew
_YOURS: Final = {
    ".dlt/config.toml": ".dlt/config.toml",
    _SECRETS: ".dlt/secrets.toml.example",
    ".gitignore": ".gitignore",
}
# what belongs to a release
_OURS: Final = ("dagster.yaml", "workspace.yaml", ".env.example")


@click.command()
@click.argument(
    "folder", default=".", type=click.Path(file_okay=False, path_type=Path), metavar="[FOLDER]"
)
@click.option("--force", is_flag=True, help=f"Write {', '.join(_OURS)} anew, as after an upgrade.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
def init(folder: Path, force: bool, dry_run: bool) -> None:
    """Make FOLDER, by default the current one, a Dagster home for this platform.

    Writes dagster.yaml, workspace.yaml, the files of settings in .dlt, .env.example and .gitignore.
    Your settings and your .gitignore stay as they are if there are any.
    """
    folder = folder.absolute()
    refuse_unfit(folder)
    there = [name for name in _OURS if (folder / name).exists()]
    if there and not force:
        raise click.ClickException(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} in {folder} already, and"
            " nothing was written: run with --force to write what is there anew"
        )
    for name, source in {**{name: name for name in _OURS}, **_YOURS}.items():
        if name in _YOURS and (folder / name).exists():
            click.echo(f"kept   {name}")
            continue
        if not dry_run:
            _write(folder / name, delivered(source), is_secret=name == _SECRETS)
        click.echo(f"{'would write' if dry_run else 'wrote'}  {name}")
    if not dry_run:
        _say_what_next(folder)


def _write(file: Path, text: str, *, is_secret: bool) -> None:
    """Writes the file; one with secrets is its owner's alone to read from the start.

    Raises:
        click.ClickException: It cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600 if is_secret else 0o666
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as opened:
            opened.write(text)
    except OSError as error:
        raise click.ClickException(
            f"cannot write {file} ({error.strerror}): choose another folder"
        ) from None


def _say_what_next(folder: Path) -> None:
    click.echo(f"""
Next:
  cd {shlex.quote(str(folder))}
  export DAGSTER_HOME="$PWD"    # for dagster; analytics-assets looks in the current folder, too
  edit {_SECRETS}       # base_url, token_url, client_id, client_secret
  analytics-assets doctor       # checks them
  analytics-assets sync
  dagster dev                   # the UI, on http://127.0.0.1:3000""")

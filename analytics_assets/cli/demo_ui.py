"""`make demo-ui`: Dagster's web UI and daemon on the demo's home, with the sample API to read from.

All of it ends together: with Ctrl-C, or when one of them does.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Final

import click
from filelock import FileLock, Timeout

import analytics_assets
from analytics_assets.cli.demo import (
    demo_api,
    demo_environment,
    demo_home,
    demo_warehouse,
    sync_demo,
)

_HOST: Final = "127.0.0.1"
_WORKSPACE: Final = Path(analytics_assets.__file__).resolve().parent.parent / "workspace.yaml"
_POLL_SECONDS: Final = 0.2
# Dagster itself gives its processes a minute
_STOP_SECONDS: Final = 75.0


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=3000,
    show_default=True,
    help="Port of the UI; a free one, if that is taken.",
)
def main(port: int) -> None:
    """Serve the demo's UI, until it is interrupted; sync first if nothing is loaded yet."""
    stopping = Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    home = demo_home()
    try:
        with FileLock(home / "ui.lock", blocking=False), demo_api() as api:
            if not demo_warehouse(home).exists():
                sync_demo(home, api)
            free = _free_port(port)
            ui_url = {"ANALYTICS__UI_URL": f"http://{_HOST}:{free}"}
            _serve(home, demo_environment(home, api) | ui_url, free, stopping)
    except Timeout:
        raise click.ClickException(
            f"a UI of {home} is up already: use that one, or end it with Ctrl-C"
        ) from None


def _serve(home: Path, environment: Mapping[str, str], port: int, stopping: Event) -> None:
    """Runs the web UI and the daemon until they are to stop.

    Raises:
        click.ClickException: They ended by themselves.
    """
    options = ("-w", str(_WORKSPACE), "--host", _HOST, "--port", str(port), "--log-level", "error")
    click.echo("Starting Dagster ...")
    process = subprocess.Popen(
        [sys.executable, "-m", "dagster_dg_cli.cli", "dev", *options],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # so that Ctrl-C reaches it through us alone
    )
    try:
        announced = False
        while process.poll() is None and not stopping.wait(_POLL_SECONDS):
            if not announced and _listens(port):
                click.echo(
                    f"The UI is at http://{_HOST}:{port}, and reads from a sample API with 20"
                    " accounts. Ctrl-C ends both."
                )
                announced = True
        if process.returncode is not None:
            raise click.ClickException("Dagster's UI has ended: see above why")
    finally:
        _end(process)
    click.echo("Stopped. The tables and what the UI showed stay: make demo-ui")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the processes of the session: asked first, as a terminal does, so that they tidy up."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with suppress(OSError), socket.create_server((_HOST, port)) as probe:
            return int(probe.getsockname()[1])
    raise click.ClickException(f"no free port on {_HOST}: end another server and run again")


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((_HOST, port), timeout=_POLL_SECONDS):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()

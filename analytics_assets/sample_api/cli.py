"""The command `sample-api`."""

from __future__ import annotations

import asyncio
import errno
import shlex
import signal
from collections.abc import Callable, Mapping
from typing import Any, get_args

import click

from analytics_assets.sample_api.behaviour import (
    FAULT_KINDS,
    TOKEN_PATH,
    Behaviour,
    Fault,
    QuotaHeaders,
    QuotaKind,
    QuotaScope,
)
from analytics_assets.sample_api.data import SampleData
from analytics_assets.schema import Resource

_COUNT = click.IntRange(min=0)

_FAULTS_HELP = f"""\
GLOB is matched against the path without prefix; without it, a fault hits every list, and
{TOKEN_PATH} only by that name. TIMES is how many requests it hits; without it, all.

For example: --fault 'status=503@/v1/acme-0001-sc/*' --fault 'reset*3'"""


def _read_faults(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> list[Fault]:
    try:
        return [Fault.parse(value) for value in values]
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _faults_help() -> str:
    lines = ["\b", "Kinds of faults:"]
    for name, kind in FAULT_KINDS.items():
        usage = name if kind.convert is None else f"{name}=VALUE"
        lines.append(f"  {usage:<29} {kind.description}")
    lines += ["", _FAULTS_HELP]
    return "\n".join(lines)


@click.command("sample-api", epilog=_faults_help())
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8480,
    show_default=True,
    help="Port to listen on; 0: a free one.",
)
@click.option("--accounts", type=_COUNT, default=20, show_default=True, help="Accounts.")
@click.option(
    "--campaigns", type=_COUNT, default=10, show_default=True, help="Campaigns of an account."
)
@click.option("--items", type=_COUNT, default=5, show_default=True, help="Items of a campaign.")
@click.option(
    "--motion-ads", type=_COUNT, default=2, show_default=True, help="Motion ads of a campaign."
)
@click.option(
    "--latency-ms",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Milliseconds before every answer.",
)
@click.option(
    "--quota",
    type=click.FloatRange(min=0, min_open=True),
    help="Requests per second; more are refused with 429.",
)
@click.option(
    "--quota-scope",
    type=click.Choice(get_args(QuotaScope)),
    default="client",
    show_default=True,
    help="Whether the quota is the client's, or each account has one.",
)
@click.option(
    "--quota-burst",
    type=click.IntRange(min=1),
    help="Requests that the quota admits at once; by default, those of one second.",
)
@click.option(
    "--quota-kind",
    type=click.Choice(get_args(QuotaKind)),
    default="bucket",
    show_default=True,
    help="How it counts: a bucket, or windows that have room for the burst.",
)
@click.option(
    "--quota-headers",
    type=click.Choice(get_args(QuotaHeaders)),
    default="none",
    show_default=True,
    help="How answers tell of the quota.",
)
@click.option(
    "--page-size",
    type=click.IntRange(min=1),
    help="Sends the per-campaign lists in pages of this size.",
)
@click.option("--single-token", is_flag=True, help="Only the newest token is valid.")
@click.option("--token-lifetime", type=_COUNT, default=43200, show_default=True, help="In seconds.")
@click.option("--prefix", default="", help="Path before every list, such as /api/backstage.")
@click.option(
    "--api-version", default="v1", show_default=True, help="First part of every list's path."
)
@click.option(
    "--fault",
    "faults",
    metavar="KIND[=VALUE][@GLOB][*TIMES]",
    multiple=True,
    callback=_read_faults,
    help="Spoils requests; can be given more than once.",
)
@click.pass_obj
def sample_api(
    resources: Callable[[], Mapping[str, Resource]] | None,
    /,
    host: str,
    port: int,
    accounts: int,
    campaigns: int,
    items: int,
    motion_ads: int,
    latency_ms: float,
    **behaviour: Any,
) -> None:
    """Serves a sample of the analytics API, until it is interrupted.

    It has lists and reports for resources that the settings add, too.
    """
    data = SampleData.generate(
        accounts, campaigns, items, motion_ads, resources=resources() if resources else None
    )
    # all other options are called as what they set
    served = Behaviour(latency=latency_ms / 1000, **behaviour)
    try:
        asyncio.run(_serve(data, served, host, port))
    except OSError as error:
        reason = "in use already" if error.errno == errno.EADDRINUSE else str(error)
        raise click.ClickException(f"cannot listen on {host}:{port}: {reason}") from error


async def _serve(data: SampleData, behaviour: Behaviour, host: str, port: int) -> None:
    # Imported late: so that other commands start without the server.
    from analytics_assets.sample_api.request_log import RequestLog
    from analytics_assets.sample_api.running import listening
    from analytics_assets.sample_api.server import Server

    log = RequestLog(keep=0)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with listening(Server(data, behaviour, log), host, port) as actual_port:
        address = f"[{host}]" if ":" in host else host
        click.echo(_ready(f"http://{address}:{actual_port}", behaviour))
        await stopping.wait()
    click.echo(
        f"Stopped. Requests: {log.requests}, refused: {log.refused}, at once: {log.max_in_flight},"
        f" tokens issued: {log.tokens_issued}"
    )


def _ready(url: str, behaviour: Behaviour) -> str:
    """The ready line, and what a shell must export to use the server."""
    settings = {
        "BASE_URL": f"{url}{behaviour.prefix}",
        "TOKEN_URL": f"{url}{TOKEN_PATH}",
        "CLIENT_ID": behaviour.client_id,
        "CLIENT_SECRET": behaviour.client_secret,
        "API_VERSION": behaviour.api_version,
    }
    exports = [
        f"export SOURCES__ANALYTICS__{name}={shlex.quote(value)}"
        for name, value in settings.items()
    ]
    return "\n".join([f"Sample API ready at {url}{behaviour.prefix}", *exports])

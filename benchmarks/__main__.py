"""`make bench`: measures, shows what came of it, and writes `RESULTS.md`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from statistics import median

import click
from rich.console import Console
from rich.progress import track

from benchmarks import day, hourly, profiling, results, workloads
from benchmarks import fleet as simulation
from benchmarks import history as with_history
from benchmarks import one_account as among_others
from benchmarks import quotas as kinds
from benchmarks.contenders import AT_A_TERMINAL, CONTENDERS, OURS, Contender
from benchmarks.measuring import ContenderError, Measurement, measure
from benchmarks.plot import draw_growth
from benchmarks.report import (
    day_table,
    fleet_table,
    growth_table,
    history_table,
    hourly_table,
    one_account_table,
    print_table,
    quota_table,
    render,
    run_table,
    start_table,
)
from benchmarks.serving import serving

_CONSOLE = Console(stderr=True)
_CONTENDERS = click.Choice([contender.name for contender in CONTENDERS])
_WORKLOADS = {"L": workloads.L, "smoke": workloads.SMOKE}


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """Measures all of it, in three quarters of an hour."""
    if context.invoked_subcommand is None:
        for part in (peers, start, growth, one_account, history, quota, fleet):
            context.invoke(part)


@main.command()
@click.option("--only", multiple=True, type=_CONTENDERS, help="Only this one; repeatable.")
@click.option(
    "--rounds", default=5, show_default=True, type=click.IntRange(1), help="Runs of each."
)
@click.option("--workload", default="L", show_default=True, type=click.Choice(list(_WORKLOADS)))
def peers(only: tuple[str, ...], rounds: int, workload: str) -> None:
    """Our sync against its floor and its peers, interleaved."""
    chosen = [contender for contender in CONTENDERS if not only or contender.name in only]
    measured = _interleaved(chosen, _WORKLOADS[workload], rounds)
    rows = [_medians(contender, runs) for contender, runs in measured.items() if runs]
    print_table("Workload " + workload, run_table(rows))
    # what is only tried must not replace what was measured in full
    if not only and workload == "L":
        _keep("peers", {"rows": rows})


@main.command()
def start() -> None:
    """What people wait for at a terminal."""
    measured = _interleaved(AT_A_TERMINAL, workloads.ONE, 5)
    rows = [_medians(contender, runs) for contender, runs in measured.items()]
    print_table("At a terminal", start_table(rows))
    _keep("start", {"rows": rows})


@main.command()
def growth() -> None:
    """Our sync with more accounts and more campaigns."""
    rows = []
    for workload in workloads.GROWTH:
        [run] = _interleaved([OURS], workload, 1)[OURS]
        rows.append(
            {
                "name": workload.name,
                "accounts": workload.accounts,
                "campaigns": workload.campaigns,
                "expected_requests": workload.requests,
                "requests": run.requests.total,
                "wall": run.wall,
                "cpu": run.cpu,
                "peak_mb": run.peak_mb,
                "wrong_rows": run.wrong_rows,
            }
        )
    print_table("Growth", growth_table(rows))
    draw_growth(rows)
    _keep("growth", {"rows": rows})


@main.command()
@click.option("--rows", default=among_others.OTHER_ROWS, show_default=True, help="Of others.")
def one_account(rows: int) -> None:
    """Our sync of one account, among many rows of other accounts."""
    found = list(among_others.in_both(rows))
    print_table("One account", one_account_table(found))
    # what is only tried must not replace what was measured in full
    if rows == among_others.OTHER_ROWS:
        _keep("one account", {"rows": found})


@main.command()
@click.option("--rows", default=with_history.ROWS, show_default=True, help="Of a load.")
def history(rows: int) -> None:
    """A load of which one row in a hundred has changed, with a history and without."""
    found = list(with_history.in_both(rows))
    print_table("History", history_table(found))
    if rows == with_history.ROWS:
        _keep("history", {"rows": found})


@main.command()
@click.option("--smoke", is_flag=True, help="A few accounts, to try whether it runs.")
def reports(smoke: bool) -> None:
    """A report's first load and an hourly update, by its days. Takes two hours."""
    found = list(hourly.measured(hourly.SMOKE if smoke else hourly.Size()))
    print_table("Reports", hourly_table(found))
    if not smoke:
        _keep("reports", {"rows": found})


@main.command()
def quota() -> None:
    """Our sync under quotas that it is not told."""
    rows = []
    for workload in workloads.QUOTAS:
        [run] = _interleaved([OURS], workload, 1)[OURS]
        seen = run.requests
        rows.append(
            {
                "name": workload.name,
                "wall": run.wall,
                "requests": seen.total,
                "used": seen.quota_used,
                "refused": seen.refused,
                "refused_late": seen.refused_late,
                "side_by_side": seen.side_by_side,
                "wrong_rows": run.wrong_rows,
            }
        )
    print_table("Quota", quota_table(rows))
    _keep("quota", {"rows": rows})


@main.command()
def quotas() -> None:
    """Our client under quotas of every kind, told and not told: seventeen minutes."""
    rows = list(track(kinds.rows(), "quotas", len(kinds.EACH), console=_CONSOLE))
    print_table("Kinds of quota", kinds.table(rows))
    _keep("quotas", {"rows": rows})


@main.command()
@click.option("--smoke", is_flag=True, help="A few accounts, to try whether it runs.")
def fleet(smoke: bool) -> None:
    """1,000 accounts on a fleet of workers, under one quota."""
    found = simulation.simulate(simulation.SMOKE if smoke else simulation.Agency())
    print_table("Fleet", fleet_table(found))
    if not smoke:
        _keep("fleet", found)


@main.command("day")
@click.option("--smoke", is_flag=True, help="A few accounts, to try whether it runs.")
@click.option("--accounts", default=300, show_default=True, type=click.IntRange(1))
def day_in_the_life(smoke: bool, accounts: int) -> None:
    """A full sync under 84 requests a minute, a day after another. Takes an hour."""
    found = day.simulate(day.SMOKE if smoke else day.Agency(accounts))
    print_table("A day in the life", day_table(found))
    if not smoke:
        _keep("day", found)


@main.command()
@click.option("--as", "kept_as", type=click.Choice(["before", "after"]), help="Keep it as this.")
@click.option("--workload", default="L", show_default=True, type=click.Choice(list(_WORKLOADS)))
def profile(kept_as: str | None, workload: str) -> None:
    """Where the time of our sync goes: by phase, and by what holds the interpreter."""
    with serving(_WORKLOADS[workload]) as api:
        rows = api.rows()
        found = {
            "phases": profiling.phases(api, rows),
            "areas": profiling.areas(api, rows),
        }
    for title, table in profiling.tables(found).items():
        print_table(title, table)
    if kept_as:
        _keep(f"profile {kept_as}", found)


def _interleaved(
    contenders: Collection[Contender], workload: workloads.Workload, rounds: int
) -> dict[Contender, list[Measurement]]:
    measured: dict[Contender, list[Measurement]] = {contender: [] for contender in contenders}
    turns = [
        contender
        for round_ in range(rounds)
        for contender in contenders
        if round_ == 0 or not contender.once
    ]
    with serving(workload) as api:
        rows = api.rows()
        for contender in track(turns, workload.name, console=_CONSOLE):
            _attempt(lambda: measured[contender].append(measure(contender, api, rows)))  # noqa: B023
    return measured


def _medians(contender: Contender, runs: Collection[Measurement]) -> dict[str, object]:
    return {
        "name": contender.name,
        "title": contender.title,
        "n": len(runs),
        "wall": median(run.wall for run in runs),
        "cpu": median(run.cpu for run in runs),
        "peak_mb": median(run.peak_mb for run in runs),
        "requests": round(median(run.requests.total for run in runs)),
        "refused": round(median(run.requests.refused for run in runs)),
        "wrong_rows": next(iter(runs)).wrong_rows,
    }


def _attempt(run: Callable[[], None]) -> None:
    try:
        run()
    except ContenderError as error:
        _CONSOLE.print(str(error), style="red", markup=False)


def _keep(part: str, found: Mapping[str, object]) -> None:
    render(results.keep(part, found))


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")

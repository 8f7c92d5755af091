"""Tables for the terminal and for `RESULTS.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Shown

from benchmarks import day, profiling, quotas
from benchmarks.contenders import EMPTY_DAGSTER, FLOOR, OURS
from benchmarks.results import Results

FILE = Path(__file__).resolve().parent / "RESULTS.md"

Table = list[list[str]]
"""The header, then the rows."""


def run_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row per contender."""
    header = ["", "n", "wall s", "CPU s", "peak MB", "requests", "refused", "rows"]
    return [
        header,
        *(
            [
                row["title"],
                str(row["n"]),
                f"{row['wall']:.1f}",
                f"{row['cpu']:.1f}",
                f"{row['peak_mb']:.0f}",
                f"{row['requests']:,}",
                str(row["refused"]),
                _rows(row),
            ]
            for row in rows
        ),
    ]


def start_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row per command."""
    return [
        ["", "n", "wall s", "CPU s"],
        *([row["title"], str(row["n"]), f"{row['wall']:.2f}", f"{row['cpu']:.2f}"] for row in rows),
    ]


def growth_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row per size."""
    header = ["", "accounts", "campaigns of each", "requests", "needed"]
    header += ["wall s", "ms per request", "CPU s", "peak MB", "rows"]
    return [
        header,
        *(
            [
                row["name"],
                str(row["accounts"]),
                str(row["campaigns"]),
                f"{row['requests']:,}",
                f"{row['expected_requests']:,}",
                f"{row['wall']:.1f}",
                f"{row['wall'] / row['requests'] * 1000:.2f}",
                f"{row['cpu']:.1f}",
                f"{row['peak_mb']:.0f}",
                _rows(row),
            ]
            for row in rows
        ),
    ]


def one_account_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row per warehouse."""
    return [
        ["", "n", "rows of others", "wall s without them", "wall s with them", "ratio"],
        *(
            [
                row["name"],
                str(row["n"]),
                f"{row['rows']:,}",
                f"{row['small']:.1f}",
                f"{row['large']:.1f}",
                f"{row['large'] / row['small']:.2f}",
            ]
            for row in rows
        ),
    ]


def history_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row per warehouse."""
    return [
        ["", "n", "rows", "load s without", "load s with", "ratio"],
        *(
            [
                row["name"],
                str(row["n"]),
                f"{row['rows']:,}",
                f"{row['without']:.1f}",
                f"{row['with']:.1f}",
                f"{row['with'] / row['without']:.2f}",
            ]
            for row in rows
        ),
    ]


def hourly_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each contender, warehouse and step."""
    header = ["", "n", "rows", "wall s", "after the last request", "CPU s", "requests", "peak MB"]
    return [[*header, "rows in the end"], *(_hourly_row(row) for row in rows)]


def _hourly_row(row: Mapping[str, Any]) -> list[str]:
    if "gave_up" in row:
        return [row["title"], *[""] * 7, f"gave up: {row['gave_up']}"]
    return [
        f"{row['title']}: {row['step']}",
        str(row["n"]),
        f"{row['rows']:,}",
        *(f"{row[what]:.1f}" for what in ("wall", "after", "cpu")),
        f"{row['requests']:,}",
        "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
        _rows(row),
    ]


def quota_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row per quota."""
    header = ["quota", "requests", "wall s", "quota used", "refused"]
    header += ["after the first second", "accounts side by side", "rows"]
    return [
        header,
        *(
            [
                row["name"],
                f"{row['requests']:,}",
                f"{row['wall']:.1f}",
                f"{row['used']:.1%}",
                str(row["refused"]),
                f"{row['refused_late']} ({row['refused_late'] / row['requests']:.2%})",
                f"{row['side_by_side']:.1f}",
                _rows(row),
            ]
            for row in rows
        ),
    ]


def fleet_table(found: Mapping[str, Any]) -> Table:
    """One line for each figure."""
    late = found["wall"] - found["at_quota"]
    return [
        ["", "measured"],
        ["accounts, of which the API refuses", f"{found['accounts']:,}, {found['forbidden']}"],
        ["workers, runs", f"{found['workers']}, {found['runs']}"],
        ["requests", f"{found['requests']:,}"],
        ["of these refused for the quota", f"{found['refused']:,}"],
        [f"seconds that {found['quota']} requests/s allow at best", f"{found['at_quota']:.0f}"],
        ["seconds from the first to the last request", f"{found['reading']:.0f}"],
        ["seconds in all, from the daemon's start", f"{found['wall']:.0f} ({late:+.0f})"],
        ["events of a run (median)", f"{found['events_per_run']:,.0f}"],
        ["peak memory of a worker, MB", f"{found['peak_mb']:.0f}"],
        ["rows, compared value by value", f"{found['rows']:,}, {_rows(found)}"],
    ]


def day_table(found: Mapping[str, Any]) -> Table:
    """One row per contender, after what all lists take at best."""
    best = found["needed"] / day.QUOTA / 60
    size = f"{found['accounts']} accounts with {found['campaigns']} campaigns"
    rows = [[f"{size}: all lists, none refused", f"{found['needed']:,}", "0", f"{best:.1f}", ""]]
    for row in found["rows"]:
        if "gave_up" in row:
            rows.append([row["title"], "", "", "", f"gave up: {row['gave_up']}"])
        else:
            counts = [f"{row['requests']:,}", f"{row['refused']:,}", f"{row['hours']:.1f}"]
            rows.append([row["title"], *counts, _rows(row)])
    return [["", "requests", "refused", "hours", "rows"], *rows]


def print_table(title: str, table: Table) -> None:
    """Shows a table in the terminal."""
    shown = Shown(title=title, title_justify="left")
    for index, name in enumerate(table[0]):
        shown.add_column(name, justify="right" if index else "left")
    for row in table[1:]:
        shown.add_row(*row)
    Console().print(shown)


def render(kept: Results) -> None:
    """Writes `RESULTS.md` from all that is kept."""
    parts = [_INTRODUCTION]
    if peers := kept.get("peers"):
        parts += [_PEERS, _markdown(run_table(peers["rows"])), _ratios(peers["rows"])]
        parts.append(_circumstances(peers))
    if start := kept.get("start"):
        parts += [_START, _markdown(start_table(start["rows"])), _circumstances(start)]
    if growth := kept.get("growth"):
        parts += [_GROWTH, _markdown(growth_table(growth["rows"])), _circumstances(growth)]
    if one := kept.get("one account"):
        parts += [_ONE_ACCOUNT, _markdown(one_account_table(one["rows"])), _circumstances(one)]
    if history := kept.get("history"):
        parts += [_HISTORY, _markdown(history_table(history["rows"])), _circumstances(history)]
    if reports := kept.get("reports"):
        parts += [_HOURLY, _markdown(hourly_table(reports["rows"])), _circumstances(reports)]
    if quota := kept.get("quota"):
        parts += [_QUOTA, _markdown(quota_table(quota["rows"])), _circumstances(quota)]
    if kinds := kept.get("quotas"):
        parts += [_KINDS, _markdown(quotas.table(kinds["rows"])), _circumstances(kinds)]
    if fleet := kept.get("fleet"):
        parts += [_FLEET, _markdown(fleet_table(fleet)), _circumstances(fleet), _NEXT_LIMIT]
    if found := kept.get("day"):
        parts += [_DAY, _markdown(day_table(found)), _circumstances(found)]
    if any(part.startswith("profile") for part in kept):
        parts.append(_PROFILE)
    for moment in ("before", "after"):
        if found := kept.get(f"profile {moment}"):
            parts.append(f"### {moment.capitalize()}")
            for title, table in profiling.tables(found).items():
                parts += [f"{title}:", _markdown(table)]
            parts.append(_circumstances(found))
    if "profile before" in kept and "profile after" in kept:
        parts.append(_BETWEEN)
    FILE.write_text("\n\n".join(parts) + "\n")


def _ratios(rows: Sequence[Mapping[str, Any]]) -> str:
    wall = {row["name"]: row["wall"] for row in rows}
    ours = wall[OURS.name]
    least = wall[EMPTY_DAGSTER.name] + wall[FLOOR.name]
    compared = f"{ours / least:.2f} x** (empty Dagster run + floor): {ours:.1f} s to {least:.1f} s."
    lines = [f"- {OURS.title} takes **{compared}"]
    for row in rows:
        if row["name"] not in (OURS.name, EMPTY_DAGSTER.name, FLOOR.name):
            lines.append(f"- {row['title']} takes **{row['wall'] / ours:.1f} x** as long.")
    return "\n".join(lines)


def _rows(row: Mapping[str, Any]) -> str:
    wrong = row["wrong_rows"]
    if not wrong:
        return "right"
    return "WRONG: " + ", ".join(f"{name} {got}/{due}" for name, (got, due) in wrong.items())


def _markdown(table: Table) -> str:
    header, *rows = (f"| {' | '.join(row)} |" for row in table)
    rule = "|---|" + "---:|" * (len(table[0]) - 1)
    return "\n".join([header, rule, *rows])


def _circumstances(part: Mapping[str, Any]) -> str:
    of = part["circumstances"]
    # what somebody adds by hand to figures that come from several runs
    note = f" {part['note']}" if "note" in part else ""
    return (
        f"<sub>{of['date']}, commit {of['commit']}. {of['machine']}; load over 15 minutes"
        f" {of['load']}. {of['versions']}.{note}</sub>"
    )


_INTRODUCTION = """# Results

Made by `make bench` (`benchmarks/`), which writes this file. The sample API runs in a process of
its own on the same machine and waits 50 ms before every answer. Every run starts from nothing: an
empty Dagster home, no warehouse. CPU time includes the system's and that of child processes; peak
memory is the largest process's. The rows that each contender has in its tables in the end are
counted against what the API serves."""

_PEERS = """## Peers

Workload L: 20 accounts with 100 campaigns each, 5 items and 2 motion ads per campaign. Medians of n
runs, interleaved. All but the empty run ask for a token and read the same seven resources.

- The empty run is `dagster asset materialize` of one asset that does nothing, in process.
- The floor does the least: an async client with 64 requests in flight, Arrow, one insert per table.
- dlt is its REST source and pipeline as documented; parallel means `parallelized` and 64 workers.
- Airbyte's records are taken in its process and written as the floor writes them, which spares it
  the JSON lines between a source and a destination.
- The data holds believable values only: plain dlt fails on integers beyond 64 bits.
- Ours is `analytics-assets sync`, all of it: list of accounts, partitions, run, load, events.
- The machine's cores are shared, and run at half to full speed by turns. Three such comparisons on
  one day gave 1.08, 1.14 and 1.25 for the first ratio below. The floor is mostly waiting."""

_START = """## At a terminal

Medians; the account has 10 campaigns."""

_GROWTH = """## Growth

![Seconds and memory by number of requests](growth.svg)"""

_ONE_ACCOUNT = """## One account among many

A sync of one account of 10 campaigns, alone in the warehouse with four others, and among rows of
1,000 other accounts, which lie scattered over the tables. Medians of n, by turns."""

_HISTORY = """## History

A load of items in 20 accounts, of which one in a hundred has changed since the load before: with a
history of them and without. The load alone, without reading. Medians of n, by turns."""

_HOURLY = """## Reports

`campaign_performance` of 300 accounts with 58 campaigns each, of which some 50 have figures on a
day: a first load of 37 days, one of 370, and an hourly update of each table, for which 32 days of
each account are asked for again.

- Medians of n. After the last request comes the load, or the last of several, with audit, checks
  and events.
- Ours asks a second time for each account, to compare the sums (`reconcile`).
- dlt is its REST source with 64 workers, `incremental` with `lag=31`, and `merge` by the same key.
  It keeps what vanished from the report, and has one cursor for all accounts.
- Memory is the largest process's, without PostgreSQL's server."""

_QUOTA = """## Quota

The sync is not told the quota. Used is what was admitted, by what the quota could have admitted
from the first to the last request, the burst of one second at the beginning included."""

_KINDS = """## Kinds of quota

Our client alone, with 64 workers, in real time, from the arrival of the first request to that of
the last; the sample API is in a process of its own. Best is what the quota admits if each request
is sent at the first moment; where headers tell, what outlasts a window is spread evenly on
purpose, which takes a window longer. 84 in 60 s is one deployment's quota, the rows of which were
taken side by side. 10 requests in 0.25 s are 40/s with a burst of 10; strict spacing has no burst.
`Retry-After` names whole seconds: one at least, of which a bucket of 10 saves up a quarter. The
first request is sent alone, as for the list of accounts; where a fixed window ends just then, that
window is lost. Refused are all, and those more than a second after the first window."""

_FLEET = """## Fleet

1,000 accounts for the first time, on Celery workers and one PostgreSQL server for records and
warehouse, all on this machine: 5 accounts with 400 campaigns, 45 with 50, 250 with 8 and 700 with
1. The sensor makes runs of 125 accounts, and each worker's requests keep to its share of the
quota. The server does not wait for the disk (`fsync = off`); the sample API is in the benchmark's
own process."""

_NEXT_LIMIT = """**Lost** against the quota: 50 s at the beginning (the daemon starts, lists the
accounts, and looks every 30 s for those that are due), and about 15 s for each run after a worker's
first, in which the worker's share is not used: 5 s to load while others do on two cores, up to 5 s
until the queue looks again, 4 s until the next run has started. At the end, a worker without a
further run leaves its share unused.

**At 10,000 accounts** of the same sizes there are 178,520 requests. At 100/s they take 30 minutes
at best, and the quota remains the limit. In runs of 125 accounts there would be 80, so 20 for each
of 4 workers, whose 15 s add 5 minutes; in runs of 500, one. Dagster's records take 60,000
events that the daemon writes before the runs start, half a second for a run of 125, and 60,000 that
the workers write after their loads, a second or two for such a run: a minute or two in all, most of
them while others read.

**The next limit**, under a larger quota, is the processor: a worker reads some 700 requests/s with
one core (workload L). 10,000 accounts in five minutes would take a quota of 600/s and one such
worker, or a share of it each for a few; then the daemon, which makes runs for some 250 accounts/s,
needs 40 s of these.

Without batches and a connection that stays open, which Dagster's own storage does not have, the
four runs side by side took 62 s each for their materialisations and 40 s for what is planned of a
set of accounts with gaps, and the whole 467 s."""

_DAY = """## A day in the life

A full sync under a quota of 84 requests a minute, which the API announces, a day after a sync
without one: 15 % of the campaigns have changed since. Time is compressed, also what the peers wait
after a refusal; hours are those of time that is not. The quota is announced as one of a second, in
which as many requests are admitted as in the time that it stands for.

- Where `reread_unchanged_days = 7`, lists below what has not changed are read every seventh day.
- dlt is its REST source, told to try again a thousand times.
- Airbyte's manifest has the quota as its `api_budget`."""

_PROFILE = """## Profile of our sync on workload L

By phase, from outside: the requests as the API saw them, Dagster's events, and the processor time
of the process. By area: 200 samples a second of what holds the interpreter (py-spy)."""

_BETWEEN = """### Between the two

What paid, by processor time of the threads that do it:

- One REST source for each level of lists serves all accounts, instead of one each: an eighth.
- dlt's pool of futures asks every pending request for each answer; ours is told, and the garbage
  collector looks rarely ([speedups.py](../analytics_assets/speedups.py), where each can be switched
  off).
- The path of `results` in an answer is compiled once: dlt would do so for each answer, which takes
  longer than all else.
- JSON is read by orjson: a twentieth. Long numbers, which it would round, are found without a
  regular expression: another fifteenth of the reading.
- The destination's configuration and capabilities are worked out once for each load.
- A DuckDB file is opened once for each load, and not for each step of it: half a second.
- Dagster's events are written in batches
  ([batches.py](../analytics_assets/dagster_backend/batches.py)): 750 materialisations take 0.4 s,
  instead of 9 s in SQLite and 24 s in PostgreSQL."""

"""Where the time of our sync goes."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contenders import OURS
from benchmarks.environments import python_of
from benchmarks.measuring import measure
from benchmarks.serving import Host

_SAMPLES_PER_SECOND = 200
_MATERIALISED = """
    SELECT min(timestamp), max(timestamp) FROM event_logs
    WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition IS NOT NULL
"""

# Whose time a sample is: that of the innermost frame that belongs to one of these.
_AREAS = {
    "JSON": r"/?json/",
    "Arrow and DuckDB": r"pyarrow/|rows/arrow\.py|destinations/impl/duckdb",
    "HTTP": r"requests/|urllib3/|http/client|http/cookiejar|email/|socket\.py|tenacity",
    "Dagster's records": r"sqlalchemy/|dagster/_core/storage|alembic/",
    "Dagster": r"dagster",
    "dlt's REST source": r"dlt/sources|jsonpath",
    "dlt": r"dlt/",
    "analytics-assets": r"analytics_assets/",
}
_IMPORTS = "_find_and_load "
_OTHER = "other"
_SHOWN_FUNCTIONS = 20

Table = list[list[str]]


@dataclass
class _Watch:
    """The processor time of a process over time, and when its assets were materialised."""

    moments: list[tuple[float, float]] = field(default_factory=list)
    materialised: tuple[float, float] | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, process: int, home: Path) -> None:
        if not self.moments:
            self.moments.append((time.monotonic(), 0.0))
            threading.Thread(target=self._sample, args=[process], daemon=True).start()
            return
        self._ended.set()
        with sqlite3.connect(home / "history" / "runs" / "index.db") as records:
            [first, last] = records.execute(_MATERIALISED).fetchone()
        self.materialised = (_monotonic(first), _monotonic(last))

    def cpu_at(self, moment: float) -> float:
        """Seconds of processor time that were used until then."""
        return max((cpu for at, cpu in self.moments if at <= moment), default=0.0)

    def _sample(self, process: int) -> None:
        ticks = os.sysconf("SC_CLK_TCK")
        while not self._ended.wait(0.01):
            try:
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                return
            self.moments.append((time.monotonic(), (int(fields[11]) + int(fields[12])) / ticks))


def phases(api: Host, rows: Mapping[str, int]) -> list[tuple[str, float, float]]:
    """The phases of a sync, one after the other: name, seconds, seconds of processor time."""
    watch = _Watch()
    run = measure(OURS, api, rows, watch)
    assert watch.materialised is not None
    ends = {
        "start: imports, Dagster's set-up": run.requests.first,
        "list of accounts: read, load, events; start of the sync's run": (
            run.requests.first_of_account
        ),
        "reading the accounts": run.requests.last,
        "loading": watch.materialised[0],
        "events": watch.materialised[1],
        "end": run.started + run.wall,
    }
    found = []
    begin, cpu_before = run.started, 0.0
    for name, moment in ends.items():
        end = max(begin, moment)  # a phase that overlaps with the one before takes no time
        cpu = run.cpu if name == "end" else watch.cpu_at(end)
        found.append((name, end - begin, cpu - cpu_before))
        begin, cpu_before = end, cpu
    return found


def areas(api: Host, rows: Mapping[str, int]) -> dict[str, Any]:
    """Samples of what holds the interpreter: by area, and by function."""
    py_spy = Path(python_of("profiler")).with_name("py-spy")
    with TemporaryDirectory() as folder:
        samples = Path(folder) / "samples"
        rate = ("--rate", str(_SAMPLES_PER_SECOND))
        # To stop the process for each sample would stop its threads one by one, and tell mostly of
        # the main thread; what is read while it runs is now and then torn, and left out.
        record = ("record", "--gil", "--nonblocking", *rate, "--format", "raw")
        profiled = replace(OURS, program=(str(py_spy), *record, "-o", str(samples), "--"))
        measure(profiled, api, rows)
        lines = samples.read_text(errors="replace").splitlines()
    by_area: Counter[str] = Counter()
    by_function: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if not count.isdigit():
            continue
        frames = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]
        by_area[_area(frames)] += int(count)
        for frame in set(frames):
            by_function[frame] += int(count)
    total = sum(by_area.values())
    ours = [name for name, _ in by_function.most_common() if _is_told(name)]
    return {
        "by_area": {name: count / total for name, count in by_area.most_common()},
        "by_function": {name: by_function[name] / total for name in ours[:_SHOWN_FUNCTIONS]},
    }


def tables(found: Mapping[str, Any]) -> dict[str, Table]:
    """What was found, as tables by title."""
    return {
        "By phase": [
            ["phase", "wall s", "CPU s"],
            *([name, f"{wall:.2f}", f"{cpu:.2f}"] for name, wall, cpu in found["phases"]),
        ],
        "By area": [
            ["area", "share"],
            *([name, f"{share:.0%}"] for name, share in found["areas"]["by_area"].items()),
        ],
        "By function, with all that it calls": [
            ["function", "share"],
            *(
                [f"`{name}`", f"{share:.0%}"]
                for name, share in found["areas"]["by_function"].items()
            ),
        ],
    }


def _area(frames: list[str]) -> str:
    if any(frame.startswith(_IMPORTS) for frame in frames):
        return "imports"
    for frame in reversed(frames):
        for name, pattern in _AREAS.items():
            if re.search(pattern, frame):
                return name
    return _OTHER


def _is_told(frame: str) -> bool:
    """Whether a function says something: not the frames around everything."""
    packages = "api|rows|warehouse|orchestration"
    return bool(re.search(rf"analytics_assets/({packages})|dlt/|store_event", frame))


def _monotonic(timestamp: str) -> float:
    """A moment of Dagster's records, by `time.monotonic`."""
    moment = datetime.fromisoformat(timestamp).replace(tzinfo=timezone.utc).timestamp()
    return moment - time.time() + time.monotonic()

"""What was measured, kept in a file: each part with when, where and of which versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.environments import pinned_version

FILE = Path(__file__).resolve().parent / "results.json"
# what the benchmarks write themselves, part by part
_WRITTEN = ("results.json", "RESULTS.md", "growth.svg")
_PACKAGES = ("dagster", "dagster-dlt", "dlt", "duckdb", "pyarrow", "requests", "aiohttp")

Results = dict[str, dict[str, Any]]
"""By part: what was found, and under `circumstances` when, where and of which versions."""


def keep(part: str, found: Mapping[str, object]) -> Results:
    """Puts a part in the place of what was measured before; returns all parts."""
    kept: Results = json.loads(FILE.read_text()) if FILE.is_file() else {}
    kept[part] = {**found, "circumstances": _circumstances()}
    FILE.write_text(json.dumps(kept, indent=1) + "\n")
    return kept


def _circumstances() -> dict[str, str]:
    versions = [f"{package} {version(package)}" for package in _PACKAGES]
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB,"
        f" {platform.system()} {platform.release()}",
        "load": f"{os.getloadavg()[2]:.1f}",
        "versions": ", ".join(
            [
                f"Python {platform.python_version()}",
                *versions,
                f"airbyte-cdk {pinned_version('airbyte', 'airbyte-cdk')}",
            ]
        ),
    }


def _processor() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _commit() -> str:
    results = [f":(top,exclude)benchmarks/{name}" for name in _WRITTEN]
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", *results)
    return _git("describe", "--always") + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(FILE.parent), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()

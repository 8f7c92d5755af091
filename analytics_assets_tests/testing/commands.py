"""The commands, in this process or, as people run them, in one of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner, Result

from analytics_assets.cli import main

CHECKOUT = Path(__file__).resolve().parents[2]

_MATERIALIZE = [
    "-m",
    "dagster",
    "asset",
    "materialize",
    "-m",
    "analytics_assets.definitions",
    "--select",
]


def invoke(*arguments: str) -> Result:
    """Runs `analytics-assets` in this process; what it does not expect, it raises."""
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@dataclass
class Commands:
    """Runs commands in a folder, each in a process of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def analytics_assets(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "analytics_assets.cli", *arguments)

    def materialize(self, select: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(*_MATERIALIZE, select, *arguments)

    def start_materializing(self, select: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *_MATERIALIZE, select, *arguments],
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(CHECKOUT), **self.environment}


def start_sync(
    *arguments: str, stdout: int = subprocess.DEVNULL, **environment: str
) -> subprocess.Popen[str]:
    """Starts `analytics-assets sync`; what it says on standard error can be read."""
    return subprocess.Popen(
        [sys.executable, "-m", "analytics_assets.cli", "sync", *arguments],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )

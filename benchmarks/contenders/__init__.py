"""What is measured: each contender is a command that reads the API into `warehouse.duckdb`.

Every contender gets a token by OAuth2 client credentials and reads the same seven resources. They
find the API where the platform does, in `SOURCES__ANALYTICS__...`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.environments import python_of


@dataclass(frozen=True)
class Contender:
    """Something to measure.

    Attributes:
        name: What the command line calls it.
        title: What tables call it.
        arguments: What its Python runs.
        environment: The environment of its own, by its requirements file; None: the platform's.
        reads: Whether it reads the API. Then its rows are checked.
        once: Whether one run must do, because it takes minutes.
        program: What runs its Python, such as a profiler; nothing by default.
        settings: Environment variables besides those that lead to the API and the warehouse.
    """

    name: str
    title: str
    arguments: Sequence[str]
    environment: str | None = None
    reads: bool = True
    once: bool = False
    program: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def command(self) -> list[str]:
        """The command that runs it; makes its environment first."""
        python = python_of(self.environment) if self.environment else sys.executable
        return [*self.program, python, *self.arguments]


def _module(name: str) -> tuple[str, str]:
    return ("-m", f"benchmarks.contenders.{name}")


EMPTY_DAGSTER = Contender(
    "empty-dagster",
    "Dagster run with one empty asset",
    ("-m", "dagster", "asset", "materialize", "--select", "nothing", *_module("empty_dagster")),
    reads=False,
)
FLOOR = Contender("floor", "floor: async client, Arrow, DuckDB", _module("floor"))
_CLI = ("-m", "analytics_assets.cli")
OURS = Contender("sync", "analytics-assets sync", (*_CLI, "sync"))

DLT_PARALLEL = Contender(
    "dlt-parallel", "dlt REST source, 64 workers", (*_module("dlt_rest"), "--parallel")
)
DLT_REPORT = Contender(
    "dlt-report", "dlt REST source, incremental", _module("dlt_report"), once=True
)
"""A report alone, where the others read the lists."""

AIRBYTE = Contender(
    "airbyte", "Airbyte low-code CDK, 64", _module("airbyte"), environment="airbyte"
)

CONTENDERS = (
    EMPTY_DAGSTER,
    FLOOR,
    Contender("dlt-sequential", "dlt REST source, sequential", _module("dlt_rest"), once=True),
    DLT_PARALLEL,
    AIRBYTE,
    OURS,
)

AT_A_TERMINAL = (
    Contender("python", "Python's start", ("-c", "pass"), reads=False),
    Contender("help", "analytics-assets --help", (*_CLI, "--help"), reads=False),
    Contender(
        "location",
        "import of the code location",
        ("-c", "import analytics_assets.definitions"),
        reads=False,
    ),
    replace(OURS, title="analytics-assets sync, of one account"),
)
"""What people wait for, with an API of one account."""


def variant(contender: Contender, how: str, settings: Mapping[str, str]) -> Contender:
    """The contender with other settings; `how` is said behind its title."""
    return replace(contender, title=contender.title + how, settings=settings)

"""The benchmarks' contenders, those that need no environment of their own, on a tiny workload."""

from __future__ import annotations

import pytest

from benchmarks import hourly
from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.measuring import measure
from benchmarks.serving import serving
from benchmarks.workloads import SMOKE


@pytest.mark.process
@pytest.mark.parametrize(
    "contender",
    [each for each in CONTENDERS if each.environment is None],
    ids=lambda contender: contender.name,
)
def test_contenders_get_all_rows(contender: Contender) -> None:
    with serving(SMOKE) as api:
        measured = measure(contender, api, api.rows())

    assert measured.wrong_rows == {}
    assert measured.requests.total >= (SMOKE.requests if contender.reads else 0)


@pytest.mark.process
def test_an_hourly_update_leaves_as_many_rows_as_there_were() -> None:
    steps = list(hourly.measured(hourly.SMOKE, {"DuckDB": hourly.in_file}))

    assert len(steps) == 4  # of ours and of dlt: a first load and an update
    assert [step["wrong_rows"] for step in steps] == [{}] * 4
    assert all(step["rows"] for step in steps)

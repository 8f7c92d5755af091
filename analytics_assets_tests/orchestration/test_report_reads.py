"""What a run tells of a report's windows."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.api.report_reading import ReportRead
from analytics_assets.api.request_counts import AccountRequests
from analytics_assets.days import Window
from analytics_assets.orchestration.report_reads import _spent
from analytics_assets.rows.account_rows import AccountRows, ResourceRows

TODAY = Window(date(2026, 1, 31), date(2026, 1, 31))


@pytest.mark.parametrize(
    ("columns", "spent"),
    [
        ({"spent": [1.5, None, 2.0]}, 3.5),
        ({"spent": [None]}, 0),
        ({"visits": [1]}, 0),  # a report of something else
    ],
)
def test_what_a_window_spent(tmp_path: Path, columns: dict[str, list[float]], spent: float) -> None:
    table = pa.table({name: pa.array(values, pa.float64()) for name, values in columns.items()})
    with pa.ipc.new_stream(str(tmp_path / "rows"), table.schema) as writer:
        writer.write_table(table)
    rows = AccountRows("acme", {"visits_by_day": ResourceRows(tmp_path / "rows", rows=1)})
    read = AccountRead(rows, [], AccountRequests(), 0.0)
    assert _spent(ReportRead("visits_by_day", TODAY, read, None)) == spent

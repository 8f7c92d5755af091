"""The log of a run as JSON, by what the page on maintenance puts into dagster.yaml."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result

from analytics_assets.dagster_backend.json_log import JsonFormatter
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT

PAGE = CHECKOUT / "docs" / "maintenance.md"


def test_a_run_logs_json_at_the_level(home: Path, api: SampleApi, sync: Callable[..., Result]):
    [snippet] = re.findall(r"^```yaml\n(python_logs:.*?)^```", PAGE.read_text(), re.M | re.S)
    yaml = (home / "dagster.yaml").read_text()
    failing, fine, *_ = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{failing}/*", value="403"))

    def lines(level: str) -> list[dict[str, Any]]:
        (home / "dagster.yaml").write_text(yaml + snippet.replace("INFO", level))
        result = sync("--account", failing, "--account", fine, "--resource", "audiences")
        assert result.exit_code == 1
        assert "Logging error" not in result.stderr
        return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]

    told = lines("INFO")
    [reading] = [line for line in told if line["message"] == "reading 2 accounts"]
    assert reading.keys() == {"time", "level", "logger", "message", "run_id", "job", "step"}
    assert (reading["level"], reading["job"]) == ("INFO", "sync")
    [failed] = [line for line in told if line.get("event") == "STEP_FAILURE"]
    assert f"{failing}: audiences: GET" in failed["message"]
    assert failed["run_id"] == reading["run_id"]
    assert {line["level"] for line in told} == {"INFO", "WARNING", "ERROR"}
    told = lines("WARNING")
    assert {line["level"] for line in told} == {"WARNING", "ERROR"}
    assert any(line["message"].startswith(f"{failing}: audiences: GET") for line in told)


def test_a_record_outside_of_a_run_has_its_exception():
    try:
        raise ValueError("of ours")
    except ValueError:
        record = logging.LogRecord("a", 40, "", 0, "it %s", ("failed",), sys.exc_info())
    line = json.loads(JsonFormatter().format(record))
    assert (line["logger"], line["level"], line["message"]) == ("a", "ERROR", "it failed")
    assert line["exception"].endswith("ValueError: of ours")

"""What `doctor` says of a dagster.yaml that is not ours."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics_assets.cli.home_settings import RULES, lacks
from analytics_assets_tests.testing.commands import CHECKOUT, invoke

OURS = ["dagster.yaml", "deploy/dagster.yaml", "deploy/dagster-fleet.yaml"]


def lacking(folder: Path, settings: Any) -> dict[str, str]:
    text = settings if isinstance(settings, str) else yaml.safe_dump(settings)
    (folder / "dagster.yaml").write_text(text)
    return {rule.path: advice for rule, advice in lacks(folder)}


@pytest.fixture
def ours() -> dict[str, Any]:
    return dict(yaml.safe_load((CHECKOUT / "dagster.yaml").read_text()))


@pytest.mark.parametrize("name", OURS)
def test_ours_lack_nothing(tmp_path: Path, name: str):
    assert lacking(tmp_path, (CHECKOUT / name).read_text()) == {}


@pytest.mark.parametrize("text", ["", "# nothing\n", "telemetry:\n  enabled: false\n"])
def test_a_stock_one_lacks_all_but_what_makes_no_sense_alone(tmp_path: Path, text: str):
    found = lacking(tmp_path, text)
    assert set(found) == {rule.path for rule in RULES if rule.within is None}
    assert found["concurrency.pools.default_limit"] == "set `concurrency.pools.default_limit` to 1"
    assert found["run_monitoring.enabled"] == "set `run_monitoring.enabled` to true"
    assert "`analytics-assets init` writes" in found["event_log_storage"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.path)
def test_each_that_is_missing_is_named(tmp_path: Path, ours, rule):
    settings = copy.deepcopy(ours)
    *above, last = rule.path.split(".")
    place = settings
    for key in above:
        place = place[key]
    del place[last]
    found = lacking(tmp_path, settings)
    assert rule.path in found
    assert set(found) <= {rule.path, *(other.path for other in RULES if other.within == rule.path)}


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("concurrency.pools.granularity", "op", True),
        ("run_monitoring.enabled", False, True),
        ("run_monitoring.enabled", {"env": "MONITORING"}, False),
        ("run_retries.retry_on_asset_or_op_failure", True, True),
        ("concurrency.pools.default_limit", 8, False),
        ("concurrency.runs.max_concurrent_runs", {"env": "RUNS"}, False),
        ("event_log_storage", {"module": "theirs"}, False),
    ],
)
def test_another_value(tmp_path: Path, ours, path: str, value: object, found: bool):
    *above, last = path.split(".")
    place = ours
    for key in above:
        place = place[key]
    place[last] = value
    assert (path in lacking(tmp_path, ours)) is found


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("event_log_storage", {"storage": {"sqlite": {"base_dir": "x"}}}),
        ("concurrency.runs.max_concurrent_runs", {"run_queue": {"max_concurrent_runs": 4}}),
        (
            "concurrency.runs.max_concurrent_runs",
            {"run_coordinator": {"config": {"max_concurrent_runs": 4}}},
        ),
    ],
)
def test_what_stands_elsewhere_is_not_missing(tmp_path: Path, path: str, instead: dict):
    assert path in lacking(tmp_path, {})
    assert path not in lacking(tmp_path, instead)


def test_a_lack_is_a_warning_and_no_failure(home: Path, doctor):
    assert doctor()["dagster.yaml"]["ok"] is True
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    checks = doctor()
    assert "dagster.yaml" not in checks
    warning = checks["dagster.yaml: granularity"]
    assert warning["ok"] is True
    assert warning["detail"] == "a run that waits for the warehouse holds a process"
    assert warning["advice"] == "set `concurrency.pools.granularity` to run"
    result = invoke("doctor")
    assert result.exit_code == 0
    assert "warn  dagster.yaml: granularity" in result.output
    assert result.output.splitlines()[-1] == f"nothing failed, {len(RULES) - 1} warnings"


def test_without_a_home_there_is_nothing_to_compare(home: Path, doctor, monkeypatch, tmp_path):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert doctor()["dagster.yaml"]["ok"] is None

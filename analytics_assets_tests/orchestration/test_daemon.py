"""The automation switched on in a Dagster that really runs: everything happens by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from dagster import DagsterInstance

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.testing.deployment import Deployment
from analytics_assets_tests.testing.records import states
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api
from analytics_assets_tests.testing.webhook import webhook

pytestmark = pytest.mark.process

# a bound for what happens within a minute on a quiet machine: a schedule fires on the minute
DEADLINE_SECONDS = 240

SETTINGS = {
    "ANALYTICS__AUTOMATION": "true",
    "ANALYTICS__SYNC_CRON": "0 0 29 2 *",
    "ANALYTICS__REFRESH_CRON": "* * * * *",
    "ANALYTICS__SENSOR_INTERVAL": "2",
    "ANALYTICS__ACCOUNT_RETRY_WAIT": "5",
    "ANALYTICS__ACCOUNT_RETRIES": "20",
    "SOURCES__ANALYTICS__MAX_RETRIES": "0",
}


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        with suppress(duckdb.Error):  # the run has the warehouse
            if condition():
                return
        time.sleep(0.5)
    raise AssertionError(f"{what} did not happen within {DEADLINE_SECONDS} s")


def reasons(instance: DagsterInstance) -> list[tuple[str, str]]:
    """Reason and status of the runs over accounts, oldest first."""
    runs = [run for run in instance.get_runs() if run.job_name == "sync"]
    return [(run.tags["analytics/reason"], run.status.value) for run in reversed(runs)]


def ended(instance: DagsterInstance, runs: int) -> bool:
    """Whether at least so many runs over accounts were started, and have ended."""
    statuses = [status for _, status in reasons(instance)]
    return len(statuses) >= runs and set(statuses) <= {"SUCCESS", "FAILURE"}


def expected(materialized: set[str], failed: set[str]) -> dict[str, tuple[set[str], set[str]]]:
    return dict.fromkeys(RESOURCES.account_lists, (materialized, failed))


def test_accounts_are_read_and_healed_with_no_human_act(tmp_path: Path, monkeypatch):
    data = SampleData.generate(accounts=2, campaigns=2, items=2)
    with SampleApi(data) as api, webhook() as hook:
        settings = {**SETTINGS, "ANALYTICS__ALERT_WEBHOOK_URL": hook.url}
        deployment = Deployment(tmp_path, api, settings)
        monkeypatch.setenv("DAGSTER_HOME", str(deployment.home))
        first, second = api.data.account_ids
        with deployment.serving(), DagsterInstance.get() as instance:
            until(lambda: ended(instance, 1), "the first sync of all accounts")
            assert states(instance) == expected({first, second}, set())
            assert_warehouse_equals_api(deployment.home, api.data)
            [(reason, status)] = reasons(instance)
            assert (reason[:12], status) == ("all accounts", "SUCCESS")

            # one of two new accounts is broken
            broken = "broken-account"
            api.behaviour.faults.append(Fault("status", f"/v1/{broken}/*/audiences*", value="500"))
            api.data.add_account(broken)
            sound = api.data.add_account()
            until(lambda: ended(instance, 2), "the first data of the new accounts")
            loaded = {first, second, sound, broken}
            assert states(instance) == {
                **expected(loaded, set()),
                "audiences": ({first, second, sound}, {broken}),
            }
            until(lambda: bool(hook.messages), "the alert")
            assert f"• {broken}: audiences: GET /v1/{broken}/" in hook.messages[0]

            api.behaviour.faults.clear()
            healed = expected({first, second, sound, broken}, set())
            until(lambda: states(instance) == healed, "the retry of the broken account")
            until(lambda: ended(instance, 3), "the end of that run")
            assert_warehouse_equals_api(deployment.home, api.data)

            # one run for each reason: all, new, and retries of which the last succeeded
            _, new, *retries = reasons(instance)
            assert new == ("new accounts", "FAILURE")
            assert retries[-1] == ("accounts that failed", "SUCCESS")
            assert set(retries[:-1]) <= {("accounts that failed", "FAILURE")}
            retried = {
                run.tags.get("dagster/partition")
                for run in instance.get_runs()
                if run.tags.get("analytics/reason") == "accounts that failed"
            }
            assert retried == {broken}

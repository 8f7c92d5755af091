"""Runs that are executed again, by the web server: each as people and Dagster itself start them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.testing.deployment import LOCATION, Deployment

SELECTOR = (
    f'{{repositoryLocationName: "{LOCATION}", repositoryName: "__repository__", jobName: "sync"}}'
)
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
SECONDS = 120


class Runs:
    """Runs of a deployment, started as the web UI starts them."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def launch(self, first: str, last: str) -> str:
        """A run over a range of accounts; its id, when it has ended."""
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        }
        listed = ", ".join(f'{{key: "{key}", value: "{value}"}}' for key, value in tags.items())
        return self._ended(
            "launchPipelineExecution(executionParams: {"
            f'selector: {SELECTOR}, runConfigData: {{}}, mode: "default",'
            f" executionMetadata: {{tags: [{listed}]}}}})"
        )

    def again(self, run_id: str, strategy: str) -> str:
        """A run that executes another one again; its id, when it has ended."""
        return self._ended(
            "launchPipelineReexecution(reexecutionParams: {"
            f'parentRunId: "{run_id}", strategy: {strategy}}})'
        )

    def status(self, run_id: str) -> str:
        found = self._deployment.graphql(
            f'{{runOrError(runId: "{run_id}") {{... on Run {{status}}}}}}'
        )
        return str(found["runOrError"]["status"])

    def newest(self) -> str:
        """The newest run over accounts."""
        found = self._deployment.graphql(
            '{runsOrError(filter: {pipelineName: "sync"}, limit: 1)'
            " {... on Runs {results {runId}}}}"
        )
        return str(found["runsOrError"]["results"][0]["runId"])

    def materialized(self, run_id: str) -> set[tuple[str, str]]:
        """The assets and partitions that the run has reported."""
        found = self._deployment.graphql(
            f'{{logsForRun(runId: "{run_id}") {{... on EventConnection {{events {{'
            " ... on MaterializationEvent {partition assetKey {path}}}}}}"
        )
        events = found["logsForRun"]["events"]
        return {(e["assetKey"]["path"][0], e["partition"]) for e in events if "assetKey" in e}

    def _ended(self, mutation: str) -> str:
        answer: Any = self._deployment.graphql(
            f"mutation {{{mutation} {{__typename ... on LaunchRunSuccess {{run {{runId}}}}"
            " ... on PythonError {message}}}"
        )
        [launched] = answer.values()
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = str(launched["run"]["runId"])
        deadline = time.monotonic() + SECONDS
        while self.status(run_id) not in ENDED:
            assert time.monotonic() < deadline, f"run {run_id} has not ended"
            time.sleep(0.2)
        return run_id


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[SampleApi, Deployment]]:
    """A deployment whose accounts were listed."""
    with SampleApi(SampleData.generate(accounts=4, campaigns=2, items=1)) as api:
        deployment = Deployment(tmp_path, api, {"SOURCES__ANALYTICS__MAX_RETRIES": "0"})
        assert deployment.sync("--resource", "accounts").returncode == 0
        with deployment.serving():
            yield api, deployment


def test_what_failed_is_read_again_and_nothing_else(
    served: tuple[SampleApi, Deployment],
) -> None:
    api, deployment = served
    runs, accounts = Runs(deployment), api.data.account_ids
    broken = accounts[1]
    path = f"/v1/{broken}/campaigns/"
    fault = Fault("status", path, value=503)
    api.behaviour.faults.append(fault)
    everything = {(name, account) for name in RESOURCES.account_lists for account in accounts}
    lost = {(name, broken) for name in ("campaigns", "campaign_items", "motion_ads")}

    def asked(start: Callable[[], str]) -> tuple[str, set[str]]:
        """A run, and what it asked the API for."""
        api.log.clear()
        run_id = start()
        return run_id, set(api.log.count_by_path()) - {"/oauth/token"}

    first, paths = asked(lambda: runs.launch(accounts[0], accounts[-1]))
    assert runs.status(first) == "FAILURE"
    assert runs.materialized(first) == everything - lost
    assert len(paths) > len(accounts)

    # while it is broken, by each way that there is: what was loaded before is not shown as failed
    again, paths = asked(lambda: runs.again(first, "FROM_FAILURE"))
    assert (runs.status(again), paths) == ("FAILURE", {path})
    assert runs.materialized(again) == everything - lost
    of_assets, paths = asked(lambda: runs.again(first, "FROM_ASSET_FAILURE"))
    assert (runs.status(of_assets), paths) == ("FAILURE", {path})
    assert {name for name, _ in runs.materialized(of_assets)} == {name for name, _ in lost}

    fault.times = fault.hits  # healed
    of_both, paths = asked(lambda: runs.again(again, "FROM_FAILURE"))
    assert runs.status(of_both) == "SUCCESS"
    assert all(asked_for.startswith(path) for asked_for in paths)
    assert runs.materialized(of_both) == lost
    whole, paths = asked(lambda: runs.again(first, "ALL_STEPS"))
    assert runs.status(whole) == "SUCCESS"
    assert runs.materialized(whole) == everything

"""Which runs can be removed, by records in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator

import dagster as dg
import pytest

from analytics_assets.factory import compose
from analytics_assets.orchestration import recorded_loads
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import keep_partitions
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.retention import expired_runs
from analytics_assets.settings import PlatformSettings
from analytics_assets_tests.testing.records import attempt, failure

NAMES = AssetNames()
LATER = time.time() + 1e6


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setattr(recorded_loads, "RECORDS_PER_QUERY", 1)
    with dg.DagsterInstance.ephemeral() as instance:
        keep_partitions(instance, ["acme", "globex"])
        yield instance


def expired(
    records: dg.DagsterInstance, before: float = LATER, names: AssetNames = NAMES
) -> set[str]:
    found = expired_runs(records, names, before)
    assert len(found) == len(set(found))
    return set(found)


def ended(
    records: dg.DagsterInstance,
    job: str = "sync",
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS,
    **tags: str,
) -> str:
    """A run of which nothing but itself is on record."""
    job_def = compose(PlatformSettings(), Progress()).resolve_job_def(job)
    told = {f"analytics/{name}": value for name, value in tags.items()}
    run = records.create_run_for_job(job_def, status=status, tags=told)
    return run.run_id


def test_the_latest_load_of_each_account_stays(records: dg.DagsterInstance):
    first = attempt(records, "acme", "campaigns")
    of_globex = attempt(records, "globex", "campaigns")
    second = attempt(records, "acme", "campaigns")
    newest = attempt(records, "acme", "campaigns")
    assert expired(records) == {first, second}
    assert expired(records, before=time.time() - 1e6) == set()
    attempt(records, "globex", "campaigns")
    assert expired(records) == {first, second, of_globex}
    assert newest not in expired(records)


def test_the_latest_attempt_that_failed_stays_beside_the_load_before(records: dg.DagsterInstance):
    told = failure("acme", "it broke off", "ReadError")
    load = attempt(records, "acme", "campaigns")
    first = attempt(records, "acme", "campaigns", failure=told)
    second = attempt(records, "acme", "campaigns", failure=told)
    attempt(records, "globex", "campaigns")
    assert expired(records) == {first}
    assert not {load, second} & expired(records)


def observed(records: dg.DagsterInstance, account: str | None) -> str:
    """A run that observes somebody else's asset."""

    @dg.op
    def observe(context) -> None:
        context.log_event(dg.AssetObservation("theirs", partition=account))

    @dg.job
    def observing() -> None:
        observe()

    return observing.execute_in_process(instance=records).run_id


def test_the_latest_observation_of_each_account_stays(records: dg.DagsterInstance):
    first, of_globex = observed(records, "acme"), observed(records, "globex")
    second = observed(records, "acme")
    newest = ended(records, "refresh_accounts")
    assert expired(records) == {first}
    assert not {of_globex, second, newest} & expired(records)


def test_the_latest_observation_of_a_whole_asset_stays(records: dg.DagsterInstance):
    first, second = observed(records, None), observed(records, None)
    assert expired(records) == {first}
    assert second not in expired(records)


def test_the_newest_run_of_each_job_stays(records: dg.DagsterInstance):
    jobs = ("sync", "refresh_accounts", "sync", "check", "sync")
    runs = [ended(records, job) for job in jobs]
    assert expired(records) == {runs[0], runs[2]}


def test_what_has_not_ended_stays(records: dg.DagsterInstance):
    ended(records, status=dg.DagsterRunStatus.STARTED)
    ended(records, status=dg.DagsterRunStatus.NOT_STARTED)
    canceled = ended(records, status=dg.DagsterRunStatus.CANCELED)
    ended(records)
    assert expired(records) == {canceled}


def test_a_run_stays_as_long_as_is_asked_for(records: dg.DagsterInstance):
    first = attempt(records, "acme", "campaigns")
    attempt(records, "acme", "campaigns")
    record = records.get_run_record_by_id(first)
    assert record is not None
    assert record.end_time is not None
    assert expired(records, before=record.end_time) == set()
    assert expired(records, before=record.end_time + 0.001) == {first}


def test_a_list_of_accounts_that_stays_keeps_the_sync_after_it(records: dg.DagsterInstance):
    of_old, newest = (ended(records, "refresh_accounts") for _ in range(2))
    after_old, after_newest = (ended(records, refresh=run_id) for run_id in (of_old, newest))
    ended(records)  # so that no sync stays as the newest of its job
    assert expired(records) == {of_old, after_old}
    assert after_newest not in expired(records)


def judged(
    records: dg.DagsterInstance, asset: str, check: str = "key_is_unique", *, breaks: bool = False
) -> str:
    """A run that judges a table by one check."""

    @dg.asset_check(asset=dg.AssetKey(asset), name=check)
    def judge() -> dg.AssetCheckResult:
        if breaks:
            raise dg.Failure("it broke off")
        return dg.AssetCheckResult(passed=True)

    selection = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(asset), check))
    job = dg.define_asset_job("judging", selection=selection)
    defs = dg.Definitions(asset_checks=[judge], jobs=[job])
    run = defs.resolve_job_def("judging").execute_in_process(instance=records, raise_on_error=False)
    return run.run_id


@pytest.mark.parametrize("asset", ["campaigns", "site_performance"])  # one that is not read now
def test_the_latest_judgement_stays(records: dg.DagsterInstance, asset: str):
    first, second = judged(records, asset), judged(records, asset)
    broken = judged(records, asset, breaks=True)
    newest = judged(records, "audiences")
    assert expired(records) == {first}
    assert not {second, broken, newest} & expired(records)


def test_the_latest_judgement_stays_of_what_is_skipped_now(records: dg.DagsterInstance):
    without_campaigns = AssetNames(resource_names=("accounts", "campaign_items"))
    kept = judged(records, "campaign_items", "parents_exist")
    judged(records, "audiences")
    assert kept not in expired(records, names=without_campaigns)

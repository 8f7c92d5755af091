"""Alerts word by word, of runs and checks that are on record in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from analytics_assets.factory import compose
from analytics_assets.orchestration.asset_checks import UNREAD
from analytics_assets.orchestration.progress import Progress
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.homes import use_settings
from analytics_assets_tests.testing.records import attempt, failure
from analytics_assets_tests.testing.webhook import Webhook, webhook

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
EITHER = ("every", "alone")
LINK = "https://dagster.example.com/analytics"


@pytest.fixture
def records() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as running:
        settings = {
            "DAGSTER_HOME": str(tmp_path),
            "ANALYTICS__ALERT_WEBHOOK_URL": running.url,
            "ANALYTICS__UI_URL": f"{LINK}/",
        }
        use_settings(monkeypatch, settings)
        yield running


def definitions() -> dg.Definitions:
    return compose(platform_settings(), Progress())


def tell_of_run(records: dg.DagsterInstance, run_id: str) -> str | None:
    """Ticks the sensor with a run that failed; why it told nobody, if it did not."""
    run = records.get_run_by_id(run_id)
    assert run is not None
    [entry] = records.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert entry.dagster_event is not None
    context = dg.build_run_status_sensor_context(
        "alert_on_failed_runs", entry.dagster_event, records, run
    ).for_run_failure()
    skipped = definitions().resolve_sensor_def("alert_on_failed_runs")(context)
    assert skipped is None or isinstance(skipped, dg.SkipReason)
    return skipped and skipped.skip_message


def tell_of_runs(records: dg.DagsterInstance, cursor: str | None) -> str | None:
    """Ticks the sensor of runs as Dagster's daemon does; its new cursor."""
    context = dg.build_sensor_context(instance=records, cursor=cursor)
    return definitions().resolve_sensor_def("alert_on_failed_runs").evaluate_tick(context).cursor


def tell_of_checks(records: dg.DagsterInstance, cursor: str | None) -> tuple[str | None, str]:
    """Ticks the sensor of checks; its new cursor, and what it says."""
    context = dg.build_sensor_context(instance=records, cursor=cursor)
    data = definitions().resolve_sensor_def("alert_on_failed_checks").evaluate_tick(context)
    return data.cursor, str(data.skip_message)


def begin(records: dg.DagsterInstance, *assets: str) -> dg.DagsterRun:
    selection = [dg.AssetKey(name) for name in assets]
    job = definitions().resolve_job_def("sync")
    return records.create_run_for_job(
        job.get_subset(asset_selection=set(selection)) if selection else job,
        asset_selection=frozenset(selection) if selection else None,
    )


def judge(
    records: dg.DagsterInstance,
    asset: str,
    check: str,
    found: str,
    *,
    severity: dg.AssetCheckSeverity = ERROR,
    passed: bool = False,
) -> None:
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=check,
        passed=passed,
        severity=severity,
        description=found,
        metadata={},
    )
    records.report_runless_asset_event(evaluation)


def test_a_run_of_a_job_is_told_with_its_cause(hook: Webhook, records: dg.DagsterInstance):
    run = begin(records)
    records.report_run_failed(run, "Run worker <died> & was gone.")
    assert tell_of_run(records, run.run_id) is None
    [message] = hook.messages
    assert message == (
        "*Run of sync failed*\n"
        "• the run ended without a cause: Run worker &lt;died&gt; &amp; was gone.\n"
        f"<{LINK}/runs/{run.run_id}|Open in Dagster>"
    )


@pytest.mark.parametrize("status", [404, 301])  # as from http:// to https://
def test_a_run_that_could_not_be_told_is_told_at_the_next_tick(
    hook: Webhook, records: dg.DagsterInstance, status: int
):
    cursor = tell_of_runs(records, None)
    for _ in range(2):
        records.report_run_failed(begin(records))
    hook.status = status
    with pytest.raises(dg.DagsterError, match=rf"^the alert webhook answers {status}$"):
        tell_of_runs(records, cursor)
    hook.status, refused = 200, hook.messages.pop()
    for _ in range(3):
        cursor = tell_of_runs(records, cursor)
    assert len(hook.messages) == 2
    assert hook.messages[0] == refused


def test_a_run_over_some_assets_names_them(hook: Webhook, records: dg.DagsterInstance):
    run = begin(records, "campaigns", "audiences")
    records.report_run_failed(run, "gone")
    assert tell_of_run(records, run.run_id) is None
    [message] = hook.messages
    assert message.startswith("*Run of sync failed (audiences, campaigns)*\n• the run ended")


@pytest.mark.parametrize(
    ("accounts", "rest"), [(20, []), (21, ["• and 1 more"]), (23, ["• and 3 more"])]
)
def test_a_long_list_is_cut(
    hook: Webhook, records: dg.DagsterInstance, accounts: int, rest: list[str]
):
    run = begin(records)
    failed = {
        f"a{number:02}": {"campaigns": {"cause": "it broke off", "error": "ReadError"}}
        for number in range(accounts)
    }
    records.add_dynamic_partitions("accounts", ["a00"])
    told = dg.Failure("many failed", metadata={"failed_partitions": failed})
    run_id = attempt(records, "a00", "campaigns", failure=told)
    # the run of a job that is ours, with what that step has told
    [step] = records.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert step.dagster_event is not None
    records.report_dagster_event(step.dagster_event, run.run_id)
    records.report_run_failed(run)
    assert tell_of_run(records, run.run_id) is None
    [message] = hook.messages
    lines = [f"• a{number:02}: it broke off" for number in range(20)]
    assert message.split("\n")[1:-1] == [*lines, *rest]


def test_a_run_of_others_over_our_assets_is_told(hook: Webhook, records: dg.DagsterInstance):
    @dg.asset
    def theirs() -> None: ...

    every = dg.Definitions(assets=[theirs], jobs=[dg.define_asset_job("every", "*")])
    alone = dg.Definitions(assets=[theirs], jobs=[dg.define_asset_job("alone", "theirs")])
    for defs in (dg.Definitions.merge(definitions(), every), alone):
        [job] = [job for job in defs.get_repository_def().get_all_jobs() if job.name in EITHER]
        run = records.create_run_for_job(job)
        records.report_run_failed(run, "gone")
        tell_of_run(records, run.run_id)
    [message] = hook.messages
    assert message.startswith("*Run of every failed*\n")


def test_a_run_of_others_is_told_to_nobody(hook: Webhook, records: dg.DagsterInstance):
    records.add_dynamic_partitions("accounts", ["acme"])
    run_id = attempt(records, "acme", "theirs", failure=failure("acme", "so", "ReadError"))
    skipped = tell_of_run(records, run_id)
    assert skipped == "__ephemeral_asset_job__ is not for the platform's assets"
    assert hook.messages == []


def test_failed_checks_are_told_errors_first(hook: Webhook, records: dg.DagsterInstance):
    cursor, said = tell_of_checks(records, None)
    assert said == "no check has failed since"
    judge(records, "campaigns", "fields_are_declared", "acme: <novel> (1)", severity=WARN)
    judge(records, "motion_ads", "key_is_unique", "acme: 2")
    judge(records, "campaigns", "key_is_unique", "acme: 3")
    judge(records, "audiences", "key_is_unique", "none", passed=True)
    judge(records, "audiences", UNREAD, "acme: it broke off")  # the alert on its run says so
    judge(records, "theirs", "key_is_unique", "no check of ours")
    cursor, said = tell_of_checks(records, cursor)
    assert said == "3 failed checks were posted"
    [message] = hook.messages
    title, *lines, link = message.split("\n")
    assert (title, lines) == (
        "*Checks failed*",
        [
            "• error: campaigns: key_is_unique: acme: 3",
            "• error: motion_ads: key_is_unique: acme: 2",
            "• warning: campaigns: fields_are_declared: acme: &lt;novel&gt; (1)",
        ],
    )
    assert link.startswith(f"<{LINK}/assets/")
    assert link.endswith("?view=checks|Open in Dagster>")

    assert tell_of_checks(records, cursor) == (cursor, "no check has failed since")
    judge(records, "audiences", "key_is_unique", "globex: 1")
    cursor, said = tell_of_checks(records, cursor)
    assert said == "1 failed checks were posted"
    assert len(hook.messages) == 2
    assert hook.messages[1] == (
        "*Checks failed*\n• error: audiences: key_is_unique: globex: 1\n"
        f"<{LINK}/assets/audiences?view=checks|Open in Dagster>"
    )


def test_a_check_that_failed_and_is_asked_again_is_told(hook: Webhook, records: dg.DagsterInstance):
    cursor, _ = tell_of_checks(records, None)
    judge(records, "campaigns", "key_is_unique", "acme: 3")
    begin(records)  # plans all checks of its assets
    _, said = tell_of_checks(records, cursor)
    assert said == "1 failed checks were posted"


def test_what_failed_before_the_first_tick_is_no_news(hook: Webhook, records: dg.DagsterInstance):
    judge(records, "campaigns", "key_is_unique", "acme: 3")
    cursor, said = tell_of_checks(records, None)
    assert said == "no check has failed since"
    assert tell_of_checks(records, cursor) == (cursor, said)
    assert hook.messages == []


def test_what_is_found_again_is_told_when_it_changes(hook: Webhook, records: dg.DagsterInstance):
    cursor, _ = tell_of_checks(records, None)
    for found in ("acme: 3", "acme: 3", "acme: 4", "acme: 4"):  # as by each run of a sync
        judge(records, "campaigns", "key_is_unique", found)
        cursor, _ = tell_of_checks(records, cursor)
    judge(records, "campaigns", "key_is_unique", "", passed=True)
    cursor, _ = tell_of_checks(records, cursor)
    judge(records, "campaigns", "key_is_unique", "acme: 4")
    tell_of_checks(records, cursor)
    told = [message.split("\n")[1].rpartition("_is_unique: ")[2] for message in hook.messages]
    assert told == ["acme: 3", "acme: 4", "acme: 4"]


def test_a_check_that_fails_after_the_clock_was_set_back_is_told(
    hook: Webhook, records: dg.DagsterInstance
):
    judge(records, "campaigns", "key_is_unique", "", passed=True)
    cursor, _ = tell_of_checks(records, None)
    with freeze_time(time.time() - 86_400):
        judge(records, "campaigns", "key_is_unique", "acme: 3")
    tell_of_checks(records, cursor)
    assert len(hook.messages) == 1


def test_a_cursor_of_an_older_version_has_all_that_fails_told(
    hook: Webhook, records: dg.DagsterInstance
):
    judge(records, "campaigns", "key_is_unique", "acme: 3")
    cursor, _ = tell_of_checks(records, "1795858305.8")
    assert len(hook.messages) == 1
    assert tell_of_checks(records, cursor) == (cursor, "no check has failed since")


def test_without_a_webhook_it_is_told_that_there_is_none(
    hook: Webhook, records: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("ANALYTICS__ALERT_WEBHOOK_URL")
    none = "there is nobody to tell: set ANALYTICS__ALERT_WEBHOOK_URL"
    run = begin(records)
    records.report_run_failed(run)
    assert tell_of_run(records, run.run_id) == none
    cursor, _ = tell_of_checks(records, None)
    judge(records, "campaigns", "key_is_unique", "acme: 3")
    # the cursor stays: they are told once there is one
    assert tell_of_checks(records, cursor) == (cursor, none)


@pytest.mark.parametrize("settings", [(), ("AUTOMATION",), ("WEBHOOK",), ("AUTOMATION", "WEBHOOK")])
def test_alerts_are_on_where_automation_is_and_somebody_listens(
    hook: Webhook, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
):
    if "AUTOMATION" in settings:
        monkeypatch.setenv("ANALYTICS__AUTOMATION", "true")
    if "WEBHOOK" not in settings:
        monkeypatch.delenv("ANALYTICS__ALERT_WEBHOOK_URL")
    for name in ("alert_on_failed_runs", "alert_on_failed_checks"):
        status = definitions().resolve_sensor_def(name).default_status.value
        assert status == ("RUNNING" if len(settings) == 2 else "STOPPED")

"""Alerts: what a person reads when a run or a check has failed."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import DagsterInstance

from analytics_assets.errors import AlertError
from analytics_assets.factory import compose
from analytics_assets.orchestration.progress import Progress
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.webhook import SECRET_PATH, Webhook, webhook


@pytest.fixture
def hook(home, monkeypatch) -> Iterator[Webhook]:
    with webhook() as running:
        monkeypatch.setenv("ANALYTICS__ALERT_WEBHOOK_URL", running.url)
        monkeypatch.setenv("ANALYTICS__UI_URL", "https://dagster.example.com/analytics/")
        yield running


def sensor(name: str) -> dg.SensorDefinition:
    return compose(platform_settings(), Progress()).resolve_sensor_def(name)


def tick_failed_run(instance: DagsterInstance) -> dg.SkipReason | None:
    run = instance.get_runs(limit=1)[0]
    types = {dg.DagsterEventType.RUN_FAILURE}
    event = instance.all_logs(run.run_id, of_type=types)[0].dagster_event
    assert event is not None
    context = dg.build_run_status_sensor_context(
        "alert_on_failed_runs", event, instance, run
    ).for_run_failure()
    return sensor("alert_on_failed_runs")(context)  # type: ignore[return-value]


def tick_checks(instance: DagsterInstance, cursor: str | None) -> str | None:
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    return sensor("alert_on_failed_checks").evaluate_tick(context).cursor


def test_a_failed_run_is_told_with_account_asset_error_and_link(
    hook: Webhook, sync, api: SampleApi, instance
):
    broken = api.data.account_ids[1]
    api.behaviour.faults.append(Fault("status", f"/v1/{broken}/campaigns/", value="403"))
    assert sync("--resource", "campaigns").exit_code == 1
    tick_failed_run(instance)
    [message] = hook.messages
    run_id = instance.get_runs(limit=1)[0].run_id
    assert message.startswith("*Run of sync failed (campaigns)*\n")
    assert f"• {broken}: campaigns: GET /v1/{broken}/campaigns/ answers 403" in message
    assert message.endswith(
        f"<https://dagster.example.com/analytics/runs/{run_id}|Open in Dagster>"
    )


def test_a_run_that_failed_as_a_whole_is_told_with_its_cause(
    hook: Webhook, sync, instance, monkeypatch
):
    monkeypatch.setenv("SOURCES__ANALYTICS__CLIENT_SECRET", "not-the-secret")
    assert sync().exit_code == 1
    tick_failed_run(instance)
    [message] = hook.messages
    assert "refuses the credentials (401)" in message
    assert "not-the-secret" not in message


def test_runs_of_a_location_that_embeds_the_platform_are_not_ours(hook: Webhook, instance):
    @dg.op
    def fails() -> None:
        raise ValueError

    job = dg.JobDefinition(name="theirs", graph_def=dg.GraphDefinition("theirs", node_defs=[fails]))
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    skipped = tick_failed_run(instance)
    assert skipped is not None
    assert skipped.skip_message == "theirs is not for the platform's assets"
    assert hook.messages == []


def test_markup_in_what_the_api_said_is_shown_as_it_is(hook: Webhook, sync, api, instance):
    account = api.data.account_ids[0]
    api.behaviour.faults.append(Fault("html_200", f"/v1/{account}/campaigns/"))
    first = api.data.table("campaigns", [api.data.account_ids[1]])[0]
    api.data.update_row("campaigns", first["id"], {"a<b&c": 1}, account_id=first["account_id"])
    cursor = tick_checks(instance, None)
    assert sync().exit_code == 1
    tick_failed_run(instance)
    tick_checks(instance, cursor)
    assert len(hook.messages) == 2
    assert not [line for text in hook.messages for line in text.split("\n")[:-1] if "<" in line]


def test_failed_checks_are_told_once(hook: Webhook, sync, api: SampleApi, instance):
    cursor = tick_checks(instance, None)
    assert sync().exit_code == 0
    cursor = tick_checks(instance, cursor)
    assert hook.messages == []

    account = api.data.account_ids[0]
    row = api.data.table("campaigns", [account])[0]
    api.data.update_row("campaigns", row["id"], {"cpc": "0.5", "novel": 1}, account_id=account)
    assert sync("--account", account).exit_code == 0
    cursor = tick_checks(instance, cursor)
    [message] = hook.messages
    assert f"• error: campaigns: types_are_as_declared: {account}: cpc__v_text (1)" in message
    assert f"• warning: campaigns: fields_are_declared: {account}: novel (1)" in message
    assert message.endswith("/assets/campaigns?view=checks|Open in Dagster>")
    tick_checks(instance, cursor)
    assert len(hook.messages) == 1


def test_what_failed_before_is_no_news(hook: Webhook, sync, api: SampleApi, instance):
    account = api.data.account_ids[0]
    row = api.data.table("campaigns", [account])[0]
    api.data.update_row("campaigns", row["id"], {"cpc": "0.5"}, account_id=account)
    assert sync().exit_code == 0
    cursor = tick_checks(instance, None)
    tick_checks(instance, cursor)
    assert hook.messages == []


def test_what_the_alert_on_its_run_tells_is_not_told_twice(
    hook: Webhook, sync, api: SampleApi, instance
):
    broken, sound, _ = api.data.account_ids
    cursor = tick_checks(instance, None)
    api.behaviour.faults.append(Fault("status", f"/v1/{broken}/campaigns/", value="403"))
    assert sync("--account", broken).exit_code == 1
    assert sync("--account", sound).exit_code == 0  # the check still names the other
    tick_checks(instance, cursor)
    assert hook.messages == []


def test_an_alert_that_is_not_taken_is_sent_again_and_shows_no_secret(
    hook: Webhook, sync, api: SampleApi, instance, caplog
):
    caplog.set_level(logging.DEBUG)
    cursor = tick_checks(instance, None)
    account = api.data.account_ids[0]
    row = api.data.table("campaigns", [account])[0]
    api.data.update_row("campaigns", row["id"], {"cpc": "0.5"}, account_id=account)
    assert sync().exit_code == 0
    hook.status = 404
    with pytest.raises(AlertError, match=r"^the alert webhook answers 404$"):
        tick_checks(instance, cursor)
    hook.status = 200
    tick_checks(instance, cursor)
    assert len(hook.messages) == 2
    assert SECRET_PATH not in caplog.text


def test_a_webhook_that_cannot_be_reached_shows_no_secret(
    home, sync, instance, monkeypatch, caplog
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ANALYTICS__ALERT_WEBHOOK_URL", f"http://127.0.0.1:9{SECRET_PATH}")
    monkeypatch.setenv("SOURCES__ANALYTICS__CLIENT_SECRET", "wrong")
    assert sync().exit_code == 1
    with pytest.raises(dg.DagsterError, match=r"cannot be reached \(ConnectionError\)") as caught:
        tick_failed_run(instance)
    assert SECRET_PATH not in caplog.text + str(caught.value)


def test_without_a_webhook_the_tick_says_how_to_set_one(home, sync, instance, monkeypatch):
    monkeypatch.setenv("SOURCES__ANALYTICS__CLIENT_SECRET", "wrong")
    assert sync().exit_code == 1
    skipped = tick_failed_run(instance)
    assert skipped is not None
    assert "ANALYTICS__ALERT_WEBHOOK_URL" in str(skipped.skip_message)

"""Assets of users, downstream of ours, in the same run: after their parents, or not at all."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from analytics_assets.factory import compose
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import ACCOUNT_PARTITIONS, run_target
from analytics_assets.orchestration.progress import Progress
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import platform_settings

Run = Callable[..., dg.ExecuteInProcessResult]


@dg.asset(
    deps=["campaigns"],
    partitions_def=ACCOUNT_PARTITIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def spend(context: dg.AssetExecutionContext) -> None:
    """Tells of which accounts it was made."""
    context.log.info(f"spend of {', '.join(context.partition_keys)}")


@pytest.fixture
def run(synced: Path, instance: dg.DagsterInstance) -> Run:
    """Materialises campaigns, audiences and what a user has downstream of campaigns."""
    names = AssetNames()
    definitions = dg.Definitions.merge(
        compose(platform_settings(), Progress()), dg.Definitions(assets=[spend])
    )
    selection = [*names.keys(["campaigns", "audiences"]), spend.key]
    job = definitions.get_repository_def().get_implicit_global_asset_job_def()

    def execute(*accounts: str) -> dg.ExecuteInProcessResult:
        target = run_target(instance, names.accounts_op, accounts)
        return job.execute_in_process(
            instance=instance,
            run_config={"ops": target.ops},
            tags=target.tags,
            asset_selection=selection,
            raise_on_error=False,
        )

    return execute


def materialized(result: dg.ExecuteInProcessResult) -> list[tuple[str, str | None]]:
    """Assets and partitions, in the order in which they were made."""
    events = result.get_asset_materialization_events()
    return [(event.asset_key.to_user_string(), event.partition) for event in events]  # type: ignore[union-attr]


@pytest.mark.parametrize("chosen", [[1], [0, 1], [0, 2]], ids=["one", "range", "with a gap"])
def test_it_runs_after_its_parent(
    run: Run, api: SampleApi, instance: dg.DagsterInstance, chosen: list[int]
) -> None:
    accounts = [api.data.account_ids[place] for place in chosen]
    result = run(*accounts)
    assert result.success
    ours = [(name, account) for name in ("audiences", "campaigns") for account in accounts]
    made = materialized(result)
    assert sorted(made[: len(ours)]) == ours
    # Dagster has no name for a set with gaps: what is downstream is for the run's own partition
    theirs = accounts if chosen != [0, 2] else accounts[:1]
    assert sorted(made[len(ours) :]) == [("spend", account) for account in theirs]
    messages = [entry.message for entry in instance.all_logs(result.run_id)]
    assert not [message for message in messages if "expected outputs" in message]


def test_it_is_skipped_where_an_account_fails(
    run: Run, api: SampleApi, instance: dg.DagsterInstance
) -> None:
    first, second, _ = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{second}/campaigns/", value=403))
    result = run(first, second)
    assert not result.success
    assert ("campaigns", first) in materialized(result)
    assert "spend" not in {name for name, _ in materialized(result)}
    messages = [entry.message for entry in instance.all_logs(result.run_id)]
    assert any("Dependencies for step spend failed: ['account_resources']" in m for m in messages)

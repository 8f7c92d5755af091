"""A worker of the fleet: `celery -A analytics_assets.dagster_backend.celery_worker worker`.

Broker and settings are those of the run launcher in `dagster.yaml`, so that both sides agree.
"""

from __future__ import annotations

import dagster as dg
from dagster_celery.tasks import create_execute_job_task

from analytics_assets.dagster_backend.celery_launcher import FleetRunLauncher


def _launcher() -> FleetRunLauncher:
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
    if not isinstance(launcher, FleetRunLauncher):
        raise TypeError("dagster.yaml in DAGSTER_HOME names no FleetRunLauncher as run_launcher")
    return launcher


app = _launcher().celery
create_execute_job_task(app)

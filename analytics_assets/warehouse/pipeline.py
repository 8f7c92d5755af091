"""dlt pipelines, each with a working folder of its own."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Final

import dlt
from dlt import Pipeline
from dlt.common.warnings import DltDeprecationWarning
from dlt.load import load as load_module

from analytics_assets.lookup import PIPELINE_NAME
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.destination import make_destination

_NO_NEWS: Final = (
    "several column hints were different",  # a json column arrives as Arrow text, as it should
    "Due to normalization dataset name got changed",
    "was not found in the destination",  # someone has dropped dlt's own tables: they are made anew
    "Failed to create trace dump",  # on a full disk, whose load fails: nobody reads what dlt traces
)


def make_pipeline(settings: PlatformSettings, folder: Path) -> Pipeline:
    """A pipeline that works in `folder`; dlt restores its schema from the destination."""
    _quieten_dlt()
    pipeline: Pipeline = dlt.pipeline(
        PIPELINE_NAME,
        destination=make_destination(settings),
        dataset_name=settings.dataset_name,
        pipelines_dir=str(folder / "pipelines"),
    )
    return pipeline


class _KnownWarnings(logging.Filter):
    """Keeps back what is no news, and what our own error says in one line.

    With `runtime.log_level` at INFO or below, everything that dlt logs of a failed load is there.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if logging.getLogger("dlt").isEnabledFor(logging.INFO):
            return True
        is_of_a_job = record.pathname == load_module.__file__
        return not is_of_a_job and not any(text in record.getMessage() for text in _NO_NEWS)


def _quieten_dlt() -> None:
    logger = logging.getLogger("dlt")
    if not any(isinstance(known, _KnownWarnings) for known in logger.filters):
        logger.addFilter(_KnownWarnings())
    # dagster-dlt's use of dlt
    warnings.filterwarnings("ignore", "drop_pending_packages", DltDeprecationWarning)

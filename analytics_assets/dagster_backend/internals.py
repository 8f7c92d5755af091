"""Dagster's private names that other packages need: none of them imports `dagster._...` itself.

A test names what is missing, and who needs it, when a release of Dagster moves one.
"""

from __future__ import annotations

# `dagster.DataVersion` sets the version of an output, and nothing public that of its inputs.
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
    NULL_EVENT_POINTER,
)

# What `dagster.define_asset_job` returns: a type without a public name.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# `dagster.DagsterInstance` opens the records that a dagster.yaml names, and so makes them.
from dagster._core.instance.ref import InstanceRef

# dagster.yaml names it by its module, which no public name leads to.
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager

# By these tags one tells what a run repeats.
from dagster._core.storage.tags import ASSET_RESUME_RETRY_TAG, RESUME_RETRY_TAG

__all__ = [
    "ASSET_RESUME_RETRY_TAG",
    "CODE_VERSION_TAG",
    "DATA_VERSION_TAG",
    "INPUT_DATA_VERSION_TAG_PREFIX",
    "INPUT_EVENT_POINTER_TAG_PREFIX",
    "NULL_EVENT_POINTER",
    "RESUME_RETRY_TAG",
    "InstanceRef",
    "NoOpComputeLogManager",
    "UnresolvedAssetJobDefinition",
]

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

# Dagster's own way to pass by an output that materialises nothing: see `batches.outputs`.
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION

# What `dagster.define_asset_job` returns: a type without a public name.
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# `dagster.DagsterInstance` opens the records that a dagster.yaml names, and so makes them.
from dagster._core.instance.ref import InstanceRef

# By these tags one tells what a run repeats, and by the last the UI finds the job of a run that no
# code location has started.
from dagster._core.storage.tags import (
    ASSET_RESUME_RETRY_TAG,
    REPOSITORY_LABEL_TAG,
    RESUME_RETRY_TAG,
)

__all__ = [
    "ASSET_RESUME_RETRY_TAG",
    "CODE_VERSION_TAG",
    "DATA_VERSION_TAG",
    "INPUT_DATA_VERSION_TAG_PREFIX",
    "INPUT_EVENT_POINTER_TAG_PREFIX",
    "NULL_EVENT_POINTER",
    "REPOSITORY_LABEL_TAG",
    "RESUME_RETRY_TAG",
    "SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION",
    "InstanceRef",
    "UnresolvedAssetJobDefinition",
]

"""Staging datasets, into which dlt loads before it merges. Loads that share one lose rows."""

from __future__ import annotations

import secrets
from typing import Final

from analytics_assets.warehouse.statements import SqlClient

_TOKEN_BYTES: Final = 4

LONGEST_DATASET_NAME: Final = 63 - len("_staging_") - 2 * _TOKEN_BYTES
"""Characters for which PostgreSQL takes the names of staging datasets whole."""


def own_layout() -> str:
    """A `staging_dataset_name_layout` for dlt that no other run has."""
    return f"%s_staging_{secrets.token_hex(_TOKEN_BYTES)}"


def any_layout(staging_dataset_name: str) -> str:
    """A regular expression for what `own_layout` makes of the dataset of that staging dataset."""
    stem = staging_dataset_name[: -2 * _TOKEN_BYTES]
    return f"^{stem}[0-9a-f]{{{2 * _TOKEN_BYTES}}}$"


def drop(client: SqlClient, staging_dataset_name: str) -> None:
    """Drops a staging dataset, if there is one of that name."""
    with client.with_alternative_dataset_name(staging_dataset_name):
        if client.has_dataset():
            client.drop_dataset()

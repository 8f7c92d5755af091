"""The least that a Dagster run takes: one asset that does nothing, in this process."""

from __future__ import annotations

import dagster as dg


@dg.asset
def nothing() -> None:
    """Does nothing."""


defs = dg.Definitions(assets=[nothing], executor=dg.in_process_executor)

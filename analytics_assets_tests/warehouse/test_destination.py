"""The destination's configuration is worked out once, and shared by no two clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dlt.destinations.impl.duckdb.configuration import DuckDbClientConfiguration

from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.destination import default_duckdb, make_destination


@pytest.fixture
def configuration(home: Path) -> Any:
    """Gives the configuration of a client for a dataset."""
    destination = make_destination(platform_settings())

    def of(dataset_name: str) -> Any:
        return destination.configuration(
            DuckDbClientConfiguration()._bind_dataset_name(dataset_name=dataset_name)
        )

    return of


def test_each_client_has_connections_of_its_own(configuration: Any) -> None:
    first, second, third = (configuration("analytics").credentials for _ in range(3))
    assert first.database == second.database == third.database == str(default_duckdb())
    pools = [first.conn_pool, second.conn_pool, third.conn_pool]
    assert None not in pools
    assert len(set(map(id, pools))) == 3


def test_each_dataset_has_a_configuration_of_its_own(configuration: Any) -> None:
    names = [configuration(name).dataset_name for name in ("one", "other", "one")]
    assert names == ["one", "other", "one"]

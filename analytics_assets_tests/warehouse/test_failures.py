"""What people are told of an error that came of using the warehouse."""

from __future__ import annotations

import pytest

from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.failures import explain


class OperationalError(Exception):
    """As database drivers have it, with or without what the server says."""

    def __init__(self, message: str, sqlstate: str | None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "said"),
    [
        (None, "no connection to the warehouse (it failed)"),
        ("08006", "no connection to the warehouse (it failed)"),
        ("54000", "the warehouse could not be written: it failed"),
        ("53100", "the warehouse could not be written: it failed"),
        ("42501", "the warehouse refuses (it failed)"),
    ],
)
def test_what_the_server_refuses_is_no_lost_connection(
    home, monkeypatch, sqlstate: str | None, said: str
):
    monkeypatch.setenv("ANALYTICS__DESTINATION", "postgres")
    settings = platform_settings()
    assert explain(OperationalError("it failed", sqlstate), settings).startswith(said)

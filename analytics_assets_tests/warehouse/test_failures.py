"""What people are told of an error that came of using the warehouse."""

from __future__ import annotations

import pytest
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.failures import explain, tables_were_changed


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


def test_what_dlt_knows_of_a_table_that_is_not_there():
    error = DatabaseUndefinedRelation(OperationalError("no such table: a", None))
    error.__cause__ = OperationalError("no such table: a", None)
    assert tables_were_changed(error)
    assert not tables_were_changed(error.__cause__)

"""JSON text in databases of SQLAlchemy: what was text before is no JSON string after."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.destinations.impl.sqlalchemy.dialect import MysqlDialectCapabilities
from sqlalchemy.dialects import mysql

from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.destination import make_destination
from analytics_assets.warehouse.json_text import keep_json

TEXT = '{"digits": 1.50, "big": 1180591620717411303424, "quoted": "\\\\ \\" \' :x %s"}'


@pytest.mark.parametrize("value", [TEXT, '"text"', "null", None])
@pytest.mark.usefixtures("home")
def test_json_is_what_it_was(value: str | None):
    able = make_destination(PlatformSettings(destination="sqlalchemy")).capabilities()
    json_type: Any = able.get_type_mapper().to_destination_type(
        {"name": "v", "data_type": "json"}, {"name": "t"}
    )
    table = sa.Table("t", sa.MetaData(), sa.Column("v", json_type))
    with sa.create_engine("sqlite://").begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), [{"v": value}])
        found = connection.execute(sa.text("SELECT v, json_extract(v, '$.quoted') FROM t")).one()
        (column,) = sa.inspect(connection).get_columns("t")
    assert found == (value, "\\ \" ' :x %s" if value == TEXT else None)
    assert isinstance(column["type"], sa.JSON)


def test_other_types_are_those_of_the_database():
    able = DestinationCapabilitiesContext()
    able.dialect_capabilities = MysqlDialectCapabilities()
    able.decimal_precision = (30, 4)
    types = keep_json(able, mysql.dialect())
    assert types.dialect.name == "mysql"

    def spelled(data_type: Any) -> str:
        column: Any = {"name": "v", "data_type": data_type}
        return types.to_destination_type(column, {"name": "t"}).compile(mysql.dialect())

    found = {name: spelled(name) for name in ("double", "json", "decimal", "timestamp")}
    assert found == {
        "double": "DOUBLE",
        "json": "JSON",
        "decimal": "NUMERIC(30, 4)",
        "timestamp": "DATETIME(6)",
    }

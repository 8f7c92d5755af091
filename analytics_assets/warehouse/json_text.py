"""JSON text stays what it is in a database of SQLAlchemy: dlt would make a JSON string of it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.destinations.impl.sqlalchemy.type_mapper import SqlalchemyTypeMapper


class _JsonText(sa.TypeDecorator[str]):
    """The database's JSON, or text where it has none, for values that are JSON text already."""

    impl = sa.JSON
    cache_ok = True

    def bind_processor(self, dialect: sa.Dialect) -> None:
        return None


def keep_json(
    able: DestinationCapabilitiesContext, dialect: sa.Dialect | None = None
) -> SqlalchemyTypeMapper:
    """dlt's own mapper of types for the database, but for `json`; stands as its `type_mapper`."""
    known: Any = able.dialect_capabilities
    mapper: SqlalchemyTypeMapper = (
        known.type_mapper_class() if known is not None else SqlalchemyTypeMapper
    )(able, dialect)
    mapper.db_type_from_json_type = lambda column, table: _JsonText()  # type: ignore[method-assign]
    return mapper

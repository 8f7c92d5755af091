"""Whether the tables are as they are declared. Changes nothing."""

from __future__ import annotations

from analytics_assets.errors import AnalyticsError, WarehouseError
from analytics_assets.resources import RESOURCES
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.columns import stored_otherwise
from analytics_assets.warehouse.failures import explain
from analytics_assets.warehouse.location import is_duckdb, is_missing
from analytics_assets.warehouse.pipeline import make_pipeline, working_folder
from analytics_assets.warehouse.stored import (
    StoredTables,
    known_columns,
    refuse_changed_keys,
    stored_tables,
)


def inspect_tables(settings: PlatformSettings) -> str:
    """Says which tables there are, if rows can be loaded into them as they are declared.

    Raises:
        WarehouseError: A column is not stored as it is declared, or is not there and cannot be made
            anew; the message says what to do.
    """
    stored = _look(settings)
    refuse_changed_keys(stored, RESOURCES.values(), settings.dataset_name)
    if lines := stored_otherwise(known_columns(stored)):
        raise WarehouseError(
            f"{'; '.join(lines)}; what does not fit is in columns beside them: check README.md on"
            " how to change a column's type"
        )
    if stored.lacking:
        return f"{', '.join(stored.lacking)} not there any more; the next sync makes it anew"
    return f"{len(stored.columns)} tables, as they are declared" if stored.columns else "none yet"


def _look(settings: PlatformSettings) -> StoredTables:
    if is_missing(settings):
        return StoredTables({})
    with working_folder() as folder:
        try:
            pipeline = make_pipeline(settings, folder)
            with pipeline.sql_client() as client:
                stored = stored_tables(pipeline)
                if is_duckdb(settings):
                    # what a killed load left is for the next one to tidy up
                    client.execute_sql("PRAGMA disable_checkpoint_on_shutdown")
                return stored
        except AnalyticsError:
            raise
        except Exception as error:
            raise WarehouseError(explain(error, settings)) from error

"""From dlt resources to Dagster assets: every naming convention of the asset graph."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg
from dagster_dlt import DagsterDltTranslator
from dagster_dlt.constants import META_KEY_PIPELINE, META_KEY_SOURCE, META_KEY_TRANSLATOR
from dagster_dlt.translator import DltResourceTranslatorData

from analytics_assets.api.resources import RESOURCES
from analytics_assets.api.schema import Resource
from analytics_assets.settings import platform_settings

GROUP = "analytics"
_DLT_OBJECTS = (META_KEY_SOURCE, META_KEY_PIPELINE, META_KEY_TRANSLATOR)
OWNER = "team:data-engineering"


@dataclass
class AnalyticsTranslator(DagsterDltTranslator):
    """Names an asset as its resource, so that `--select campaigns` works."""

    destination: str = "duckdb"
    dataset_name: str = "analytics"

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        """The asset of a dlt resource, as the resource table declares it."""
        resource = RESOURCES[data.resource.name]
        return dg.AssetSpec(
            key=dg.AssetKey(resource.name),
            deps=[dg.AssetKey(resource.parent)] if resource.parent else [],
            group_name=GROUP,
            description=f"{resource.description}\n\nRead from `GET {resource.path}`.",
            kinds={"dlt", self.destination},
            owners=[OWNER],
            tags={"domain": "advertising", "scope": _scope(resource)},
            metadata={
                "dagster/column_schema": column_schema(resource),
                "dagster/table_name": f"{self.dataset_name}.{resource.name}",
                "dagster/storage_kind": self.destination,
                "endpoint": f"GET {resource.path}",
                "key": ", ".join(resource.key),
            },
        )


def translator() -> AnalyticsTranslator:
    """The translator for the destination and dataset of the settings."""
    settings = platform_settings()
    return AnalyticsTranslator(settings.destination, settings.dataset_name)


def without_dlt_objects(spec: dg.AssetSpec) -> dg.AssetSpec:
    """The spec without the objects that `dlt_assets` puts into its metadata.

    The UI shows them as unserializable; each run passes its own to dlt anyway.
    """
    metadata = {key: value for key, value in spec.metadata.items() if key not in _DLT_OBJECTS}
    return spec.replace_attributes(metadata=metadata)


def column_schema(resource: Resource) -> dg.TableSchema:
    """The declared columns of the resource's table."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable,
                    unique=resource.key == (column.name,),
                    other=["primary key"] if column.name in resource.key else [],
                ),
            )
            for column in resource.table_columns
        ]
    )


def _scope(resource: Resource) -> str:
    return "all-accounts" if resource.parent is None else "per-account"

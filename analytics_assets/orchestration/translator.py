"""From dlt resources to Dagster assets: what the asset graph says of each."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path

import dagster as dg
from dagster_dlt import DagsterDltTranslator
from dagster_dlt.constants import META_KEY_PIPELINE, META_KEY_SOURCE, META_KEY_TRANSLATOR
from dagster_dlt.translator import DltResourceTranslatorData

from analytics_assets import reports, resources
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.resources import RESOURCES
from analytics_assets.schema import ACCOUNT_ID, Resource
from analytics_assets.settings import ApiSettings, PlatformSettings
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.history import VALID_FROM, VALID_TO, VALIDITY

_DLT_OBJECTS = (META_KEY_SOURCE, META_KEY_PIPELINE, META_KEY_TRANSLATOR)
# Dagster's own limit
_SHORTEST_WINDOW = timedelta(minutes=1)


@dataclass
class AnalyticsTranslator(DagsterDltTranslator):
    """Names an asset as its resource, so that `--select campaigns` works."""

    settings: PlatformSettings = field(default_factory=PlatformSettings)
    names: AssetNames = field(default_factory=AssetNames)
    api_version: str = ApiSettings.api_version

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        """The asset of a dlt resource, as the resource table declares it."""
        resource, settings = self.names.resources[data.resource.name], self.settings
        names, path = self.names, resource.path_in(self.api_version)
        parent = names.parent(resource)
        scope = "all-accounts" if resource.parent is None else "per-account"
        old = max(timedelta(hours=settings.max_age_hours), _SHORTEST_WINDOW)
        return dg.AssetSpec(
            key=names.key(resource.name),
            deps=[names.key(parent)] if parent else [],
            group_name=settings.group_name,
            description=f"{resource.description}\n\nRead from `GET {path}`.",
            kinds={"dlt", settings.destination},
            owners=settings.owners,
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=2 * old, warn_window=old),
            tags={"domain": "advertising", "scope": scope},
            metadata={
                "dagster/column_schema": column_schema(resource),
                "dagster/column_lineage": column_lineage(resource, names),
                "dagster/code_references": code_references(resource),
                "dagster/table_name": f"{settings.dataset_name}.{resource.name}",
                "dagster/storage_kind": settings.destination,
                "endpoint": f"GET {path}",
                "key": ", ".join(resource.key),
            },
        )

    def history_specs(self, spec: dg.AssetSpec) -> list[dg.AssetSpec]:
        """The asset of a resource's history, by the resource's own; none where none is kept."""
        name = self.names.resource_name(spec.key)
        if name not in self.names.histories:
            return []
        resource, key = self.names.resources[name], self.names.history_key(name)
        lineage = {
            column.name: [dg.TableColumnDep(spec.key, column.name)]
            for column in resource.table_columns
        }
        description = f"{resource.history.description}\n\nWritten whenever `{name}` is."
        metadata = {
            **spec.metadata,
            "dagster/column_schema": history_columns(resource),
            "dagster/column_lineage": dg.TableColumnLineage(lineage),
            "dagster/table_name": f"{self.settings.dataset_name}.{resource.history.name}",
            "key": ", ".join([*resource.key, VALID_FROM]),
        }
        del metadata["endpoint"]
        return [
            spec.replace_attributes(
                key=key, deps=[spec.key], description=description, metadata=metadata
            )
        ]


def history_columns(resource: Resource) -> dg.TableSchema:
    """The columns of a resource's history: those of its table, and when a version was valid."""
    validity = [
        dg.TableColumn(
            name,
            "timestamp",
            description=description,
            constraints=dg.TableColumnConstraints(nullable=name == VALID_TO),
        )
        for name, description in VALIDITY.items()
    ]
    return dg.TableSchema(columns=[*column_schema(resource).columns, *validity])


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
                description=column.description or None,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable,
                    unique=resource.key == (column.name,),
                    other=["primary key"] if column.name in resource.key else [],
                ),
            )
            for column in resource.table_columns
        ]
    )


def stored_schema(columns: TableColumns) -> dg.TableSchema:
    """The columns of a table as it is: those declared, and those inferred."""
    declared = column_schema(columns.resource).columns
    inferred = columns.types.keys() - columns.declared.keys() - columns.others
    others = [dg.TableColumn(n, columns.types[n]) for n in columns.types if n in inferred]
    return dg.TableSchema(columns=[*declared, *others])


def column_lineage(resource: Resource, names: AssetNames) -> dg.TableColumnLineage:
    """The columns that a resource's rows take from the rows that they are asked for.

    Where the parent is no asset, the account is left, which its rows have of `accounts`.
    """
    parent = names.parent(resource)
    if parent is None:
        return dg.TableColumnLineage({})
    taken = {ACCOUNT_ID.name: ACCOUNT_ID.name}
    if resource.parent_column and parent == resource.parent:
        taken[resource.parent_column] = "id"
    key = names.key(parent)
    return dg.TableColumnLineage(
        {column: [dg.TableColumnDep(key, source)] for column, source in taken.items()}
    )


def code_references(resource: Resource) -> dg.CodeReferencesMetadataValue:
    """Where the resource is declared, if the package does, and the asset that loads its rows."""
    table = Path(resources.__file__ if resource.report is None else str(reports.__file__))
    assets = table.parent / "orchestration" / "assets.py"
    function = "def accounts_asset(" if resource.parent is None else "def account_assets("
    function = function if resource.report is None else "def report_assets("
    places = {"asset": (assets, _line(assets, function))}
    if resource.name in RESOURCES:
        entry = (table, _line(table, f'name="{resource.name}"'))
        places = {"resource table": entry, **places}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # nothing that our users can do about
        return dg.CodeReferencesMetadataValue(
            code_references=[
                dg.LocalFileCodeReference(file_path=str(path), line_number=number, label=label)
                for label, (path, number) in places.items()
            ]
        )


@cache  # dagster-dlt asks for the specs in every run
def _line(file: Path, text: str) -> int:
    lines = file.read_text(encoding="utf-8").splitlines()
    return next((number for number, line in enumerate(lines, 1) if text in line), 1)

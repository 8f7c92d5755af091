"""Airbyte's low-code CDK: a declarative manifest with the same seven streams.

What favours it: its records are taken in this process, without the JSON lines by which Airbyte's
sources hand them to a destination, and are written as the floor writes them.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import Any

from airbyte_cdk.models import (
    AirbyteStream,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    SyncMode,
    Type,
)
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)

from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.schema import Resource
from benchmarks.contenders import access
from benchmarks.contenders.tables import Row, write_tables

_JSON_TYPES = {
    "text": ["string"],
    "bigint": ["integer"],
    "double": ["number"],
    "bool": ["boolean"],
    "json": ["object", "array"],
}


def manifest() -> dict[str, Any]:
    """The manifest, from the resource table; it has the quota, where there is one to be told."""
    budget = {"api_budget": _api_budget(access.QUOTA)} if access.QUOTA else {}
    return {
        **budget,
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": [ACCOUNTS.name]},
        "concurrency_level": {
            "type": "ConcurrencyLevel",
            "default_concurrency": access.IN_FLIGHT,
            "max_concurrency": access.IN_FLIGHT,
        },
        "streams": [_stream(resource) for resource in RESOURCES.lists.values()],
    }


def _api_budget(quota: str) -> dict[str, Any]:
    rates = [{"limit": int(quota), "interval": "PT1S"}]
    matchers = [{"method": "GET"}]
    policy = {"type": "MovingWindowCallRatePolicy", "rates": rates, "matchers": matchers}
    return {"type": "HTTPAPIBudget", "policies": [policy]}


def read() -> dict[str, list[Row]]:
    """All rows of the API, by resource."""
    catalog = ConfiguredAirbyteCatalog(
        streams=[
            ConfiguredAirbyteStream(
                stream=AirbyteStream(
                    name=name, json_schema={}, supported_sync_modes=[SyncMode.full_refresh]
                ),
                sync_mode=SyncMode.full_refresh,
                destination_sync_mode=DestinationSyncMode.overwrite,
            )
            for name in RESOURCES.lists
        ]
    )
    source = ConcurrentDeclarativeSource(catalog, {}, [], source_config=manifest())
    rows: dict[str, list[Row]] = defaultdict(list)
    for message in source.read(logging.getLogger("airbyte"), {}, catalog, []):
        if message.type == Type.RECORD:
            rows[message.record.stream].append(message.record.data)
    return rows


def _stream(resource: Resource) -> dict[str, Any]:
    stream: dict[str, Any] = {
        "type": "DeclarativeStream",
        "name": resource.name,
        "primary_key": list(resource.key),
        "schema_loader": {"type": "InlineSchemaLoader", "schema": _schema(resource)},
        "retriever": _retriever(resource),
    }
    if resource is not ACCOUNTS:
        stream["transformations"] = [
            {
                "type": "AddFields",
                "fields": [
                    {
                        "type": "AddedFieldDefinition",
                        "path": ["account_id"],
                        "value": f"{{{{ stream_partition.{_account_id(resource)} }}}}",
                        "value_type": "string",
                    }
                ],
            }
        ]
    return stream


def _retriever(resource: Resource) -> dict[str, Any]:
    path = resource.path_in(access.API_VERSION).format(
        account_id=f"{{{{ stream_partition.{_account_id(resource)} }}}}",
        parent_id="{{ stream_partition.parent_id }}",
    )
    retriever: dict[str, Any] = {
        "type": "SimpleRetriever",
        "record_selector": {
            "type": "RecordSelector",
            "extractor": {"type": "DpathExtractor", "field_path": ["results"]},
        },
        "requester": {
            "type": "HttpRequester",
            "url_base": access.BASE_URL,
            "path": path,
            "http_method": "GET",
            "authenticator": {
                "type": "OAuthAuthenticator",
                "grant_type": "client_credentials",
                "token_refresh_endpoint": access.TOKEN_URL,
                "client_id": access.CLIENT_ID,
                "client_secret": access.CLIENT_SECRET,
            },
        },
    }
    if resource.parent is not None:
        of_accounts = resource.parent == ACCOUNTS.name
        retriever["partition_router"] = {
            "type": "SubstreamPartitionRouter",
            "parent_stream_configs": [
                {
                    "type": "ParentStreamConfig",
                    "parent_key": "account_id" if of_accounts else "id",
                    "partition_field": "account_id" if of_accounts else "parent_id",
                    "stream": _stream(RESOURCES[resource.parent]),
                }
            ],
        }
    return retriever


def _account_id(resource: Resource) -> str:
    return "account_id" if resource.parent == ACCOUNTS.name else "parent_slice.account_id"


def _schema(resource: Resource) -> dict[str, Any]:
    properties = {
        column.name: {"type": [*_JSON_TYPES[column.type], "null"]}
        for column in resource.table_columns
    }
    return {"type": "object", "properties": properties}


if __name__ == "__main__":
    write_tables(access.WAREHOUSE, read())

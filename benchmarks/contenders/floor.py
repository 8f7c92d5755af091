"""The floor: all requests as an async client sends them, 64 in flight, and one insert per table.

No retries, no pace, no checks, no history, no Dagster: what the same work takes at the least.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import aiohttp

from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.schema import Resource
from benchmarks.contenders import access
from benchmarks.contenders.tables import Row, write_tables


async def read() -> dict[str, list[Row]]:
    """All rows of the API, by resource."""
    rows: dict[str, list[Row]] = defaultdict(list)
    places = asyncio.Semaphore(access.IN_FLIGHT)
    connector = aiohttp.TCPConnector(limit=access.IN_FLIGHT)
    async with aiohttp.ClientSession(connector=connector) as session:
        session.headers["Authorization"] = f"Bearer {await _token(session)}"

        async def read_list(resource: Resource, parts: dict[str, str]) -> None:
            url = access.BASE_URL + resource.path_in(access.API_VERSION).format(**parts)
            async with places, session.get(url) as response:
                results: list[Row] = (await response.json())["results"]
            if resource is not ACCOUNTS:
                for row in results:
                    row["account_id"] = parts["account_id"]
            rows[resource.name] += results
            children = [
                child for child in RESOURCES.lists.values() if child.parent == resource.name
            ]
            await asyncio.gather(
                *(
                    read_list(child, {"account_id": row["account_id"], "parent_id": str(row["id"])})
                    for row in results
                    for child in children
                )
            )

        await read_list(ACCOUNTS, {})
    return rows


async def _token(session: aiohttp.ClientSession) -> str:
    form: dict[str, Any] = {
        "grant_type": "client_credentials",
        "client_id": access.CLIENT_ID,
        "client_secret": access.CLIENT_SECRET,
    }
    async with session.post(access.TOKEN_URL, data=form) as response:
        return str((await response.json())["access_token"])


if __name__ == "__main__":
    write_tables(access.WAREHOUSE, asyncio.run(read()))

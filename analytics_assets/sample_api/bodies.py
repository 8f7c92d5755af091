"""The bodies of lists, encoded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from analytics_assets.sample_api.data import ListKey, SampleData

_CACHE_BYTES = 128 * 2**20


class Page(NamedTuple):
    """One page of a list."""

    number: int
    """Counts from 1."""
    size: int


class Bodies:
    """Encodes lists; remembers those that never change, as long as there is room."""

    def __init__(self, data: SampleData) -> None:
        self._data = data
        self._cache: dict[tuple[ListKey, Page | None, bool], bytes] = {}
        self._room = _CACHE_BYTES

    def encoded(self, key: ListKey, page: Page | None, *, compressed: bool) -> bytes:
        """The body of a list, or of one page of it."""
        if self._data.is_changed(key):
            return self._encode(key, page, compressed)
        cached = self._cache.get((key, page, compressed))
        if cached is not None:
            return cached
        body = self._encode(key, page, compressed)
        # A list may have been changed meanwhile.
        if len(body) <= self._room and not self._data.is_changed(key):
            self._room -= len(body)
            self._cache[key, page, compressed] = body
        return body

    def _encode(self, key: ListKey, page: Page | None, compressed: bool) -> bytes:
        rows = self._data.rows(*key)
        metadata = {}
        if page is not None:
            metadata["total"] = len(rows)
            rows = rows[(page.number - 1) * page.size : page.number * page.size]
            metadata["count"] = len(rows)
        selector = self._data.resources[key.resource].data_selector
        body = encode_json(enveloped(rows, selector, {"metadata": metadata}))
        return gzip.compress(body, compresslevel=1) if compressed else body


def enveloped(rows: list[Any], data_selector: str, rest: Mapping[str, Any]) -> Any:
    """An answer with the rows where a selector finds them."""
    if data_selector == "$":
        return rows
    first, *others = data_selector.split(".")
    inner: Any = rows
    for name in reversed(others):
        inner = {name: inner}
    return {first: inner, **rest}


def encode_json(value: Any) -> bytes:
    """JSON in UTF-8; escaped where the text is not valid Unicode."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()

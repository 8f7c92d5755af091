"""The bodies of lists, of which those that never change are encoded once."""

from __future__ import annotations

import gzip
from typing import NamedTuple

from analytics_assets.sample_api.data import ListKey, SampleData
from analytics_assets.sample_api.encoding import encode_json, enveloped

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

"""What rows look like on their way: an answer around them, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


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

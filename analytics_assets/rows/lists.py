"""Lists below parent rows: what is on record of each, and which need not be read again.

A list is due once in every so many days, at a moment of its own: so the lists are spread evenly,
and one that was read late is no later the next time.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import orjson

from analytics_assets.rows.arrow import Row

_HASH_BYTES: Final = 16
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class ReadList:
    """A list as it was when it was read.

    Attributes:
        version: That of its parent row, by `parent_version`.
        read_at: When that was, in unix seconds.
        rows: The rows that the table has of it.
    """

    version: str
    read_at: float
    rows: int


@dataclass(frozen=True, slots=True)
class AccountLists:
    """The lists of one resource in an account, by the parent's id.

    Attributes:
        asked: The parents, as their rows name them, whose lists were asked for.
        read: Those of the lists that need not be read again; by the id as text.
        kept: The lists that were not asked for, so that their rows stay; by the id as text.
    """

    asked: Collection[Any] = ()
    read: Mapping[str, ReadList] = field(default_factory=dict)
    kept: Mapping[str, ReadList] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownLists:
    """The lists whose rows are in the tables as they were read.

    Attributes:
        days: After how many days a list is read again, though its parent row is unchanged.
        lists: By resource and account, and then by the parent's id as text.
    """

    days: int
    lists: Mapping[tuple[str, str], Mapping[str, ReadList]] = field(default_factory=dict)

    def unchanged(
        self, resource_name: str, account_id: str, parent_id: str, version: str, now: float
    ) -> ReadList | None:
        """The list, if its parent row is unchanged since and it is not due."""
        found = self.lists.get((resource_name, account_id), {}).get(parent_id)
        if found is None or not version or found.version != version:
            return None
        place = _place(resource_name, account_id, parent_id)
        period = self.days * _DAY
        was, is_now = ((at / period - place) // 1 for at in (found.read_at, now))
        # a clock that was put back tells nothing
        return found if was == is_now and found.read_at <= now else None


def parent_version(row: Row) -> str:
    """What changes whenever a value of a parent row does; empty for one that is nested too deep."""
    try:
        text = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a number of more than 64 bits, a lone surrogate, or many levels
        try:
            text = json.dumps(row, sort_keys=True).encode()
        except RecursionError:
            return ""
    return blake2b(text, digest_size=_HASH_BYTES).hexdigest()


def _place(*names: str) -> float:
    """Where in a period the list is due: from 0 to 1."""
    digest = blake2b("/".join(names).encode(errors="backslashreplace"), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32

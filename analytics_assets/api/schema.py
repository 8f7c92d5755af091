"""What a resource is: its path, parent, key and typed columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from analytics_assets.errors import DeclarationError

ColumnType = Literal["text", "bigint", "double", "bool", "json"]

_DECLARATION = re.compile(r"(?P<name>[a-z]\w*) (?P<type>[a-z]+)(?P<never_null> !)?")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, in dlt's own type names."""

    name: str
    type: ColumnType
    nullable: bool = True


ACCOUNT_ID = Column("account_id", "text", nullable=False)


def columns(declaration: str) -> tuple[Column, ...]:
    """Reads columns written as in the API's documentation: `id bigint !, name text`.

    Each column is `name type`, with a closing `!` where it is never null.

    Raises:
        DeclarationError: A column cannot be read, has an unknown type or is declared twice.
    """
    parsed: dict[str, Column] = {}
    for part in declaration.split(","):
        text = " ".join(part.split())
        match = _DECLARATION.fullmatch(text)
        if match is None or match["type"] not in get_args(ColumnType):
            raise DeclarationError(
                f"cannot read the column {text!r}: write `name type` or `name type !`,"
                f" where type is one of {', '.join(get_args(ColumnType))}"
            )
        if match["name"] in parsed:
            raise DeclarationError(f"the column {match['name']!r} is declared twice")
        column_type: ColumnType = match["type"]  # type: ignore[assignment]
        parsed[match["name"]] = Column(match["name"], column_type, match["never_null"] is None)
    return tuple(parsed.values())


@dataclass(frozen=True, slots=True)
class Resource:
    """One list endpoint of the API, and the table that it becomes.

    Attributes:
        name: Name of the dlt resource, the table and the Dagster asset.
        path: Path below the API's base URL. `{account_id}` stands for the account's slug,
            `{parent_id}` for the parent row's `id`.
        description: What a row is, for people who browse the assets.
        columns: The fields that the API documents.
        key: The columns that identify a row of the table.
        parent: The resource whose rows this one is asked for; None for the root.
        parent_column: The column with the parent row's `id`, where the path has `{parent_id}`.
        paged: Whether the API may send the list in pages.
    """

    name: str
    path: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("account_id", "id")
    parent: str | None = "accounts"
    parent_column: str | None = None
    paged: bool = False

    @property
    def table_columns(self) -> tuple[Column, ...]:
        """The table's columns: the API's own and, in each, `account_id`."""
        if ACCOUNT_ID in self.columns:
            return self.columns
        return (ACCOUNT_ID, *self.columns)

    @property
    def has_parent_rows(self) -> bool:
        """Whether it is asked for once for each row of its parent."""
        return "{parent_id}" in self.path

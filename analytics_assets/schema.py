"""What a resource is, a list or a report: its path, parent, key and typed columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from string import Formatter
from typing import Final, Literal, get_args

from analytics_assets.errors import DeclarationError

ColumnType = Literal["text", "bigint", "double", "bool", "json", "date"]

RESULTS: Final = "results"
"""Where an answer of the API has its rows."""

SURPLUS: Final = "surplus_fields"
"""The `json` column for fields that have no column: an object of field and value."""

TAKEN: Final = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", SURPLUS})
"""Columns that no field can have: that one, and what PostgreSQL keeps of each row itself."""

_ROOT: Final = "accounts"
_HISTORY: Final = "_history"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
# as dlt leaves it, as long as PostgreSQL takes it, and not as one beside another: `cpc__v_text`
_COLUMN: Final = re.compile(r"(?!.*__v_)(?=.{1,63}$)[a-z][a-z0-9_]*(?<!_)")
_KEY_TYPES: Final = ("text", "bigint", "date")
_DECLARATION: Final = re.compile(r"(?P<name>[a-z]\w*) (?P<type>[a-z]+)(?P<never_null> !)?")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: The API's name of the field.
        type: dlt's name of the type.
        nullable: Whether a row may lack it.
        description: What the values are, for people who browse the assets or the tables. Columns
            that differ in nothing else are equal.
    """

    name: str
    type: ColumnType
    nullable: bool = True
    description: str = field(default="", compare=False)


ACCOUNT_ID = Column(
    "account_id", "text", nullable=False, description="The account: accounts.account_id."
)


def columns(declaration: str) -> tuple[Column, ...]:
    """Reads columns, one a line: `name type: description`, and `name type !` if it is never null.

    Columns without a description may share a line: `id bigint !, name text`.

    Raises:
        DeclarationError: A column cannot be read, has an unknown type or is declared twice.
    """
    parsed: dict[str, Column] = {}
    for line in filter(None, map(str.strip, declaration.splitlines())):
        declared, colon, description = line.partition(":")
        for part in [declared] if colon else declared.removesuffix(",").split(","):
            column = _column(" ".join(part.split()), description.strip())
            if column.name in parsed:
                raise DeclarationError(f"the column {column.name!r} is declared twice")
            parsed[column.name] = column
    return tuple(parsed.values())


def _column(declared: str, description: str) -> Column:
    match = _DECLARATION.fullmatch(declared)
    if match is None or match["type"] not in get_args(ColumnType):
        raise DeclarationError(
            f"cannot read the column {declared!r}: write `name type` or `name type !`, then"
            " `: description` if you like, where type is one of"
            f" {', '.join(get_args(ColumnType))}"
        )
    column_type: ColumnType = match["type"]  # type: ignore[assignment]
    return Column(match["name"], column_type, match["never_null"] is None, description)


@dataclass(frozen=True, slots=True)
class Report:
    """How a report is asked for: by a window of days, first and last included.

    Attributes:
        day_column: The column with a row's day.
        first_day_parameter: What the window's first day is called in a request.
        last_day_parameter: What its last day is called.
        has_days: Whether its rows say their day. Where they do not, each day is asked for alone.
        name_column: A key column that the API does not send, made of `named_by`; None for none.
        named_by: The fields that name a row of a day. Of each group, the first with a value counts.
    """

    day_column: str = "date"
    first_day_parameter: str = "start_date"
    last_day_parameter: str = "end_date"
    has_days: bool = True
    name_column: str | None = None
    named_by: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """One endpoint of the API, which sends a list or a report, and the table that it becomes.

    Attributes:
        name: Name of the dlt resource, the table and the Dagster asset.
        path: Path below the API's base URL. `{version}` stands for the setting `api_version`,
            `{account_id}` for the account's slug, `{parent_id}` for the parent row's `id`.
        description: What a row is, for people who browse the assets.
        columns: The fields that the API documents.
        key: The columns that identify a row of the table.
        parent: The resource whose rows this one is asked for; None for the root.
        parent_column: The column with the parent row's `id`, where the path has `{parent_id}`.
        paged: Whether the API may send the list in pages.
        report: How it is asked for by days; None for a list.
        data_selector: Where an answer has the rows: names of fields with . between them, or $.
        is_open: Whether fields that it does not declare are no drift.
        is_history: Whether the table has every version of the rows of another.
    """

    name: str
    path: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("account_id", "id")
    parent: str | None = "accounts"
    parent_column: str | None = None
    paged: bool = False
    report: Report | None = None
    data_selector: str = RESULTS
    is_open: bool = False
    is_history: bool = False

    @property
    def table_columns(self) -> tuple[Column, ...]:
        """The table's columns: the API's own and, in each, `account_id`."""
        if ACCOUNT_ID in self.columns:
            return self.columns
        return (ACCOUNT_ID, *self.columns)

    @property
    def history(self) -> Resource:
        """The table of every version of its rows."""
        return replace(
            self,
            name=f"{self.name}{_HISTORY}",
            is_history=True,
            description=f"Every version of every row of {self.name}, with when it was valid."
            f" {self.description}",
        )

    def path_in(self, api_version: str) -> str:
        """The path in a version of the API, where the ids still have to be filled in."""
        return self.path.replace("{version}", api_version)

    @property
    def has_parent_rows(self) -> bool:
        """Whether it is asked for once for each row of its parent."""
        return "{parent_id}" in self.path


@dataclass(frozen=True)
class ResourceTable(Mapping[str, Resource]):
    """Resources by name: lists, each parent before its children, and then reports.

    Attributes:
        declared: The resources, in this order.
    """

    declared: tuple[Resource, ...]

    def __getitem__(self, name: str) -> Resource:
        """The resource of a name."""
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        """The names, in their order."""
        return iter(self._by_name)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.declared)

    @cached_property
    def _by_name(self) -> Mapping[str, Resource]:
        return {resource.name: resource for resource in self.declared}

    @cached_property
    def lists(self) -> Mapping[str, Resource]:
        """All but the reports."""
        return {name: resource for name, resource in self.items() if resource.report is None}

    @cached_property
    def reports(self) -> Mapping[str, Resource]:
        """What is asked for by days."""
        return {name: resource for name, resource in self.items() if resource.report is not None}

    @cached_property
    def account_lists(self) -> Mapping[str, Resource]:
        """The lists that are read account by account."""
        return {name: of for name, of in self.lists.items() if of.parent is not None}

    @cached_property
    def histories(self) -> Mapping[str, Resource]:
        """The resource of which a table has every version, by the table's name."""
        return {of.history.name: of for of in self.account_lists.values()}


def resource_of(table_name: str) -> str:
    """The resource of a table, which may be its history."""
    return table_name.removesuffix(_HISTORY)


def resource_table(declared: Iterable[Resource]) -> ResourceTable:
    """The resources as a table.

    Raises:
        DeclarationError: One cannot be read or loaded as it is declared.
    """
    table: dict[str, Resource] = {}
    for resource in declared:
        if (problem := next(problems(resource, table), None)) is not None:
            raise DeclarationError(
                f"resource {resource.name!r} {problem}: check its entry in"
                " analytics_assets/resources.py"
            )
        table[resource.name] = resource
    if _ROOT not in table:
        raise DeclarationError(f"no resource {_ROOT!r} is declared: set one in resources.py")
    return ResourceTable(tuple(sorted(table.values(), key=lambda each: each.report is not None)))


def problems(resource: Resource, before: Mapping[str, Resource]) -> Iterator[str]:
    """Why a resource cannot be read or loaded as it is declared, after those before it."""
    if not _NAME.fullmatch(resource.name):
        yield "needs a name of small letters, digits and _, the first a letter"
    if resource.name in before:
        yield "is declared twice"
    if resource.name != resource_of(resource.name):
        yield f"has a name that ends with {_HISTORY}, as those of histories do"
    if (resource.name == _ROOT) is not (resource.parent is None):
        yield f"needs a parent; only {_ROOT!r} has none"
    if resource.parent is not None:
        if resource.parent not in before:
            yield f"has the parent {resource.parent!r}, which is not declared before it"
        elif before[resource.parent].report is not None:
            yield f"has the parent {resource.parent!r}, which is a report"
    yield from _path_problems(resource, before)
    yield from _column_problems(resource)
    yield from _key_problems(resource)
    if resource.report is not None:
        yield from _report_problems(resource, resource.report)


def _path_problems(resource: Resource, before: Mapping[str, Resource]) -> Iterator[str]:
    try:
        parsed = [part for part in Formatter().parse(resource.path) if part[1] is not None]
        names = [f"{name}{':' if form else ''}{form}" for _, name, form, _ in parsed]
    except ValueError:
        yield f"has a path with a brace too many or too few, {resource.path!r}"
        return
    fields = [name for name in names if name != "version"]
    for name in fields:
        if name not in ("account_id", "parent_id"):
            yield (
                f"has {{{name}}} in its path, where only {{version}}, {{account_id}} and"
                " {parent_id} can be"
            )
    if not resource.path.startswith("/"):
        yield "has a path that does not begin with /"
    if resource.parent is None:
        if fields:
            yield f"has {{{fields[0]}}} in its path, though no account is known before it"
        return
    if resource.has_parent_rows:
        if resource.parent == _ROOT:
            yield (
                f"has {{parent_id}} in its path, but {_ROOT!r} is the parent: use {{account_id}},"
                " or name another"
            )
        if resource.parent_column is None:
            yield "has {parent_id} in its path, but no parent_column for it"
        if "id" not in _column_names(before[resource.parent]):
            yield f"has {{parent_id}} in its path, but {resource.parent!r} has no column 'id'"
        if resource.report is not None:
            yield "has {parent_id} in its path, though it is a report"
    if "account_id" not in fields:
        yield "has no {account_id} in its path, so that it would be the same for every account"


def _column_problems(resource: Resource) -> Iterator[str]:
    for name in _column_names(resource):
        if name in TAKEN or not _COLUMN.fullmatch(name):
            yield (
                f"has the column {name!r}: a declared column, or one of a key, needs a name of"
                " small letters, digits and _, with a letter first and no _ last, at most 63,"
                f" without __v_ in it, and none of {', '.join(sorted(TAKEN))}"
            )


def _key_problems(resource: Resource) -> Iterator[str]:
    names = _column_names(resource)
    if len(set(names)) < len(names):
        yield f"declares {ACCOUNT_ID.name!r} as something else than a text that is never null"
    types = {column.name: column.type for column in resource.table_columns}
    for name in resource.key:
        if types.get(name, "text") not in _KEY_TYPES:
            yield f"has {name!r} in its key, which is none of {', '.join(_KEY_TYPES)}"
    for role, columns in (("key", resource.key), ("parent_column", (resource.parent_column,))):
        for column in columns:
            if column is not None and column not in names:
                yield f"has the {role} {column!r}, which is none of its columns"
    if ACCOUNT_ID.name not in resource.key:
        yield f"has no {ACCOUNT_ID.name!r} in its key"
    if len(set(resource.key)) < len(resource.key):
        yield "has a column twice in its key"


def _report_problems(resource: Resource, report: Report) -> Iterator[str]:
    types = {column.name: column.type for column in resource.columns}
    if types.get(report.day_column) != "date":
        yield f"has the day column {report.day_column!r}, which is none of its columns of type date"
    for name in filter(None, (report.day_column, report.name_column)):
        if name not in resource.key:
            yield f"is a report without {name!r} in its key"


def _column_names(resource: Resource) -> list[str]:
    return [column.name for column in resource.table_columns]

"""Resources of the user's own: what the section `sources.analytics.resources` adds to the table.

An entry has the keys of dlt's REST configuration, and becomes a `Resource` as those of the package
are. Nothing of it is kept here: whoever asks for the settings is given the table.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final, get_args

from analytics_assets.errors import DeclarationError, SettingsError
from analytics_assets.lookup import Section, listed_texts, table_in
from analytics_assets.reports import TOTALS
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.schema import (
    ACCOUNT_ID,
    RESULTS,
    Column,
    ColumnType,
    Report,
    Resource,
    ResourceTable,
    columns,
    problems,
)

Entry = Mapping[str, Any]

TABLES: Final = ("resources", "resource_defaults")
"""The keys of the section under which entries stand, and what dlt has for all of them."""

_OF_DEFAULTS: Final = ("primary_key", "write_disposition")
_OF_ENDPOINT: Final = ("path", "data_selector")
_KEYS: Final = (
    *("path", "data_selector", "endpoint", "primary_key", "write_disposition"),
    *("parent", "parent_column", "columns", "description", "report"),
)
_OF_REPORT: Final = ("day_column", "first_day_parameter", "last_day_parameter", "has_days")
_OF_COLUMN: Final = ("data_type", "nullable", "description", "name")
# dlt would make another name of others; PostgreSQL has 63 characters, also for `<name>_history`
_NAME: Final = re.compile(r"(?=.{1,50}$)[a-z][a-z0-9]*(_[a-z0-9]+)*")
_SELECTOR: Final = re.compile(r"\$|\w+(\.\w+)*")
_ID: Final = "id"


def with_own_resources(section: Section) -> ResourceTable:
    """The package's resources, and those that a section of the settings adds or changes.

    Raises:
        SettingsError: An entry cannot be read; the message names its key, and what is allowed.
    """
    found = {name: (where, entry) for where, name, entry in _entries(section)}
    table = {
        name: _changed(resource, *found.pop(name)) if name in found else resource
        for name, resource in RESOURCES.items()
    }
    while found:
        name = _next(found, table)
        where, entry = found.pop(name)
        resource = _resource(where, name, entry, table)
        _refuse(where, resource, table)
        table[name] = resource
    return ResourceTable(tuple(sorted(table.values(), key=lambda each: each.report is not None)))


def refuse_same_paths(resources: ResourceTable, api_version: str) -> None:
    """Refuses resources between which a request cannot tell under this version of the API.

    Raises:
        SettingsError: There are two.
    """
    names: dict[str, str] = {}
    for resource in (*resources.values(), TOTALS):
        other = names.setdefault(_shape(resource.path_in(api_version)), resource.name)
        if other != resource.name:
            raise SettingsError(
                f"{other} and {resource.name} have the same path where api_version is"
                f" {api_version}: set another path for one of them"
            )


def _entries(section: Section) -> Iterable[tuple[str, str, Entry]]:
    """Each entry with where it stands and its name."""
    places = [(*section, key) for key in TABLES]
    found, defaults = map(table_in, places)
    where, of_all = map(".".join, places)
    _refuse_unknown(of_all, defaults, _OF_DEFAULTS)
    for name, entry in found.items():
        place = f"{where}.{name}"
        if _NAME.fullmatch(name) is None or name == TOTALS.name:
            raise SettingsError(
                f"{where} has the name {name!r}, which no table of its own can have: set one of"
                " small letters and digits, with single _ between them, at most 50, that begins"
                f" with a letter and is not {TOTALS.name}"
            )
        if not isinstance(entry, Mapping):
            raise SettingsError(f"{place} is no table: set {place}.path")
        yield place, name, _flat(place, {**defaults, **entry})


def _flat(where: str, entry: Entry) -> Entry:
    """The entry with what its endpoint says, and with every key known and of its type."""
    _refuse_unknown(where, entry, _KEYS)
    endpoint = entry.get("endpoint", {})
    endpoint = {"path": endpoint} if isinstance(endpoint, str) else endpoint
    _refuse_unknown(f"{where}.endpoint", endpoint, _OF_ENDPOINT)
    for key in endpoint.keys() & entry.keys():
        raise SettingsError(f"{where} has {key} twice: set {where}.endpoint.{key} or {where}.{key}")
    flat = {**{key: value for key, value in entry.items() if key != "endpoint"}, **endpoint}
    for key in ("path", "data_selector", "parent", "parent_column", "description"):
        if key in flat and not (isinstance(flat[key], str) and flat[key].strip()):
            raise SettingsError(f"{where}.{key} is no text: set it to one, in quotes")
    if flat.pop("write_disposition", "merge") != "merge":
        raise SettingsError(
            f"{where}.write_disposition is not merge: set it to merge, or remove it; each load"
            " replaces what was read of an account"
        )
    if "path" in flat:
        flat["path"] = _path(f"{where}.path", flat["path"])
    if _SELECTOR.fullmatch(flat.get("data_selector", RESULTS)) is None:
        raise SettingsError(
            f"{where}.data_selector is no path of field names: set it to one such as results or"
            " data.items, or to $ where the answer is the list itself"
        )
    return flat


def _path(where: str, path: str) -> str:
    """A path below the base URL; dlt takes it without its first slash, too."""
    if re.search(r"//|[?#\\\s]|/\.\.?(/|$)", path):
        raise SettingsError(
            f"{where} is no path below the base URL: it has no host, query or empty part: set"
            " it to one such as /{version}/{account_id}/publishers"
        )
    return path if path.startswith("/") else f"/{path}"


def _refuse_unknown(where: str, entry: Any, known: Collection[str]) -> None:
    """Refuses what is no table, or has another key than those.

    Raises:
        SettingsError: It does.
    """
    if not isinstance(entry, Mapping):
        raise SettingsError(f"{where} is no table: set some of {', '.join(known)} in it")
    for key in entry:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise SettingsError(
                f"there is no key {key!r} in [{where}]{meant}: set some of {', '.join(known)}"
            )


def _next(found: Mapping[str, tuple[str, Entry]], table: Mapping[str, Resource]) -> str:
    """An entry whose parent is known.

    Raises:
        SettingsError: There is none: a parent is unknown, or they go round in a circle.
    """
    for name, (where, entry) in found.items():
        parent = entry.get("parent", ACCOUNTS.name)
        if parent in table:
            return name
        if parent not in found:
            known = [*(n for n, of in table.items() if of.report is None), *found]
            raise SettingsError(
                f"{where}.parent is {parent!r}, which is no resource: set it to one of"
                f" {', '.join(each for each in known if each != name)}"
            )
    circle = ", ".join(sorted(found))
    where, _ = next(iter(found.values()))
    raise SettingsError(
        f"{where}.parent leads back to itself ({circle} are each below another): set it so that the"
        f" topmost is below {ACCOUNTS.name}"
    )


def _changed(resource: Resource, where: str, entry: Entry) -> Resource:
    """A resource of the package, which may have another path here, and nothing else.

    Raises:
        SettingsError: The entry says something else.
    """
    same: dict[str, list[Any]] = {
        "primary_key": [_ID, list(resource.key), [k for k in resource.key if k != ACCOUNT_ID.name]],
        "parent": [resource.parent],
        "parent_column": [resource.parent_column],
        "data_selector": [resource.data_selector],
    }
    for key, value in entry.items():
        if key != "path" and value not in same.get(key, []):
            raise SettingsError(
                f"{where}.{key} would change {resource.name}, which the package itself declares:"
                " set nothing but its path there, or give your resource another name"
            )
    changed = replace(resource, path=entry.get("path", resource.path))
    if _placeholders(changed.path) != _placeholders(resource.path):
        raise SettingsError(
            f"{where}.path has other placeholders than the package's own: set it to a path like"
            f" {resource.path}"
        )
    _refuse(where, changed, {name: of for name, of in RESOURCES.items() if name != changed.name})
    return changed


def _placeholders(path: str) -> set[str]:
    return set(re.findall(r"\{.*?\}", path)) - {"{version}"}


def _resource(where: str, name: str, entry: Entry, table: Mapping[str, Resource]) -> Resource:
    """The resource that an entry stands for.

    Raises:
        SettingsError: It lacks a path, or something in it cannot be read.
    """
    if "path" not in entry:
        raise SettingsError(f"{where} has no path: set {where}.path")
    path, parent = entry["path"], entry.get("parent", ACCOUNTS.name)
    below = "{parent_id}" in path and parent != ACCOUNTS.name
    column = entry.get("parent_column", f"{parent.removesuffix('s')}_id") if below else None
    report = _report(f"{where}.report", entry["report"]) if "report" in entry else None
    key, declared = _key(where, entry, report), _columns(f"{where}.columns", entry)
    if column is not None:
        ids = {c.name: c.type for c in table[parent].table_columns}
        text = f"The row that it belongs to: {parent}.id of the same account."
        declared.setdefault(column, Column(column, ids.get(_ID, "text"), False, text))
    if report is not None:
        declared.setdefault(report.day_column, Column(report.day_column, "date", False, "The day."))
    for part in key[1:]:
        declared.setdefault(part, Column(part, "text", False, "A part of the row's key."))
    return Resource(
        name=name,
        path=path,
        description=entry.get("description", f"Rows of {name}, as the settings declare them."),
        columns=tuple(declared.values()),
        key=key,
        parent=parent,
        parent_column=column,
        report=report,
        data_selector=entry.get("data_selector", RESULTS),
        is_open=True,
    )


def _key(where: str, entry: Entry, report: Report | None) -> tuple[str, ...]:
    """The key: first the account, in a report then the day."""
    given = entry.get("primary_key", [] if report else [_ID])
    names = listed_texts(given) if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() for n in names):
        raise SettingsError(f"{where}.primary_key is no name or list of names: set it to one")
    first = [ACCOUNT_ID.name, *([report.day_column] if report else [])]
    return tuple(dict.fromkeys([*first, *(str(name).strip() for name in names)]))


def _report(where: str, entry: Any) -> Report:
    _refuse_unknown(where, entry, _OF_REPORT)
    found = dict(entry)
    has_days = found.pop("has_days", True)
    if str(has_days).lower() not in ("true", "false"):
        raise SettingsError(f"{where}.has_days is neither true nor false: set it to one of them")
    for key, value in found.items():
        if not isinstance(value, str) or re.fullmatch(r"[A-Za-z][\w.-]*", value) is None:
            raise SettingsError(f"{where}.{key} is no name: set it to one such as start_date")
    return Report(**found, has_days=str(has_days).lower() == "true")


def _columns(where: str, entry: Entry) -> dict[str, Column]:
    """The declared columns by name: of one text, or of a table as dlt's hints are."""
    given = entry.get("columns", "")
    if isinstance(given, Mapping):
        return {name: _column(f"{where}.{name}", name, of) for name, of in given.items()}
    if not isinstance(given, str):
        raise SettingsError(f"{where} is neither a text nor a table: set it to one")
    try:
        return {column.name: column for column in columns(given)}
    except DeclarationError as error:
        raise SettingsError(f"{where}: {error}") from None


def _column(where: str, name: str, hints: Any) -> Column:
    """A column of dlt's hints, of which the type alone may stand as a text."""
    given = {"data_type": hints} if isinstance(hints, str) else hints
    _refuse_unknown(where, given, _OF_COLUMN)
    kind: Any = given.get("data_type")
    nullable = given.get("nullable", True)
    if kind not in get_args(ColumnType):
        raise SettingsError(
            f"{where} has the type {kind!r}: set it to one of {', '.join(get_args(ColumnType))}"
        )
    if not isinstance(nullable, bool) or given.get("name", name) != name:
        raise SettingsError(f"{where}: set `nullable` to true or false, and no other name")
    if re.fullmatch(r"[a-z]\w*", name) is None:
        raise SettingsError(f"{where}: set a name of small letters, digits and _, first a letter")
    return Column(name, kind, nullable, str(given.get("description", "")))


def _refuse(where: str, resource: Resource, table: Mapping[str, Resource]) -> None:
    """Refuses a resource that cannot be read or loaded.

    Raises:
        SettingsError: It cannot.
    """
    shapes = {_shape(other.path): other.name for other in (*table.values(), TOTALS)}
    if (other := shapes.get(_shape(resource.path))) is not None:
        raise SettingsError(f"{where}.path is that of {other}: set another")
    is_of_rows = resource.report is None and resource.parent not in (None, ACCOUNTS.name)
    if resource.report is not None and resource.data_selector == "$":
        raise SettingsError(f"{where}.data_selector of a report cannot be $: set it to a name")
    if is_of_rows and not resource.has_parent_rows:
        raise SettingsError(f"{where}.parent needs {{parent_id}} in the path: set it there")
    if (problem := next(problems(resource, table), None)) is not None:
        raise SettingsError(f"{where} {problem}: check its keys against docs/own-resources.md")


def _shape(path: str) -> str:
    """What two paths have in common between which a request cannot tell."""
    return re.sub(r"\{\w*\}", "{}", path.rstrip("/"))

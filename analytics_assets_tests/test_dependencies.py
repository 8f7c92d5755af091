"""pyproject.toml names what the package imports."""

from __future__ import annotations

import ast
import re
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files, requires

import pytest

from analytics_assets_tests.testing.commands import CHECKOUT

PACKAGE = CHECKOUT / "analytics_assets"


def imported_modules() -> dict[str, str]:
    """The third-party modules that the package imports, each with a file that does."""
    found: dict[str, str] = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            else:
                continue
            for name in names:
                found[name.partition(".")[0]] = str(file.relative_to(CHECKOUT))
    return {
        name: file
        for name, file in found.items()
        if name not in sys.stdlib_module_names and name != PACKAGE.name
    }


@pytest.fixture(scope="module")
def provided() -> set[str]:
    """The modules of the distributions that the package asks for, in its extras, too."""
    modules = set()
    for line in requires("analytics-assets") or []:
        # not every extra is installed
        with suppress(PackageNotFoundError):
            declared = files(re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0])
            modules |= {file.parts[0].removesuffix(".py") for file in declared or []}
    return modules


@pytest.mark.parametrize(("module", "file"), sorted(imported_modules().items()))
def test_what_is_imported_is_declared(module: str, file: str, provided: set[str]):
    assert module in provided, f"{file} imports {module}, which pyproject.toml does not name"

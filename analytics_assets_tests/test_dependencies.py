"""pyproject.toml names what the package imports."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions, requires

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


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def declared() -> set[str]:
    """The distributions that the installed package asks for, in its extras, too."""
    lines = requires("analytics-assets") or []
    return {normalised(re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0]) for line in lines}


@pytest.mark.parametrize(("module", "file"), sorted(imported_modules().items()))
def test_what_is_imported_is_declared(module: str, file: str, declared: set[str]):
    distributions = {normalised(name) for name in packages_distributions()[module]}
    assert distributions & declared, f"{file} imports {module}, which pyproject.toml does not name"

"""What `analytics-assets doctor` finds, by the name of the check."""

from __future__ import annotations

import json
from pathlib import Path

from analytics_assets.resources import RESOURCES
from analytics_assets_tests.testing.commands import invoke

SECRET = "a-secret-that-must-not-show"
ENDPOINTS = [f"endpoint {name}" for name in RESOURCES.account_lists]
API_CHECKS = ["token", "account list", *ENDPOINTS, "quota headers"]
WAREHOUSE_CHECKS = ["warehouse", "tables", "loads on record"]
CHILDREN = [name for name, resource in RESOURCES.account_lists.items() if resource.has_parent_rows]
Checks = dict[str, dict]


def check_all(*arguments: str) -> Checks:
    """The checks by name; text and JSON say the same, and neither holds a secret."""
    text, as_json = invoke("doctor", *arguments), invoke("doctor", *arguments, "--json")
    checks = json.loads(as_json.stdout)
    assert all(set(check) == {"name", "ok", "detail", "advice"} for check in checks)
    assert text.exit_code == as_json.exit_code == any(check["ok"] is False for check in checks)
    for check in checks:
        assert check["detail"] in text.stdout
        assert check["advice"] in text.stdout
    for secret in (SECRET, "sample-client", "sample-secret"):
        assert secret not in text.output + as_json.output
    return {check["name"]: check for check in checks}


def failed(checks: Checks) -> list[str]:
    return [name for name, check in checks.items() if check["ok"] is False]


def skipped(checks: Checks) -> list[str]:
    return [name for name, check in checks.items() if check["ok"] is None]


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }

"""The component, in a `dg` project of somebody else."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import dagster as dg
import pytest
import yaml

from analytics_assets import AnalyticsPlatform, build_definitions

DG = Path(sys.executable).parent / "dg"
PROJECT = {
    "pyproject.toml": """
[project]
name = "scratch"
version = "0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "scratch"

[tool.dg.cli]
suppress_warnings = ["project_and_activated_venv_mismatch"]
""",
    "scratch/__init__.py": "",
    "scratch/defs/__init__.py": "",
    "scratch/definitions.py": """
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
""",
}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(home: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def run(project: Path) -> Run:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(DG), *arguments]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)

    return run


def test_it_is_listed_scaffolded_and_loaded(project: Path, run: Run):
    listed = json.loads(run("list", "components", "--json").stdout)["items"]
    assert "analytics_assets.AnalyticsPlatform" in {component["key"] for component in listed}

    made = run("scaffold", "defs", "analytics_assets.AnalyticsPlatform", "ads")
    assert made.returncode == 0, made.stdout + made.stderr
    file = project / "scratch" / "defs" / "ads" / "defs.yaml"
    component = yaml.safe_load(file.read_text())
    assert component["type"] == "analytics_assets.AnalyticsPlatform"

    component["attributes"] = {
        "key_prefix": "marketing/ads",
        "group_name": "ads",
        "owners": ["team:ads", "a.b@example.com"],
        "automation": True,
    }
    file.write_text(yaml.safe_dump(component))
    defs = run("list", "defs", "--json")  # which checks the file first
    assert defs.returncode == 0, defs.stdout + defs.stderr
    [campaigns] = [
        asset
        for asset in json.loads(defs.stdout)["assets"]
        if asset["asset_key"] == "marketing/ads/campaigns"
    ]
    assert campaigns["group_name"] == "ads"
    assert campaigns["owners"] == [{"team": "ads"}, {"email": "a.b@example.com"}]


@pytest.mark.parametrize(
    "attributes", [{"prefix": "ads"}, {"owners": 1}, {"automation": []}, {"key_prefix": []}]
)
def test_attributes_that_it_does_not_take(project: Path, run: Run, attributes):
    folder = project / "scratch" / "defs" / "ads"
    folder.mkdir()
    component = {"type": "analytics_assets.AnalyticsPlatform", "attributes": attributes}
    (folder / "defs.yaml").write_text(yaml.safe_dump(component))
    checked = run("check", "yaml")
    assert checked.returncode == 1
    [name] = attributes
    assert name in checked.stdout + checked.stderr


def test_it_takes_what_the_factory_takes():
    parameters = inspect.signature(build_definitions).parameters
    assert list(AnalyticsPlatform.model_fields) == list(parameters)
    assert all(field.description for field in AnalyticsPlatform.model_fields.values())


def test_what_is_not_given_the_settings_say(monkeypatch):
    monkeypatch.setenv("ANALYTICS__KEY_PREFIX", "ads")
    defs = AnalyticsPlatform().build_defs(cast(dg.ComponentLoadContext, None))
    assert dg.AssetKey(["ads", "campaigns"]) in defs.resolve_asset_graph().get_all_asset_keys()

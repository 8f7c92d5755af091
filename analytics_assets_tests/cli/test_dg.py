"""Dagster's own command, `dg`: as README.md has it, from the checkout, without a warning."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.records import materialized

LAUNCH = re.findall(r"`\.venv/bin/(dg launch [^`]+)`", (CHECKOUT / "README.md").read_text())

pytestmark = pytest.mark.process


def dg(line: str) -> str:
    """What the command says."""
    _, *arguments = line.split()
    result = subprocess.run(
        [sys.executable, "-m", "dagster_dg_cli.cli", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert "arning" not in said
    return said


@pytest.mark.usefixtures("home")
def test_the_definitions():
    assert "campaign_items" in dg("dg list defs")
    assert "All definitions loaded successfully" in dg("dg check defs")


def test_launches(home, api: SampleApi, instance):
    accounts, partition = LAUNCH
    dg(accounts)
    assert instance.get_dynamic_partitions("accounts") == api.data.account_ids
    dg(partition)
    assert materialized(instance, "campaign_items") == {"acme-0001-sc"}

"""The API's texts do nothing to a terminal but show."""

from __future__ import annotations

import pytest

from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.commands import invoke

ODD = "odd\x1b[31m\x9b2J\u202e-sc"
SHOWN = "odd[31m2J-sc"


def odd_account() -> SampleData:
    data = SampleData.generate(accounts=2, campaigns=1, items=1, motion_ads=0, others=1)
    data.add_account(ODD)
    return data


@pytest.mark.parametrize("api", [odd_account], indirect=True)
@pytest.mark.parametrize("fails", [True, False])
def test_an_account_of_odd_name(home, api: SampleApi, fails: bool):
    if fails:
        api.behaviour.forbidden_accounts.add(ODD)
    outputs = []
    for command in (
        ("sync",),
        ("status",),
        ("status", "--account", ODD),
        ("sync", "--account", f"{ODD}x"),
        ("doctor", "--account", ODD),
        ("doctor", "--account", f"{ODD}x"),
    ):
        outputs.append(invoke(*command).output)
        assert not set("\x1b\x9b\u202e") & set(outputs[-1]), command
    for output in (*outputs[:4], outputs[5]):
        assert SHOWN in output

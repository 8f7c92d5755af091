"""What the settings add: reports and histories, none unless it is named."""

from __future__ import annotations

import json

import pytest

from analytics_assets.choice import kept_histories
from analytics_assets.errors import SettingsError
from analytics_assets.resources import EXTRA_RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets.settings import PlatformSettings
from analytics_assets_tests.testing.commands import invoke


def test_no_report_is_asked_for_or_shown(home, sync, api: SampleApi):
    result = sync()
    assert result.exit_code == 0, result.output
    assert not [entry for entry in api.log.entries if "/reports/" in entry.path]
    shown = [result.output, *(invoke(*of).output for of in (("status", "--json"), ("doctor",)))]
    assert json.loads(shown[1])["skipped_resources"] == []
    assert not [name for name in EXTRA_RESOURCES for text in shown if name in text]


def test_histories_with_what_they_ignore():
    settings = PlatformSettings(
        history=("campaigns", "audiences"),
        history_ignore=("campaigns.spent", "campaigns.cpc", "motion_ads.url"),
    )
    # what is said of one that is not kept does no harm: it is there when it is switched on again
    assert kept_histories(settings) == {
        "campaigns": frozenset({"spent", "cpc"}),
        "audiences": frozenset(),
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"history": ("campaign",)}, "ANALYTICS__HISTORY has 'campaign' (did you mean campaigns?)"),
        ({"history": ("accounts",)}, "ANALYTICS__HISTORY has "),
        ({"history": ("s3cr3t",)}, "ANALYTICS__HISTORY has a name, which is no list of an account"),
        ({"history_ignore": ("campaigns.spend",)}, "_IGNORE has 'spend' (did you mean spent?)"),
        (
            {"history_ignore": ("campaign.spent",)},
            "_IGNORE has 'campaign' (did you mean campaigns?",
        ),
        ({"history_ignore": ("campaigns.id",)}, "which is no column of campaigns beside its key"),
        (
            {"history": ("campaigns",), "skip_resources": ("campaigns",)},
            "ANALYTICS__HISTORY has campaigns, which ANALYTICS__SKIP_RESOURCES leaves out",
        ),
    ],
)
def test_what_there_is_not(settings: dict[str, tuple[str, ...]], said: str):
    with pytest.raises(SettingsError) as error:
        kept_histories(PlatformSettings(**settings))  # type: ignore[arg-type]
    assert said in str(error.value)
    assert "s3cr3t" not in str(error.value)
    assert "\n" not in str(error.value)

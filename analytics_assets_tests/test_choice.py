"""What the settings say of histories: each name is known, or the nearest one is named."""

from __future__ import annotations

import pytest

from analytics_assets.choice import kept_histories
from analytics_assets.errors import SettingsError
from analytics_assets.settings import PlatformSettings


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
        ({"history": ("s3cr3t",)}, "ANALYTICS__HISTORY has a name, which is no resource"),
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

"""What the settings leave out and what they add: resources, reports, histories, accounts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from analytics_assets.choice import (
    chosen_reports,
    chosen_resources,
    kept_histories,
    refuse_none_left,
    skipped_accounts,
    without_effect,
)
from analytics_assets.errors import SettingsError
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets.settings import PlatformSettings
from analytics_assets_tests.testing.commands import invoke

EXTRA = "ANALYTICS__EXTRA_RESOURCES"


def test_none_is_there_unless_it_is_named():
    settings = PlatformSettings()
    assert chosen_reports(settings) == ()
    assert chosen_resources(settings) == tuple(RESOURCES.lists)
    named = replace(settings, extra_resources=("site_performance", "campaign_performance"))
    assert chosen_reports(named) == ("campaign_performance", "site_performance")


def test_none_is_asked_for_or_shown_unless_it_is_named(home, sync, api: SampleApi):
    result = sync()
    assert result.exit_code == 0, result.output
    assert not [entry for entry in api.log.entries if "/reports/" in entry.path]
    shown = [result.output, *(invoke(*of).output for of in (("status", "--json"), ("doctor",)))]
    assert json.loads(shown[1])["skipped_resources"] == []
    assert not [name for name in RESOURCES.reports for text in shown if name in text]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("campaign_perfomance", "'campaign_perfomance' (did you mean campaign_performance?)"),
        ("campaigns", "'campaigns'"),
        ("hunter2", "a name"),
        ("campaign_performance,zyzzy", "a name"),
    ],
)
def test_a_wrong_name_is_one_line(home, monkeypatch, value: str, named: str):
    line = (
        f"{EXTRA} has {named}, which is no report: set it to some of campaign_performance,"
        " site_performance, item_performance"
    )
    monkeypatch.setenv(EXTRA, value)
    result = invoke("sync")
    assert (result.exit_code, result.stderr) == (1, f"Error: {line}\n")
    with pytest.raises(SettingsError, match="which is no report"):
        chosen_reports(replace(PlatformSettings(), extra_resources=tuple(value.split(","))))


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
        (
            {"history": ("campaign_performance",)},
            "ANALYTICS__HISTORY has 'campaign_performance', which is no list of an account: set it",
        ),
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


def test_what_is_skipped_is_not_read():
    left = chosen_resources(PlatformSettings(skip_resources=("audiences", "campaigns")))
    assert left == tuple(n for n in RESOURCES.lists if n not in ("audiences", "campaigns"))


CANNOT_BE_SKIPPED = {
    ("accounts",): (
        "cannot have accounts, by which all others are read: set it to resources of an account"
    ),
    tuple(RESOURCES.account_lists): (
        "leaves no list of an account to read: set it to fewer resources"
    ),
    ("campaign",): (
        "has 'campaign' (did you mean campaigns?), which is no list of an account: set it to some"
        f" of {', '.join(RESOURCES.account_lists)}"
    ),
}


@pytest.mark.parametrize(("skipped", "said"), CANNOT_BE_SKIPPED.items())
def test_what_cannot_be_skipped(skipped: tuple[str, ...], said: str):
    with pytest.raises(SettingsError) as error:
        chosen_resources(PlatformSettings(skip_resources=skipped))
    assert str(error.value) == f"ANALYTICS__SKIP_RESOURCES {said}"


def test_a_wrong_report_is_told_wherever_resources_are_chosen():
    with pytest.raises(SettingsError, match="_EXTRA_RESOURCES has a name, which is no report: set"):
        chosen_resources(PlatformSettings(extra_resources=("zyzzy",)))


TYPES = {"acme-1": "PARTNER", "acme-2": "", "Globex": "PARTNER", "net": "NETWORK"}


def test_an_account_that_is_left_out_has_the_first_setting_that_says_so():
    settings = PlatformSettings(
        accounts=("acme-*", "net"), skip_accounts=("*-2", "Globex"), skip_account_types=("NETWORK",)
    )
    assert skipped_accounts(settings, TYPES) == {
        "acme-2": "ANALYTICS__SKIP_ACCOUNTS",
        "Globex": "ANALYTICS__ACCOUNTS",
        "net": "ANALYTICS__SKIP_ACCOUNT_TYPES",
    }


def test_what_fits_no_account_is_told_by_its_setting():
    settings = PlatformSettings(
        accounts=("acme-*", "globex"),
        skip_accounts=("initech", "acme-1"),
        skip_account_types=("NETWORK", "network"),
    )
    assert without_effect(settings, TYPES) == {
        "ANALYTICS__ACCOUNTS": ["globex"],
        "ANALYTICS__SKIP_ACCOUNTS": ["initech"],
        "ANALYTICS__SKIP_ACCOUNT_TYPES": ["network"],
    }
    assert without_effect(PlatformSettings(), TYPES) == {}


def test_settings_that_leave_out_all_accounts_are_refused():
    refuse_none_left({}, {})
    refuse_none_left(TYPES, {"acme-1": "ANALYTICS__ACCOUNTS"})
    skipped = dict.fromkeys(TYPES, "ANALYTICS__SKIP_ACCOUNTS")
    with pytest.raises(SettingsError) as error:
        refuse_none_left(TYPES, {**skipped, "net": "ANALYTICS__ACCOUNTS"})
    assert str(error.value) == (
        "all accounts that the API lists are left out; nothing was changed: check"
        " ANALYTICS__ACCOUNTS and ANALYTICS__SKIP_ACCOUNTS"
    )

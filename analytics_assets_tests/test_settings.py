"""Settings: looked for in their own place only, judged, and never shown when they are unusable."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from dagster._time import get_timezone
from dagster._utils.schedules import is_valid_cron_string
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from analytics_assets.errors import SettingsError
from analytics_assets.settings import (
    ApiSettings,
    PlatformSettings,
    api_settings,
    platform_settings,
)
from analytics_assets.shown_settings import found_settings, public_url
from analytics_assets.validation import CRON, TIME_ZONE

SECRET = "a-secret-that-must-not-show"
API = "SOURCES__ANALYTICS__"
PLATFORM = "ANALYTICS__"
EXTRACT = "EXTRACT__"
GETTERS: dict[str, Callable[[], Any]] = {
    API: api_settings,
    PLATFORM: platform_settings,
    EXTRACT: api_settings,
}

pytestmark = pytest.mark.usefixtures("home")


def problem(prefix: str) -> str:
    """What the settings of a section say of themselves: one line, without what they hold."""
    with pytest.raises(SettingsError) as error:
        GETTERS[prefix]()
    assert "\n" not in str(error.value)
    assert SECRET not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        (f"{API}MAX_RETRIES", ("-1", "101", "2.5", "many"), "a whole number from 0 to 100"),
        (f"{API}BACKOFF_FACTOR", ("-0.1", "nan", "inf", "x"), "a number from 0 to 86400"),
        (f"{API}MAX_RETRY_DELAY", ("-1", "NaN", "1e9"), "a number from 0 to 86400"),
        (f"{API}TIMEOUT", ("0", "-3", "inf", "soon"), "a number greater than 0, up to 86400"),
        (f"{API}QUOTA_SCOPE", ("all", "CLIENT"), "one of client, account"),
        (f"{API}MAX_REQUESTS_PER_SECOND", ("0", "-2", "nan"), "a number greater than 0, up to"),
        (f"{EXTRACT}WORKERS", ("0", "-3", "abc", "1.5", "1001"), "a whole number from 1 to 1000"),
        (f"{EXTRACT}MAX_PARALLEL_ITEMS", ("0", "-1", "many"), "a whole number from 1 to 100000"),
        (f"{PLATFORM}LOCK_TIMEOUT", ("-1", "nan", "inf", "long"), "a number from 0 to 31536000"),
        (f"{PLATFORM}ACCOUNTS_PER_RUN", ("0", "-1", "all", "0.5"), "a whole number from 1 to"),
        (f"{PLATFORM}AUTOMATION", ("maybe", "2"), "true or false"),
        (f"{PLATFORM}SENSOR_INTERVAL", ("0", "-30", "0.5"), "a whole number from 1 to 86400"),
        (f"{PLATFORM}ACCOUNT_RETRIES", ("-1", "1e3"), "a whole number from 0 to 100"),
        (f"{PLATFORM}ACCOUNT_RETRY_WAIT", ("-300", "inf"), "a number from 0 to 31536000"),
        (f"{PLATFORM}MAX_AGE_HOURS", ("-1", "-36", "nan"), "a number from 0 to 100000"),
        (f"{PLATFORM}MAX_ROW_LOSS", ("-0.1", "1.1", "50", "nan"), "a number from 0 to 1"),
    ],
)
def test_ranges(monkeypatch, name: str, values: tuple[str, ...], expected: str):
    prefix = name[: name.rindex("__") + 2]
    section = prefix.lower().removesuffix("__").replace("__", ".")
    for value in values:
        monkeypatch.setenv(name, value)
        assert problem(prefix).startswith(
            f"a setting in section [{section}] cannot be used: set {name} to {expected}"
        )


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        *(
            (
                name,
                (SECRET, "ftp://host", "http://", "http://[", "http://h:port", "https://a b.com"),
                "an http(s) URL; set it to one such as https://api.example.com",
            )
            for name in (
                f"{API}BASE_URL",
                f"{API}TOKEN_URL",
                f"{PLATFORM}ALERT_WEBHOOK_URL",
                f"{PLATFORM}UI_URL",
            )
        ),
        *(
            (
                f"{PLATFORM}{name}",
                ("every day", "60 * * * *", "* * * *", "* * * * * *", "0 0 30 2 *", "0 0 31 4 *"),
                "a cron expression; set it to one such as 0 5 * * *",
            )
            for name in ("SYNC_CRON", "REFRESH_CRON")
        ),
        (
            f"{API}API_VERSION",
            ("v1/", "/", "..", "v 1", "{version}", "%2E", "größe"),
            "one part of a path, of letters, digits, ., _ and -, and in TOML in quotes; set it to",
        ),
        (
            f"{PLATFORM}TIME_ZONE",
            ("CET+1", "Mars/Olympus", "Europe", "../UTC", "/etc/localtime", "Europe/ Berlin"),
            "a time zone of the IANA database; set it to one such as Europe/Berlin",
        ),
        (
            f"{PLATFORM}DATASET_NAME",
            ("2024 ads", "größe", "a.b", 'a"b', "a;b", "名前", "___"),
            "a name of letters, digits, _ and -, the first a letter; set it to one such as",
        ),
        (
            f"{PLATFORM}DESTINATION",
            (f"postgresql://u:{SECRET}@host/db", '{"duckdb": 1}', "duck db"),
            "a name of a destination; set it to one such as postgres",
        ),
        (
            f"{PLATFORM}KEY_PREFIX",
            ("ads/", "/ads", "a//b", "my ads", "my-ads", "größe"),
            "names of letters, digits and _, with / between them; set it to one such as",
        ),
        (f"{PLATFORM}GROUP_NAME", ("my ads", "a/b", "größe"), "a name of letters, digits and _;"),
        (
            f"{PLATFORM}SKIP_RESOURCES",
            ("motion ads", "motion_ads, audiences;", "größe"),
            "a list of resources; set it to one such as motion_ads",
        ),
        (
            f"{PLATFORM}EXTRA_RESOURCES",
            ("campaign performance", "größe"),
            "a list of reports; set it to one such as campaign_performance",
        ),
        (
            f"{PLATFORM}OWNERS",
            ("somebody", "team:", "team:ads, somebody", "a@b", "a b@c.org"),
            "a list of e-mail addresses and teams (team:NAME); set it to one such as",
        ),
    ],
)
def test_shapes(monkeypatch, name: str, values: tuple[str, ...], expected: str):
    for value in values:
        monkeypatch.setenv(name, value)
        assert problem(name[: name.rindex("__") + 2]).startswith(f"{name} is not {expected}")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        (f"{API}API_VERSION", "1.0", "1.0"),
        (f"{API}MAX_RETRIES", "0", 0),
        (f"{API}BACKOFF_FACTOR", "0", 0.0),
        (f"{API}TIMEOUT", " 0.5 ", 0.5),
        (f"{API}MAX_REQUESTS_PER_SECOND", "0.1", 0.1),
        (f"{API}BASE_URL", "https://u:p@api.example.com:8443/backstage", None),
        (f"{PLATFORM}AUTOMATION", "False", False),
        (f"{PLATFORM}ACCOUNTS_PER_RUN", "1", 1),
        (f"{PLATFORM}MAX_ROW_LOSS", "1", 1.0),
        (f"{PLATFORM}SYNC_CRON", "*/5 0-6,23 1 JAN mon-fri", None),
        (f"{PLATFORM}SYNC_CRON", "@daily", None),
        (f"{PLATFORM}TIME_ZONE", "America/Argentina/Buenos_Aires", None),
        (f"{PLATFORM}DATASET_NAME", "Ad-data_2024", None),
        (f"{PLATFORM}DESTINATION", "dlt.destinations.duckdb", None),
        (f"{PLATFORM}KEY_PREFIX", "marketing/ads_2024", None),
        (f"{PLATFORM}GROUP_NAME", "ads_2024", None),
        (f"{PLATFORM}SKIP_RESOURCES", "motion_ads,audiences ", ("motion_ads", "audiences")),
        (f"{PLATFORM}OWNERS", "team:ads, a.b@example.com", ("team:ads", "a.b@example.com")),
    ],
)
def test_what_can_be_used(monkeypatch, name: str, text: str, value: object):
    prefix, key = name[: name.rindex("__") + 2], name.rpartition("__")[2].lower()
    monkeypatch.setenv(name, text)
    assert getattr(GETTERS[prefix](), key) == (text if value is None else value)


@pytest.mark.parametrize(
    ("name", "default"),
    [
        (f"{PLATFORM}ACCOUNTS_PER_RUN", None),
        (f"{PLATFORM}ALERT_WEBHOOK_URL", None),
        (f"{PLATFORM}DATASET_NAME", "analytics"),
        (f"{PLATFORM}UI_URL", "http://127.0.0.1:3000"),
        (f"{PLATFORM}AUTOMATION", False),
        (f"{API}MAX_REQUESTS_PER_SECOND", None),
        (f"{API}TIMEOUT", 60.0),
    ],
)
def test_an_empty_variable_is_not_set(monkeypatch, name: str, default: object):
    prefix, key = name[: name.rindex("__") + 2], name.rpartition("__")[2].lower()
    for empty in ("", "  "):
        monkeypatch.setenv(name, empty)
        assert getattr(GETTERS[prefix](), key) == default


def test_an_empty_variable_hides_nothing(monkeypatch, toml):
    toml('[analytics]\ndataset_name = "ads"\n[extract]\nworkers = 3\n')
    monkeypatch.setenv("ANALYTICS__DATASET_NAME", "")
    monkeypatch.setenv("EXTRACT__WORKERS", "")
    assert platform_settings().dataset_name == "ads"
    assert api_settings().workers == 3


def test_a_required_setting_that_is_empty_is_missing(monkeypatch):
    monkeypatch.setenv("SOURCES__ANALYTICS__TOKEN_URL", "")
    assert problem(API).startswith("missing setting: set SOURCES__ANALYTICS__TOKEN_URL in the env")


@pytest.mark.parametrize(
    ("key", "files"),
    [
        ("CLIENT_SECRET", ".dlt/secrets.toml"),
        ("TOKEN_URL", ".dlt/secrets.toml or .dlt/config.toml"),
    ],
)
def test_a_missing_secret_is_to_be_set_where_it_is_allowed(monkeypatch, key: str, files: str):
    monkeypatch.delenv(f"{API}{key}")
    assert problem(API).endswith(f"in section [sources.analytics] of {files}")


ELSEWHERE = """
timeout = "soon"
max_retries = 7
dataset_name = "others"
[destination.postgres]
credentials = "postgresql://loader:hunter2@db.example.com/warehouse"
[sources]
backoff_factor = 9
[sources.another]
quota_scope = "account"
"""


def test_keys_of_others_are_not_ours(monkeypatch, toml):
    toml(ELSEWHERE)
    for name in ("TIMEOUT", "SOURCES__TIMEOUT", "DESTINATION", "TIME_ZONE", "BASE_URL"):
        monkeypatch.setenv(name, "5")
    api, platform = api_settings(), platform_settings()
    assert (api.timeout, api.max_retries, api.quota_scope) == (60.0, 3, "client")
    assert api.backoff_factor == 0.0  # the test's own environment
    assert (platform.destination, platform.dataset_name) == ("duckdb", "analytics")
    assert platform.time_zone == "UTC"
    assert not any("hunter2" in setting.value for setting in found_settings())


def test_the_short_keys(monkeypatch, toml):
    toml(f'client_id = "short"\nclient_secret = "{SECRET}"\nbase_url = "https://elsewhere"\n')
    for name in ("CLIENT_ID", "CLIENT_SECRET", "BASE_URL"):
        monkeypatch.delenv(f"{API}{name}")
    assert problem(API).startswith("missing setting: set SOURCES__ANALYTICS__BASE_URL in")
    monkeypatch.setenv(f"{API}BASE_URL", "https://api.example.com")
    assert (api_settings().client_id, api_settings().client_secret) == ("short", SECRET)
    monkeypatch.setenv("CLIENT_ID", "from the environment")
    assert api_settings().client_id == "from the environment"
    toml('[sources.analytics]\nclient_id = "long"\n')
    assert api_settings().client_id == "long"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f'[analytics.destination]\npostgres = "{SECRET}"', "ANALYTICS__DESTINATION"),
        (f'[analytics]\ndataset_name = ["{SECRET}"]', "ANALYTICS__DATASET_NAME"),
        ("[analytics]\ndataset_name = true", "ANALYTICS__DATASET_NAME"),
        ("[analytics]\ndataset_name = 2024-01-31", "ANALYTICS__DATASET_NAME"),
        (f'[analytics.accounts_per_run]\nx = "{SECRET}"', "ANALYTICS__ACCOUNTS_PER_RUN"),
        ("[analytics]\naccounts_per_run = true", "ANALYTICS__ACCOUNTS_PER_RUN"),
        ("[analytics]\nmax_row_loss = nan", "ANALYTICS__MAX_ROW_LOSS"),
        ("[analytics]\nmax_row_loss = false", "ANALYTICS__MAX_ROW_LOSS"),
        ("[analytics]\nsensor_interval = inf", "ANALYTICS__SENSOR_INTERVAL"),
        ("[analytics]\nowners = 1", "ANALYTICS__OWNERS"),
        ("[analytics]\nowners = [1]", "ANALYTICS__OWNERS"),
        ("[analytics]\nalert_webhook_url = 1.5", "ANALYTICS__ALERT_WEBHOOK_URL"),
    ],
)
def test_values_of_another_kind(toml, text: str, name: str):
    toml(text)
    assert f"cannot be used: set {name} to" in problem(PLATFORM)
    assert not any(SECRET in setting.value for setting in found_settings())


def test_numbers_as_they_stand_in_toml(toml):
    toml("[analytics]\naccounts_per_run = 3.0\nmax_age_hours = 1\n")
    assert (platform_settings().accounts_per_run, platform_settings().max_age_hours) == (3, 1.0)


def test_a_list_as_it_stands_in_toml(toml):
    toml('[analytics]\nowners = ["team:ads", "a.b@example.com"]\n')
    assert platform_settings().owners == ("team:ads", "a.b@example.com")
    [shown] = [setting.value for setting in found_settings() if setting.key == "owners"]
    assert shown == "team:ads, a.b@example.com"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acme-*, globex", ("acme-*", "globex")),
        ('["acme-*", "globex, inc"]', ("acme-*", "globex, inc")),
        ("[ag]*", ("[ag]*",)),  # a pattern
        ("[12], 3", ("[12]", "3")),
        ("[12]", ("[12]",)),
        ("12", ("12",)),
    ],
)
def test_a_list_as_it_stands_in_the_environment(monkeypatch, text, expected):
    monkeypatch.setenv("ANALYTICS__ACCOUNTS", text)
    assert platform_settings().accounts == expected


def test_a_number_as_client_id(monkeypatch, toml):
    monkeypatch.delenv(f"{API}CLIENT_ID")
    toml("[sources.analytics]\nclient_id = 12345\n")
    assert api_settings().client_id == "12345"


def test_a_secret_that_stands_in_the_open(monkeypatch, toml):
    monkeypatch.delenv(f"{API}CLIENT_SECRET")
    toml(f'[sources.analytics]\nclient_secret = "{SECRET}"\n', secrets=False)
    assert problem(API) == (
        "sources.analytics.client_secret is a secret and does not belong in config.toml: set it in"
        " .dlt/secrets.toml, or SOURCES__ANALYTICS__CLIENT_SECRET in the environment"
    )


@pytest.mark.parametrize(
    ("prefix", "name", "key", "advice"),
    [
        (
            API,
            "SOURCES__ANALYTICS__BASEURL",
            "baseurl",
            "set SOURCES__ANALYTICS__BASE_URL instead, or",
        ),
        (
            API,
            "SOURCES__ANALYTICS__Max_Retries",
            "SOURCES__ANALYTICS__Max_Retries",
            "set SOURCES__ANALYTICS__MAX_RETRIES i",
        ),
        (
            API,
            "sources__analytics__timeout",
            "sources__analytics__timeout",
            "set SOURCES__ANALYTICS__TIME",
        ),
        (PLATFORM, "ANALYTICS__DATASET", "dataset", "set ANALYTICS__DATASET_NAME instead"),
        (PLATFORM, "ANALYTICS__TIMEZONE", "timezone", "set ANALYTICS__TIME_ZONE instead"),
        # of another section
        (PLATFORM, "ANALYTICS__TIMEOUT", "timeout", "set SOURCES__ANALYTICS__TIMEOUT instead"),
        (
            API,
            "SOURCES__ANALYTICS__SKIP_RESOURCES",
            "skip_resources",
            "set ANALYTICS__SKIP_RESOURCES instead",
        ),
        (PLATFORM, "ANALYTICS__XYZ", "xyz", "check its name in docs/settings.md, or remove it"),
    ],
)
def test_a_misspelt_variable(monkeypatch, prefix: str, name: str, key: str, advice: str):
    monkeypatch.setenv(name, SECRET)
    section = "sources.analytics" if prefix == API else "analytics"
    assert problem(prefix).startswith(f"there is no setting {key} in section [{section}]: {advice}")


@pytest.mark.parametrize("secrets", [True, False])
@pytest.mark.parametrize(
    ("prefix", "text", "expected"),
    [
        (API, "[sources.analytics]\ntime_out = 5", "no setting time_out in section [sources.ana"),
        (API, "[sources.analytics]\nTIMEOUT = 5", "no setting TIMEOUT in section [sources.ana"),
        (
            API,
            "[sources.analytics.client]\nbase_ulr = 'http://x'",
            "section [sources.analytics.client]: set SOURCES__ANALYTICS__CLIENT__BASE_URL instead",
        ),
        (
            API,
            "[sources.analytics.client.auth]\nscope = 'all'",
            "no setting scope in section [sources.analytics.client.auth]: check its name",
        ),
        (
            PLATFORM,
            "[analytics]\nsync_corn = 5",
            "no setting sync_corn in section [analytics]: ",
        ),
    ],
)
def test_a_misspelt_key(toml, prefix: str, text: str, expected: str, secrets: bool):
    toml(text, secrets=secrets)
    assert expected in problem(prefix)


def test_what_dlt_looks_for_in_our_section_is_no_misspelling(monkeypatch, toml):
    toml("[sources.analytics.extract]\nworkers = 3\n[analytics.pipeline]\nx = 1\n")
    monkeypatch.setenv("SOURCES__ANALYTICS__EXTRACT__WORKERS", "3")
    monkeypatch.setenv("ANALYTICS__XYZ", "")
    assert api_settings().max_retries == 3
    assert platform_settings().dataset_name == "analytics"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.floats() | st.integers() | st.text("0123456789.e-+ infa", max_size=8))
def test_a_number_is_in_its_range_or_refused(value: float | str):
    with pytest.MonkeyPatch.context() as environment:
        for name, low, high in (("MAX_ROW_LOSS", 0, 1), ("MAX_AGE_HOURS", 0, 100_000)):
            environment.setenv(f"{PLATFORM}{name}", str(value))
            try:
                number = getattr(platform_settings(), name.lower())
            except SettingsError:
                return
            default = getattr(PlatformSettings, name.lower())
            assert math.isfinite(number)
            assert low <= number <= high
            assert number == (float(value) if str(value).strip() else default)


FIELDS = st.sampled_from(
    ["*", "0", "5", "59", "60", "1-5", "*/15", "1,2", "mon", "JAN", "L", "31", "2", "7", "8", "a"]
)


@settings(deadline=None)
@given(text=st.lists(FIELDS, min_size=1, max_size=6).map(" ".join))
@example("@daily")
@example("0 0 29 2 *")
@example("")
def test_what_we_take_for_a_cron_expression_dagster_takes(text: str):
    if CRON.admits(text):
        assert is_valid_cron_string(text)


@pytest.mark.parametrize("name", ["UTC", "US/Eastern", "Europe/Berlin", "Asia/Kolkata", "EST5EDT"])
def test_what_we_take_for_a_time_zone_dagster_takes(name: str):
    assert TIME_ZONE.admits(name)
    assert get_timezone(name) is not None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://u:{SECRET}@h/p?{SECRET}", "https://h/p"),
        (SECRET, "***"),
        (f"http://[{SECRET}", "***"),
        (f"http://h:{SECRET}/", "***"),
    ],
)
def test_public_urls(url: str, shown: str):
    assert public_url(url) == shown


def test_every_setting_can_be_used_as_it_is_by_default():
    assert platform_settings() == PlatformSettings()
    assert api_settings().max_retry_delay == ApiSettings.max_retry_delay

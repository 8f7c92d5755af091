"""The destination's secrets in what its drivers say."""

from __future__ import annotations

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from analytics_assets.errors import SettingsError
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.credentials import credentials_name, redacted
from analytics_assets.warehouse.destination import make_destination

POSTGRES = "DESTINATION__POSTGRES__CREDENTIALS"

pytestmark = pytest.mark.usefixtures("home")


def destination(name: str) -> PlatformSettings:
    return PlatformSettings(destination=name)


@pytest.mark.parametrize("form", [str, quote, quote_plus, json.dumps, repr, str.upper])
@pytest.mark.parametrize("password", ["hun/ter#2%pw é", 'hun"ter\\2', "hunter:2?pw="])
def test_every_form_of_a_password(monkeypatch, form, password: str):
    monkeypatch.setenv(POSTGRES, f"postgresql://loader:{quote(password, safe='')}@db:5432/ads")
    text = redacted(f"cannot log in with {form(password)} at db:5432", destination("postgres"))
    assert text.replace("'", "").replace('"', "") == "cannot log in with *** at db:5432"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(password=st.text("abc123@:/?#%&=+ []'\"\\éß", min_size=3, max_size=8))
def test_no_password_is_shown(password: str):
    assume(password.strip() == password)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(POSTGRES, f"postgresql://loader:{quote(password, safe='')}@db/ads")
        assert password not in redacted(f"<{password}> {quote(password)}", destination("postgres"))


def test_the_fields_of_a_table(toml):
    toml('[destination.postgres.credentials]\nhost = "db"\npassword = "hunter2"\n')
    assert redacted("hunter2 at db", destination("postgres")) == "*** at db"


def test_secrets_of_other_destinations(toml):
    toml('[destination.motherduck.credentials]\ndatabase = "ads"\npassword = "a-token"\n')
    assert redacted("a-token for ads", destination("motherduck")) == "*** for ads"
    toml('[destination.bigquery.credentials]\nproject_id = "ads"\nprivate_key = "abc\\ndef=="\n')
    text = redacted("key abc\ndef== or def== in ads", destination("bigquery"))
    assert text == "key *** or *** in ads"


def test_where_a_duckdb_file_is_may_be_told(monkeypatch, toml):
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", "/srv/a.duckdb")
    toml("[destination.duckdb.credentials]\nstatements = [\"CREATE SECRET (KEY 'hunter2')\"]\n")
    text = redacted("/srv/a.duckdb: CREATE SECRET (KEY 'hunter2')", PlatformSettings())
    assert text == "/srv/a.duckdb: ***"


@pytest.mark.parametrize(
    "password", ["an@other", "@", "a@b@c", "p@ss/word", "p@ss?w=ord", "a:@b/#"]
)
def test_a_password_that_is_not_encoded_is_refused(monkeypatch, password: str):
    monkeypatch.setenv(POSTGRES, f"postgresql://loader:{password}@db.example.com:5432/ads")
    with pytest.raises(SettingsError) as error:
        make_destination(destination("postgres"))
    assert str(error.value).startswith(f"{POSTGRES} cannot be used: expected a form such as postgr")
    assert password == "@" or password not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://loader:an%40other@db:5432/ads",
        "postgresql://loader@server:hunter2@db/ads",
        "postgresql://loader:hun/ter#2?@db/ads",
        "postgresql://loader:hunter2@db/ads?application_name=x",
    ],
)
def test_what_can_be_read_is_taken(monkeypatch, url: str):
    monkeypatch.setenv(POSTGRES, url)
    chosen = make_destination(destination("postgres"))
    credentials = chosen.configuration(chosen.spec(), accept_partial=True).credentials
    assert credentials["host"] == "db"  # type: ignore[index]


def test_a_destination_that_is_not_there_has_no_secrets():
    assert redacted("text", destination("nowhere")) == "text"


def test_a_connection_string_is_not_shown_either(monkeypatch):
    url = "postgresql://loader:hunter2@db/ads"
    monkeypatch.setenv(POSTGRES, url)
    assert redacted(f"cannot parse {url} here", destination("postgres")) == "cannot parse *** here"


def test_any_part_of_what_cannot_be_read_may_be_the_password(monkeypatch):
    monkeypatch.setenv(POSTGRES, "postgresql://loader/hunter2?sslmode=on@db.example.com")
    text = redacted("no host hunter2, no role loader, no db.example.com", destination("postgres"))
    assert text == "no host ***, no role ***, no ***"
    # what is as short as a word of a message is no password
    assert redacted("it is on", destination("postgres")) == "it is on"


def test_the_variable_is_that_of_the_destination():
    assert credentials_name(destination("motherduck")) == "DESTINATION__MOTHERDUCK__CREDENTIALS"
    assert credentials_name(destination("dlt.destinations.postgres")) == POSTGRES

"""Secrets in texts of others: hidden in whatever form they come back."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from analytics_assets.redaction import basic, redact

NAME, SECRET = "cid-7", "p@ss/w+rd &\"é'="
SECRETS = [SECRET, "simple-secret-0123", "~/?>>>\u00ff\u20ac\U0001f511+ %"]


def form(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in capitals": str.upper,
    "a URL": lambda secret: quote(secret, safe=""),
    "a path": quote,
    "a form": quote_plus,
    "small hexadecimals": lambda secret: quote(secret, safe="").replace("%2F", "%2f"),
    "all of it": lambda secret: "".join(f"%{octet:02X}" for octet in secret.encode()),
    "twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "JSON": json.dumps,
    "JSON in Unicode": lambda secret: json.dumps(secret, ensure_ascii=False),
    "JSON with escaped slashes": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "HTML": html.escape,
    "HTML without quotes": lambda secret: html.escape(secret, quote=False),
    "HTML by number": lambda secret: secret.replace("@", "&#64;").replace("/", "&#x2F;"),
    "Python": repr,
    "Basic": lambda secret: form(f"{NAME}:{secret}"),
    "Basic of encoded parts": lambda secret: form(f"{NAME}:{quote(secret, safe='')}"),
    "Basic in a URL": lambda secret: quote(form(f"{NAME}:{secret}"), safe=""),
    "Base64": form,
    "Base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
}


@pytest.mark.parametrize("encode", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_in_any_form_is_hidden(encode: Callable[[str], str], secret: str) -> None:
    hidden = redact(f"before {encode(secret)} after", [secret, *basic(NAME, secret)], NAME)
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")
    assert "***" in hidden
    rest = hidden.removeprefix("before ").removesuffix(" after").replace("***", "")
    assert rest.strip("'\"=%3D") == ""


@pytest.mark.parametrize("write", [str, lambda text: quote(text, safe="")], ids=["plain", "form"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "k", "ke", "Bearer "])
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_within_what_is_encoded_is_hidden(
    secret: str, before: str, encode: Callable[[bytes], bytes], write: Callable[[str], str]
) -> None:
    def encoded(middle: str) -> str:
        return encode(f"{before}{middle}&id={NAME}-0123&more".encode()).decode()

    hidden = redact(encoded(write(secret)), [secret], f"{NAME}-0123")
    assert hidden.count("***") == 2
    # at its ends, a character may be in part what stands beside it
    assert len(hidden.replace("***", "")) <= len(before + "&id=&more=") * 4 / 3 + 4


def test_what_is_no_secret_stays() -> None:
    text = "a text with 'quotes', 100 % and a p@ss of another"
    assert redact(text, [SECRET], NAME) == text
    assert redact(text, []) == text
    assert redact(text, ["", ""]) == text


def test_of_two_secrets_one_within_the_other_nothing_is_left() -> None:
    assert redact("key-long and key", ["key", "key-long"]) == "*** and ***"


def test_all_that_there_are_are_hidden() -> None:
    assert redact("one two one%20three", ["one", "three"]) == "*** two ***%20***"


@pytest.mark.parametrize(
    ("name", "text", "hidden"),
    [
        (
            "7",
            "client_id=7 client%3D7%26 '7' of 17 or a7 (7) 7b",
            "client_id=*** client%3D***%26 '***' of 17 or a7 (***) 7b",
        ),
        ("client4711", "the client4711-x, xCLIENT4711", "the ***-x, x***"),
        ("seven77", "aseven77 seven77", "aseven77 ***"),
        ("eight888", "aeight888 eight888", "a*** ***"),
    ],
)
def test_a_short_name_is_no_part_of_words(name: str, text: str, hidden: str) -> None:
    assert redact(text, [], name) == hidden


def test_what_basic_authentication_makes_of_both() -> None:
    assert basic("a b", "c/d") == ("a b:c/d", "a%20b:c%2Fd")

"""Secrets in texts of others: replaced in all the forms in which they can come back."""

from __future__ import annotations

import base64
import html.entities
import json
import re
import string
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import quote

_HIDDEN: Final = "***"
# A shorter public name may be part of other words: it is replaced only where it stands alone.
_DISTINCT: Final = 8
# what is encoded in URLs at the most
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "-_.~")


def redact(text: str, secrets: Iterable[str], name: str = "") -> str:
    """The text with `***` for what nobody else may know, plain or encoded, in any case.

    Args:
        text: The whole text: a secret of which a part was cut off is not found.
        secrets: The secrets; empty ones are none.
        name: What the secrets belong to, such as a client's id.
    """
    plain = list(secrets)
    forms = {form: True for secret in plain for form in _base64(secret)}
    forms |= {form: True for secret in (*plain, name) for form in _within_base64(secret)}
    forms |= dict.fromkeys(plain, False)
    # the longest first, so that no part of one is left
    for form in sorted(filter(None, forms), key=len, reverse=True):
        text = _pattern(form, in_base64=forms[form]).sub(_HIDDEN, text)
    return _named(name).sub(_HIDDEN, text) if name else text


def basic(name: str, secret: str) -> tuple[str, str]:
    """What HTTP's Basic authentication makes of both before they are in Base64."""
    return f"{name}:{secret}", f"{quote(name, safe='')}:{quote(secret, safe='')}"


def _base64(text: str) -> Iterator[str]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def _within_base64(text: str) -> Iterator[str]:
    """What Base64 makes of the text in the midst of others, as of a whole header or form.

    That depends on how many characters stand before it; those that it shares with others are left
    out.
    """
    for written in {text, quote(text, safe="")}:
        for before in range(3):
            for encoded in _base64("." * before + written):
                octets = before + len(written.encode("utf-8", "surrogatepass"))
                form = encoded[-(-before * 8 // 6) : octets * 8 // 6]
                if len(form) >= _DISTINCT:
                    yield form


@lru_cache(maxsize=8)
def _named(name: str) -> re.Pattern[str]:
    if len(name) >= _DISTINCT:
        return _pattern(name)
    begins = "(?:(?<![0-9A-Za-z])|(?<=%[0-9A-Fa-f]{2}))"
    return re.compile(f"{begins}{_pattern(name).pattern}(?![0-9A-Za-z])", re.IGNORECASE)


@lru_cache(maxsize=256)
def _pattern(text: str, *, in_base64: bool = False) -> re.Pattern[str]:
    """Matches a text, each of its characters written in any of the usual ways.

    Of Base64, letters and digits are written as they are: long tokens are found sooner so.
    """
    ways = (
        character if in_base64 and character.isalnum() else f"(?:{'|'.join(_ways(character))})"
        for character in text
    )
    return re.compile("".join(ways), re.IGNORECASE)


def _ways(character: str) -> Iterator[str]:
    """The character in URLs, JSON, HTML and Python's own notation, and at last as it is."""
    octets = character.encode("utf-8", "surrogatepass")
    # also encoded more than once
    yield "".join(f"%(?:25)*{octet:02x}" for octet in octets)
    if character in _PLAIN:
        yield re.escape(character)
        return
    if character == " ":
        yield r"\+"
    for notation in {json.dumps(character)[1:-1], ascii(character)[1:-1], f"\\{character}"}:
        yield re.escape(notation)
    code = ord(character)
    yield f"&#0*{code};"
    yield f"&#x0*{code:x};"
    name = html.entities.codepoint2name.get(code, "apos" if character == "'" else None)
    if name is not None:
        yield f"&{name};"
    yield re.escape(character)

"""Secrets in texts of the API: replaced in all the forms in which they can come back."""

from __future__ import annotations

import base64
import html.entities
import json
import re
import string
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import quote

_HIDDEN: Final = "***"
# A shorter public name may be part of other words: it is replaced only where it stands alone.
_DISTINCT: Final = 8
# what is encoded in URLs at the most
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "-_.~")


def redact(text: str, client_id: str, client_secret: str, tokens: tuple[str, ...]) -> str:
    """The text with `***` for what only the client may know, plain or encoded.

    Args:
        text: The whole text: a secret of which a part was cut off is not found.
        client_id: The client's id.
        client_secret: Its secret.
        tokens: The access tokens that the client was given.
    """
    for pattern in _patterns(client_id, client_secret, *tokens):
        text = pattern.sub(_HIDDEN, text)
    return text


@lru_cache(maxsize=8)
def _patterns(client_id: str, client_secret: str, *tokens: str) -> tuple[re.Pattern[str], ...]:
    name, secret = client_id.strip(), client_secret.strip()
    forms = {secret, *tokens, *_base64(secret), *_basic(name, secret)} - {""}
    # the longest first, so that no part of one is left
    patterns = [_pattern(form) for form in sorted(forms, key=len, reverse=True)]
    if len(name) >= _DISTINCT:
        patterns.append(_pattern(name))
    elif name:
        begins = "(?:(?<![0-9A-Za-z])|(?<=%[0-9A-Fa-f]{2}))"
        patterns.append(re.compile(f"{begins}{_pattern(name).pattern}(?![0-9A-Za-z])"))
    return tuple(patterns)


def _basic(client_id: str, secret: str) -> Iterator[str]:
    """What HTTP's Basic authentication makes of both."""
    yield from _base64(f"{client_id}:{secret}")
    yield from _base64(f"{quote(client_id, safe='')}:{quote(secret, safe='')}")


def _base64(text: str) -> Iterator[str]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


@lru_cache(maxsize=64)
def _pattern(text: str) -> re.Pattern[str]:
    """Matches a text, each of its characters written in any of the usual ways."""
    return re.compile("".join(f"(?:{'|'.join(_ways(character))})" for character in text))


def _ways(character: str) -> Iterator[str]:
    """The character in URLs, JSON, HTML and Python's own notation, and at last as it is."""
    octets = character.encode("utf-8", "surrogatepass")
    # also encoded more than once
    yield "".join(f"%(?:25)*{_any_case(f'{octet:02x}')}" for octet in octets)
    if character in _PLAIN:
        yield re.escape(character)
        return
    if character == " ":
        yield r"\+"
    for notation in {json.dumps(character)[1:-1], ascii(character)[1:-1], f"\\{character}"}:
        yield _any_case(notation)
    code = ord(character)
    yield f"&#0*{code};"
    yield f"&#[xX]0*{_any_case(f'{code:x}')};"
    name = html.entities.codepoint2name.get(code, "apos" if character == "'" else None)
    if name is not None:
        yield f"&{name};"
    yield re.escape(character)


def _any_case(notation: str) -> str:
    return f"(?i:{re.escape(notation)})"

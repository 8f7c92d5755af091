"""What the API answers: a whole list or an error, and how either is shown to people."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import requests
from requests import Response
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, SSLError, Timeout
from urllib3.exceptions import ReadTimeoutError

from analytics_assets.errors import AnalyticsError, causes
from analytics_assets.rows.arrow import json_text
from analytics_assets.schema import RESULTS
from analytics_assets.text import one_line

# An answer with that many digits in a row may hold an integer of more than 64 bits, which orjson
# rounds. To look for it with a regular expression takes a fifteenth of a request's time.
_LONG_NUMBER: Final = b"0" * 19
_ZERO_FOR_DIGITS: Final = bytes.maketrans(b"123456789", b"0" * 9)
_QUOTED_LENGTH: Final = 200
_LINE_LENGTH: Final = 1000

Redact = Callable[[str], str]

Row = dict[str, Any]
"""A row of a list or report, as it came."""


class InvalidAnswer(requests.RequestException):
    """An answer with a status of success that is not a whole list.

    Attributes:
        status: The answer's status.
        quoted: What the API says about it, word for word.
    """

    def __init__(self, line: str, status: int, quoted: str | None = None) -> None:
        super().__init__(line)
        self.status = status
        self.quoted = quoted


def keep_answer(response: Response, data_selector: str = RESULTS) -> None:
    """Parses the answer once, and keeps it for `response.json()`.

    Raises:
        InvalidAnswer: It is no JSON with a list of objects where the selector says, or it tells of
            an error as well.
    """
    answer = _parsed(response)
    fault, quoted = _fault(answer, data_selector)
    if fault is not None or response.status_code == 202:  # accepted: the answer is yet to be made
        what = fault or "to say that it has no answer yet"
        raise _invalid(response, what, quoted)
    response.json = lambda **_: answer  # type: ignore[method-assign]


def rows_of(answer: Any, data_selector: str) -> Any:
    """What an answer has where the selector says: of a whole one, the list of rows."""
    for name in data_selector.split(".") if data_selector != "$" else ():
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer


def request_line(response: Response) -> str:
    """Method and path of the request, without host: `GET /v1/acme/campaigns/`."""
    request = response.request
    return f"{request.method} {request.path_url}"


def described(error: BaseException, redact: Redact) -> str:
    """One line, free of secrets, that names the request and what the API said."""
    return one_line(redact(_describe(error, redact)))[:_LINE_LENGTH]


def said(response: Response, redact: Redact) -> str:
    """What the API says in an answer that is not what was asked for; may be empty."""
    try:
        words = _words(response.json())
    except (ValueError, RecursionError):
        words = None
    if words is not None:
        return f": {_quote(words, redact)}"
    return f" with {_kind(response)}" if response.content else ""


def _quote(words: str, redact: Redact) -> str:
    # first whole, because what is cut off a secret can no longer be found; then without control
    # characters, which may have hidden one
    return one_line(redact(one_line(redact(words))))[:_QUOTED_LENGTH]


def _words(answer: Any) -> str | None:
    """The words for people in the JSON of an error."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list):
        return next((words for words in map(_words, answer) if words), None)
    if not isinstance(answer, dict):
        return None
    if answer.get("message"):
        message = answer["message"]
        return message if isinstance(message, str) else json_text(message)
    names = ("error", "error_description", "errors", "detail")
    parts = [_words(answer.get(name)) for name in names]
    return ": ".join(words for words in parts if words) or None


def _parsed(response: Response) -> Any:
    body = response.content
    if not body.strip():
        raise _invalid(response, "with an empty body, not JSON")
    try:
        return _loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise _invalid(response, f"with {_kind(response)}, not JSON") from None
    except ValueError as error:
        raise _invalid(response, f"with {error}") from None


def _loads(body: bytes) -> Any:
    try:
        if _LONG_NUMBER not in body.translate(_ZERO_FOR_DIGITS):
            return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # a lone surrogate, which the standard library reads, or not JSON
    return json.loads(body, parse_constant=_refuse_constant, parse_float=_finite_float)


def _fault(answer: Any, data_selector: str) -> tuple[str | None, str | None]:
    """Why it is no whole list, if so, and what it says itself."""
    results = rows_of(answer, data_selector)
    if not isinstance(results, list):
        return f"without a list of `{data_selector}`", _words(answer)
    for row in results:
        if not isinstance(row, dict):
            return f"with a {type(row).__name__} where a row should be", None
    if not isinstance(answer, dict):
        return None, None
    status = answer.get("http_status")
    if isinstance(status, int) and status >= 400:
        return f"with the error {status} in it", _words(answer)
    for name in ("errors", "error"):
        if name in answer and _says_something(answer[name]):
            fault = answer[name]
            return "with an error in it", _words(fault) or json_text(fault)
    return None, None


def _says_something(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_says_something, value.values()))
    if isinstance(value, list):
        return any(map(_says_something, value))
    return bool(value)


def _invalid(response: Response, what: str, quoted: str | None = None) -> InvalidAnswer:
    status = response.status_code
    return InvalidAnswer(f"{request_line(response)} answers {status} {what}", status, quoted)


def _refuse_constant(name: str) -> None:
    # Python reads NaN and Infinity; RFC 8259 has no such numbers, and neither have databases' json
    raise ValueError(f"the number {name}, which is not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:20]}, which no double can hold")
    return number


def _describe(error: BaseException, redact: Redact) -> str:
    if isinstance(error, InvalidAnswer):
        return f"{error}: {_quote(error.quoted, redact)}" if error.quoted else str(error)
    response = getattr(error, "response", None)
    if response is not None:
        words = said(response, redact)
        return f"{request_line(response)} answers {response.status_code}{words}"
    request = getattr(error, "request", None)
    if request is not None:
        return f"{request.method} {request.path_url}: {_failure(error)} ({_host(request.url)})"
    if isinstance(error, AnalyticsError):
        return str(error)
    # not the error itself: those of libraries show their own objects
    *_, first = causes(error)
    return f"unexpected {type(first).__name__}: {first}"


def _kind(response: Response) -> str:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
    return "an HTML page" if kind == "text/html" else f"a body of type {kind or 'unknown'}"


def _failure(error: BaseException) -> str:
    # a timeout within the body arrives as a ConnectionError around urllib3's own
    if isinstance(error, Timeout) or isinstance(next(iter(error.args), None), ReadTimeoutError):
        return "no answer in time"
    if isinstance(error, SSLError):
        return "no secure connection"
    if isinstance(error, (ChunkedEncodingError, ContentDecodingError)):
        return "the answer broke off or cannot be decoded"
    return "no connection"


def _host(url: str | None) -> str:
    parts = urlsplit(url or "")
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

"""Reads what the headers of an answer tell of the API's quotas."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from itertools import islice, zip_longest
from typing import Final

# names of headers are in small letters here
_STATE: Final = "ratelimit"
# the forms that came before; what is told more than once arrives as a list, as `10, 84`
_OLDER: Final = ("ratelimit-", "x-ratelimit-", "x-rate-limit-")
# as in `X-RateLimit-Remaining-Minute`, with its seconds
_WINDOWS: Final = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0}

_LONGEST_HEADER: Final = 2_000
# no quota is counted over longer than a day
_LONGEST_WINDOW: Final = 86_400.0
_HIGHEST_LIMIT: Final = 1e9
# A reset that is greater is a Unix time in seconds, or even in milliseconds.
_UNIX_SECONDS: Final = 1e9
_UNIX_MILLISECONDS: Final = 1e12

# an item of a list of structured fields (RFC 9651), and one of its parameters
_ITEM: Final = re.compile(r'("[^"]*"|[^\s;,="]+)((?:\s*[;=](?:[^,;"]|"[^"]*")*)*)')
_PARAMETER: Final = re.compile(r'[;=]\s*(?:([a-z]+)=)?("[^"]*"|[^;\s]*)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quota:
    """What an answer tells of one quota; None for what it does not tell.

    Attributes:
        name: The policy's name; where it has none, what it counts up to.
        partition: Whose requests it counts (`pk`), as the API words it; mostly empty.
        limit: Requests that a window has room for.
        window: A window's seconds.
        remaining: Requests that are left of this window.
        reset: Seconds until the window ends.
    """

    name: str
    partition: str = ""
    limit: float | None = None
    window: float | None = None
    remaining: float | None = None
    reset: float | None = None


def announced(headers: Mapping[str, str]) -> tuple[Quota, ...]:
    """The quotas that an answer's headers tell of, but for those that make no sense.

    Args:
        headers: The headers, their names in whatever case.
    """
    headers = {name.lower(): value for name, value in headers.items()}
    named = (headers.get(f"{prefix}policy") for prefix in _OLDER)
    policies = list(_policies(next(filter(None, named), _policies_behind_limit(headers))))
    states = list(_states(headers))
    found = [_merged(policy, states) for policy in policies]
    known = {quota.name for quota in found}
    found += [state for state in states if state.name not in known]
    found += _by_window(headers)
    return tuple(quota for quota in found if _makes_sense(quota))


def _policies_behind_limit(headers: Mapping[str, str]) -> str:
    """The policies as older drafts and Envoy have them: `84, 10;w=1, 84;w=60`."""
    limits = (headers.get(f"{prefix}limit", "") for prefix in _OLDER)
    behind = next((limit.partition(",")[2] for limit in limits if limit), "")
    return behind if ";" in behind else ""


def _policies(header: str) -> Iterator[Quota]:
    for value, parameters in _items(header):
        # `"default";q=84;w=60`, or `84;w=60` in older drafts
        limit = _number(parameters.get("q", value))
        if parameters.get("qu", "requests").lower() != "requests":
            limit = math.nan  # so that it makes no sense here: it counts bytes, or what is open
        window = _number(parameters.get("w") or parameters.get("window"))
        name = value if "q" in parameters else f"{value};w={parameters.get('w', '')}"
        yield Quota(name, parameters.get("pk", ""), limit, window)


def _states(headers: Mapping[str, str]) -> Iterator[Quota]:
    items = list(_items(headers.get(_STATE, "")))
    named = {value.lower(): parameters.get("", "") for value, parameters in items}
    if "remaining" in named:  # `limit=84, remaining=50, reset=30`, of older drafts
        yield _older(headers, named.get("limit"), named["remaining"], named.get("reset"))
        return
    for value, parameters in items:
        remaining, reset = _number(parameters.get("r")), _number(parameters.get("t"))
        yield Quota(value, parameters.get("pk", ""), remaining=remaining, reset=reset)
    if items:
        return
    for prefix in _OLDER:
        if (left := headers.get(f"{prefix}remaining")) is not None:
            lefts, resets = _values(left), _values(headers.get(f"{prefix}reset", ""))
            limits = _values(headers.get(f"{prefix}limit", ""))  # `84, 84;w=60` in older drafts
            for told in islice(zip_longest(limits, lefts, resets), len(lefts)):
                yield _older(headers, *told)
            return


def _older(
    headers: Mapping[str, str], limit: str | None, remaining: str, reset: str | None
) -> Quota:
    seconds = _number(reset)
    if seconds is not None and seconds > _UNIX_SECONDS:
        moment = seconds / 1000 if seconds > _UNIX_MILLISECONDS else seconds
        seconds = moment - _unix_time(headers.get("date"))
    return Quota(limit or "", "", _number(limit), None, _number(remaining), seconds)


def _by_window(headers: Mapping[str, str]) -> Iterator[Quota]:
    """One quota for each window that a header's name tells of, as gateways do."""
    for name, seconds in _WINDOWS.items():
        for prefix in _OLDER:
            if (left := headers.get(f"{prefix}remaining-{name}")) is not None:
                limit = _number(headers.get(f"{prefix}limit-{name}"))
                # when it ends is not told
                yield Quota(name, "", limit, seconds, _number(left), seconds)
                break


def _merged(policy: Quota, states: list[Quota]) -> Quota:
    """The policy with what its state tells; a state without a name belongs to its limit's."""
    for state in states:
        is_its = state.name == policy.name and policy.partition in ("", state.partition)
        if is_its or (state.limit is not None and state.limit == policy.limit):
            states.remove(state)
            reset = policy.window if state.reset is None else state.reset
            partition = state.partition or policy.partition
            return replace(policy, partition=partition, remaining=state.remaining, reset=reset)
    return policy


def _makes_sense(quota: Quota) -> bool:
    limit, window, remaining, reset = quota.limit, quota.window, quota.remaining, quota.reset
    if limit is not None and not 1 <= limit <= _HIGHEST_LIMIT:
        return False
    if window is not None and not 0 < window <= _LONGEST_WINDOW:
        return False
    if remaining is None or reset is None:  # the policy alone, which is enough
        return remaining is None and limit is not None and window is not None
    most = _HIGHEST_LIMIT if limit is None else limit
    return 0 <= remaining <= most and 0 <= reset <= _LONGEST_WINDOW


def _values(header: str) -> list[str]:
    return [value for value, _ in _items(header)]


def _items(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each item of a list: its value, and its parameters by name; `a=1` has one without a name."""
    for value, rest in _ITEM.findall(header[:_LONGEST_HEADER]):
        parameters = _PARAMETER.findall(rest)
        yield value.strip('"'), {name.lower(): text.strip('"') for name, text in parameters}


def _number(text: str | None) -> float | None:
    """The number; NaN, which no comparison holds for, where it cannot be read."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return math.nan


def _unix_time(date: str | None) -> float:
    """The API's own time, which may differ from ours."""
    try:
        return parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return time.time()

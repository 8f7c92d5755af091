"""What the server does besides serving lists: access, limits, paging, and faults on request."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

TOKEN_PATH = "/oauth/token"

QuotaScope = Literal["client", "account"]
QuotaKind = Literal["bucket", "fixed", "sliding"]
QuotaHeaders = Literal[
    "none",
    "draft",
    "older-draft",
    "policy",
    "ratelimit",
    "x-ratelimit",
    "x-ratelimit-unix",
    "x-ratelimit-minute",
]
RetryAfter = Literal["seconds", "date", "none"]
FaultValue = int | float | str | None

_FAULT = re.compile(
    r"(?P<kind>\w+)(=(?P<value>.*?))?(@(?P<path>[/*].*?))?(\*(?P<times>\d+))?", re.DOTALL
)


@dataclass(frozen=True)
class FaultKind:
    """What a kind of fault does, and the value that it takes.

    Attributes:
        description: What happens to a request that it hits.
        convert: Reads the value; None where the kind takes none.
        default: The value where none is given.
        required: Whether a value must be given.
    """

    description: str
    convert: Callable[[str | int | float], int | float | str] | None = None
    default: FaultValue = None
    required: bool = False


FAULT_KINDS: dict[str, FaultKind] = {
    "status": FaultKind("VALUE as status, with a JSON error", int, required=True),
    "html_status": FaultKind("VALUE as status, with a proxy's HTML page", int, required=True),
    "html_200": FaultKind("a login page in HTML, with status 200"),
    "too_many_requests": FaultKind("429; Retry-After: VALUE seconds, or none at all", int),
    "too_many_requests_until": FaultKind("429; Retry-After: the date VALUE seconds on", int, 1),
    "reset": FaultKind("the connection is reset before an answer"),
    "reset_in_body": FaultKind("the connection is reset in the middle of the body"),
    "cut_with_wrong_length": FaultKind("half the body, shorter than its Content-Length"),
    "cut_with_right_length": FaultKind("half the body, with a Content-Length that fits it"),
    "slow_drip": FaultKind("the body in twenty pieces, VALUE seconds apart", float, 0.5),
    "hang": FaultKind("no answer until the client gives up, or for VALUE seconds", float),
    "no_results": FaultKind("an answer without `results`"),
    "null_results": FaultKind("`results` is null"),
    "object_results": FaultKind("`results` is an object"),
    "empty_results": FaultKind("`results` is empty"),
    "not_json": FaultKind("a body that claims to be JSON and is not"),
    "expired_token": FaultKind("401: the request's token has expired"),
    "revoke_tokens": FaultKind("401: all tokens have been revoked"),
    "redirect": FaultKind("302 to the URL VALUE", str, required=True),
}


@dataclass
class Fault:
    """Spoils requests that would have succeeded.

    Attributes:
        kind: One of `FAULT_KINDS`.
        path: Glob on the path without prefix; a closing slash makes no difference. `*` is every
            list. The token endpoint is hit only by its own path, `/oauth/token`.
        times: How many requests are hit, the first ones; None is all of them.
        value: What the kind takes.
        hits: How many requests have been hit.
    """

    kind: str
    path: str = "*"
    times: int | None = None
    value: FaultValue = None
    hits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ValueError(f"unknown fault {self.kind!r}: one of {', '.join(FAULT_KINDS)}")
        kind = FAULT_KINDS[self.kind]
        if self.value is None:
            if kind.required:
                raise ValueError(f"the fault {self.kind!r} needs a value: {kind.description}")
            self.value = kind.default
        elif kind.convert is None:
            raise ValueError(f"the fault {self.kind!r} takes no value")
        else:
            try:
                self.value = kind.convert(self.value)
            except ValueError as error:
                raise ValueError(f"the fault {self.kind!r} cannot take {self.value!r}") from error

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Reads `KIND[=VALUE][@GLOB][*TIMES]`: `status=503@/v1/acme-0001-sc/*` or `reset*3`.

        Raises:
            ValueError: The text cannot be read as a fault.
        """
        match = _FAULT.fullmatch(text)
        if match is None:
            raise ValueError(f"cannot read the fault {text!r}: write KIND[=VALUE][@GLOB][*TIMES]")
        times = match["times"]
        return cls(
            kind=match["kind"],
            path=match["path"] or "*",
            times=None if times is None else int(times),
            value=match["value"],
        )

    def matches(self, path: str) -> bool:
        """Whether a request for this path would be hit now."""
        if self.times is not None and self.hits >= self.times:
            return False
        if path == TOKEN_PATH:
            return self.path == TOKEN_PATH
        return fnmatchcase(path.rstrip("/"), self.path.rstrip("/"))


@dataclass
class Behaviour:
    """How the server behaves. Everything can be changed while it runs.

    Attributes:
        client_id: The only client that gets tokens.
        client_secret: Its secret.
        token_lifetime: Seconds that a token is valid: the answer's `expires_in`.
        single_token: Whether only the newest token is valid.
        latency: Seconds before every answer but a refusal.
        quota: Requests per second; None is unlimited.
        quota_burst: Requests that the quota admits at once; by default, those of one second.
        quota_kind: How it counts: a bucket that fills at the rate, or windows that have room for
            the burst, and so last burst / rate seconds; sliding, or fixed by the clock.
        quota_headers: In which of the usual forms answers tell of the quota.
        headers: Further headers of every list and refusal.
        quota_scope: Whether the client has one quota, or one for each account.
        retry_after: How a refusal says when to come back.
        max_concurrent: Requests that may be in flight; None is unlimited. More are refused.
        page_size: Rows in a page of a list that the resource table declares as paged: the default
            and the most a client may ask for. None sends every list whole, whatever `page` says.
        ignores_page: Whether these lists come whole all the same.
        report_page_size: Rows of a report in one answer, at the most; None sends each whole.
            With `ignores_page`, the others cannot be had.
        prefix: Path that precedes every list's path, such as `/api/backstage`.
        api_version: The first part of the lists' paths; those of another are not there.
        strict_slashes: Whether a path must end as in the resource table.
        gzip: Whether lists are compressed for clients that accept it.
        forbidden_accounts: Accounts that answer 403.
        faults: What is spoiled; the first one that matches hits.
    """

    client_id: str = "sample-client"
    client_secret: str = "sample-secret"
    token_lifetime: float = 43200
    single_token: bool = False
    latency: float = 0.0
    quota: float | None = None
    quota_burst: int | None = None
    quota_kind: QuotaKind = "bucket"
    quota_headers: QuotaHeaders = "none"
    headers: dict[str, str] = field(default_factory=dict)
    quota_scope: QuotaScope = "client"
    retry_after: RetryAfter = "seconds"
    max_concurrent: int | None = None
    page_size: int | None = None
    ignores_page: bool = False
    report_page_size: int | None = None
    prefix: str = ""
    api_version: str = "v1"
    strict_slashes: bool = False
    gzip: bool = False
    forbidden_accounts: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        segments = self.prefix.strip("/")
        self.prefix = f"/{segments}" if segments else ""

    @property
    def burst(self) -> int:
        """Requests that the quota admits at once."""
        return self.quota_burst or max(1, int(self.quota or 1))

    @property
    def quota_window(self) -> float:
        """Seconds in which the quota admits as many requests as at once."""
        return self.burst / (self.quota or 1)

    def next_fault(self, path: str) -> Fault | None:
        """The fault that hits a request for this path, if any; counts the hit."""
        for fault in tuple(self.faults):
            if fault.matches(path):
                fault.hits += 1
                return fault
        return None

"""The sizes that are measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analytics_assets.sample_api import Behaviour, SampleData
from analytics_assets.sample_api.behaviour import QuotaScope

LATENCY = 0.05
"""Seconds before every answer."""

# The first accounts hold the sample data's awkward values, some of which plain dlt cannot load.
_AWKWARD_ACCOUNTS = 4


@dataclass(frozen=True)
class Workload:
    """What the sample API holds, and how it answers.

    Attributes:
        name: What tables and plots call it.
        accounts: Accounts that the API lists.
        campaigns: Campaigns of each account.
        items: Items of each campaign.
        motion_ads: Motion ads of each campaign.
        quota: Requests per second that are admitted; None is unlimited.
        quota_scope: Whether the quota is the client's, or each account has one.
        latency: Seconds before every answer.
    """

    name: str
    accounts: int
    campaigns: int
    items: int = 5
    motion_ads: int = 2
    quota: float | None = None
    quota_scope: QuotaScope = "client"
    latency: float = LATENCY

    @property
    def requests(self) -> int:
        """What a reader needs: a token, the accounts, five lists each and two per campaign."""
        return 2 + self.accounts * (4 + 2 * self.campaigns)

    def data(self) -> SampleData:
        """What the API serves: believable values only."""
        accounts = _AWKWARD_ACCOUNTS + self.accounts
        data = SampleData.generate(accounts, self.campaigns, self.items, self.motion_ads)
        for account_id in data.account_ids[:_AWKWARD_ACCOUNTS]:
            data.remove_account(account_id)
        return data

    def behaviour(self) -> Behaviour:
        """How the API serves it."""
        return Behaviour(latency=self.latency, quota=self.quota, quota_scope=self.quota_scope)


L = Workload("L", accounts=20, campaigns=100)

ONE = replace(L, name="one account", accounts=1, campaigns=10)

FEW = replace(L, name="a few accounts", accounts=5, campaigns=10)

GROWTH = (
    L,
    replace(L, name="accounts x 2", accounts=40),
    replace(L, name="accounts x 10", accounts=200),
    replace(L, name="campaigns x 10", campaigns=1000),
    replace(L, name="300 accounts", accounts=300),
)

# Each takes half a minute and more at its quota, so that its beginning does not decide.
QUOTAS = (
    Workload("20/s", accounts=20, campaigns=20, quota=20),
    Workload("100/s", accounts=20, campaigns=75, quota=100),
    Workload("400/s", accounts=40, campaigns=150, quota=400),
    Workload("20/s per account", accounts=8, campaigns=200, quota=20, quota_scope="account"),
)

SMOKE = Workload("smoke", accounts=2, campaigns=3)
"""Small enough to try whether everything runs."""

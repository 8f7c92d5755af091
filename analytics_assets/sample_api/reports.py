"""The reports that the sample API serves: figures by day that still change for a month."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs
from zlib import crc32
from zoneinfo import ZoneInfo

from analytics_assets.reports import TOTALS
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.sample_api.encoding import enveloped
from analytics_assets.sample_api.generator import Row
from analytics_assets.schema import Report, Resource

DayRows = Callable[[Resource, str, date], list[Row]]
"""Makes the rows that a report has of an account's day."""

_CHANGING_DAYS: Final = 30
_MOST_ITEMS: Final = 1_000
_SITES: Final = ("daily-example", "example-news", "sports.example", "weather-example")
_SUMMED: Final = (
    "impressions",
    "visible_impressions",
    "clicks",
    "spent",
    "conversions_value",
    "cpa_actions_num_from_clicks",
    "cpa_actions_num_from_views",
)


@dataclass(frozen=True, slots=True)
class ReportWindow:
    """The days that a request asks for, first and last included."""

    first: date
    last: date

    @classmethod
    def of_query(cls, query: str, report: Report) -> ReportWindow:
        """Reads `start_date=2026-01-01&end_date=2026-01-31`, or what the report calls them.

        Raises:
            ValueError: One is missing or no day, or the last comes before the first.
        """
        asked = parse_qs(query)
        names = (report.first_day_parameter, report.last_day_parameter)
        first, last = (date.fromisoformat(asked.get(name, [""])[-1]) for name in names)
        if last < first:
            raise ValueError(f"{last} comes before {first}")
        return cls(first, last)

    def days(self) -> Iterator[date]:
        """All of its days, in order."""
        for number in range((self.last - self.first).days + 1):
            yield self.first + timedelta(days=number)


class SampleReports:
    """Reports of the campaigns that are listed, and of some that were deleted.

    Rows follow from account, campaign and day alone, and from how long ago the day is: conversions
    come in and fraud is credited until it is 30 days ago.

    Args:
        rows: The rows of a list, by the names of its resource and account and its parent's id.
        generated_ids: The ids that an account's rows of a resource had at first.
        own: The user's own reports by name.
        day_rows: The rows of one of them on a day.

    Attributes:
        resources: The reports by name: those of the resource table, and the totals by day.
        now: The moment that it is; None for that of the clock.
    """

    def __init__(
        self,
        rows: Callable[..., list[Row]],
        generated_ids: Callable[[str, str], list[str]],
        own: Mapping[str, Resource],
        day_rows: DayRows,
    ) -> None:
        self.resources: Mapping[str, Resource] = {**RESOURCES.reports, **own, TOTALS.name: TOTALS}
        self.now: datetime | None = None
        self._listed = rows
        self._generated_ids = generated_ids
        self._pauses: dict[str, list[ReportWindow]] = {}
        self._rows: dict[str, Callable[[str, ReportWindow], Iterator[Row]]] = {
            "campaign_performance": self._by_campaign,
            "site_performance": self._by_site,
            "item_performance": self._by_item,
            TOTALS.name: self._totals,
            **{name: partial(self._own, of, day_rows) for name, of in own.items()},
        }

    def today(self, account_id: str) -> date:
        """The day that it is for an account."""
        return self._now().astimezone(self._zone(account_id)).date()

    def pause(self, account_id: str, first: date, last: date) -> None:
        """Takes the rows of some days out of an account's reports."""
        self._pauses.setdefault(account_id, []).append(ReportWindow(first, last))

    def resume(self, account_id: str) -> None:
        """Gives an account the rows of all days again."""
        self._pauses.pop(account_id, None)

    def rows(self, name: str, account_id: str, first: date, last: date) -> list[Row]:
        """The rows of a report as the API serves them now, of days that have begun."""
        last = min(last, self.today(account_id))
        rows = list(self._rows[name](account_id, ReportWindow(first, last)))
        if name == "item_performance":
            rows = sorted(rows, key=lambda row: -row["spent"])[:_MOST_ITEMS]
        return rows

    def answer(
        self, name: str, account_id: str, window: ReportWindow, rows: list[Row], total: int
    ) -> Any:
        """What the API sends with some of a report's rows, of which there are `total`."""
        made = self._now().replace(minute=0, second=0, microsecond=0)
        rest = {
            "timezone": made.astimezone(self._zone(account_id)).tzname(),
            "last-used-rawdata-update-time": f"{made:%Y-%m-%d %H:%M:%S}.0",
            "last-used-rawdata-update-time-gmt-millisec": int(made.timestamp() * 1000),
            "recordCount": len(rows),
            "metadata": {
                "total": total,
                "count": len(rows),
                "start_date": str(window.first),
                "end_date": str(window.last),
            },
        }
        return enveloped(rows, self.resources[name].data_selector, rest)

    def _now(self) -> datetime:
        return self.now or datetime.now(timezone.utc)

    def _account(self, account_id: str) -> Row:
        rows = self._listed(ACCOUNTS.name)
        return next((row for row in rows if row.get("account_id") == account_id), {})

    def _zone(self, account_id: str) -> ZoneInfo:
        name = self._account(account_id).get("time_zone_name")
        try:
            return ZoneInfo(name or "UTC")
        except (KeyError, ValueError, OSError):
            return ZoneInfo("UTC")

    def _campaigns(self, account_id: str) -> dict[str, str | None]:
        """The names of an account's campaigns by id; of one that was deleted, none."""
        listed = {str(row["id"]): row.get("name") for row in self._listed("campaigns", account_id)}
        deleted = self._generated_ids("campaigns", account_id)
        return {**dict.fromkeys(deleted), **_long_gone(account_id), **listed}

    def _by_campaign(self, account_id: str, window: ReportWindow) -> Iterator[Row]:
        campaigns, currency = self._campaigns(account_id), self._account(account_id).get("currency")
        today = self.today(account_id)
        paused = [day for each in self._pauses.get(account_id, ()) for day in each.days()]
        for day in window.days():
            for campaign, name in campaigns.items() if day not in paused else ():
                seed = crc32(f"{account_id}/{campaign}/{day}".encode())
                if seed % 7:  # on some days nothing of a campaign is shown
                    names = {"campaign": campaign, "campaign_name": name}
                    row = {"date": f"{day} 00:00:00.0", **names, "currency": currency}
                    yield _with_ratios({**row, **_figures(seed, (today - day).days)})

    def _by_site(self, account_id: str, window: ReportWindow) -> Iterator[Row]:
        for row in self._by_campaign(account_id, window):
            for site, part in zip(_SITES, _split(row, len(_SITES)), strict=True):
                yield {**part, "site": site, "site_name": site.replace("-", " ").title()}

    def _by_item(self, account_id: str, window: ReportWindow) -> Iterator[Row]:
        """The ads of all days together, without a day."""
        listed = {str(row["id"]) for row in self._listed("campaigns", account_id)}
        for campaign, row in _summed(self._by_campaign(account_id, window), "campaign").items():
            if campaign in listed:
                own = self._listed("campaign_items", account_id, campaign)
                items = [{"item": str(each["id"]), "old_item_version_id": None} for each in own]
            else:
                olds = (f"{campaign}{number} (Old version)" for number in range(2))
                items = [{"item": None, "old_item_version_id": old} for old in olds]
            for item, part in zip(items, _split(row, len(items)), strict=True):
                del part["date"]
                yield {**part, **item}

    def _own(
        self, report: Resource, day_rows: DayRows, account_id: str, window: ReportWindow
    ) -> Iterator[Row]:
        """A report that a user has declared; of one whose rows have no day, those of the last."""
        sends_day = report.report is None or report.report.has_days
        column = report.report.day_column if report.report else ""
        for day in window.days() if sends_day else [window.last]:
            for row in day_rows(report, account_id, day):
                yield row if sends_day else {k: v for k, v in row.items() if k != column}

    def _totals(self, account_id: str, window: ReportWindow) -> Iterator[Row]:
        for row in _summed(self._by_campaign(account_id, window), "date").values():
            yield {name: row[name] for name in row if not name.startswith("campaign")}


def _long_gone(account_id: str) -> dict[str, str]:
    """A campaign that was deleted before anybody read the list."""
    return {str(90_000_000 + crc32(account_id.encode()) % 1_000_000): "Deleted campaign"}


def _figures(seed: int, age: int) -> Row:
    """What is counted of a campaign on a day, so many days later."""
    come_in = min(max(age, 0), _CHANGING_DAYS) / _CHANGING_DAYS
    impressions = 1_000 + seed % 50_000
    clicks = impressions // (100 + seed % 400)
    from_clicks, from_views = (int(clicks * share * (1 + come_in)) for share in (0.1, 0.05))
    return {
        "impressions": impressions,
        "visible_impressions": impressions * 2 // 3,
        "clicks": clicks,
        # a part of it was fraud, and is credited day by day
        "spent": round(clicks * (20 + seed % 80) / 100 * (1 - come_in / 20), 2),
        "conversions_value": round((from_clicks + from_views) * 49.9, 2),
        "cpa_actions_num_from_clicks": from_clicks,
        "cpa_actions_num_from_views": from_views,
    }


def _with_ratios(row: Row) -> Row:
    """The row with what follows from its sums: rounded, and null where it would be by nothing."""

    def share(part: float, whole: float, of: int = 100) -> float | None:
        return round(of * part / whole, 2) if whole else None

    spent, clicks = row["spent"], row["clicks"]
    after_click, after_view = (row[f"cpa_actions_num_from_{of}"] for of in ("clicks", "views"))
    actions = after_click + after_view
    return {
        **row,
        "cpa_actions_num": actions,
        "roas": share(row["conversions_value"], spent, 1),
        "ctr": share(clicks, row["impressions"]),
        "vctr": share(clicks, row["visible_impressions"]),
        "cpc": share(spent, clicks, 1),
        "cpm": share(spent, row["impressions"], 1_000),
        "vcpm": share(spent, row["visible_impressions"], 1_000),
        "cpa": share(spent, actions, 1),
        "cpa_clicks": share(spent, after_click, 1),
        "cpa_views": share(spent, after_view, 1),
        "cpa_conversion_rate": share(actions, clicks),
        "cpa_conversion_rate_clicks": share(after_click, clicks),
        "cpa_conversion_rate_views": share(after_view, clicks),
    }


def _split(row: Row, parts: int) -> Iterator[Row]:
    """Rows whose sums are the row's."""
    for number in range(parts):
        shares = {}
        for name in _SUMMED:
            units = round(row[name] * 100) if isinstance(row[name], float) else row[name]
            share = units // parts + (number < units % parts)
            shares[name] = share / 100 if isinstance(row[name], float) else share
        yield _with_ratios({**row, **shares})


def _summed(rows: Iterator[Row], by: str) -> dict[str, Row]:
    """A row for each value of a column, with the sums of those that have it."""
    found: dict[str, Row] = {}
    for row in rows:
        before = found.get(row[by])
        sums = {name: round(row[name] + before[name], 2) for name in _SUMMED} if before else {}
        found[row[by]] = {**row, **sums}
    return {value: _with_ratios(row) for value, row in found.items()}

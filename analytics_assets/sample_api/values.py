"""The values of the sample data: believable ones by a column's name, awkward ones by its type."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from analytics_assets.schema import Column, ColumnType

Maker = Callable[[int], Any]
"""Turns a number, below 2**32 and as good as random, into a value."""

AWKWARD: dict[ColumnType, tuple[Any, ...]] = {
    "bigint": (2**63 - 1, None, -(2**63)),
    "double": (0.30000000000000004, 1, None, 1e-7),
    "bool": (None, False, True),
    "text": (
        "007",
        "",
        None,
        "Spring sale 🚀🏷️",
        "مرحبا بالعالم",
        "nul \u0000 inside",
        "2024-01-31 23:59:59.0",
        "2024-01-31",
        "9999-12-31",
    ),
    "json": (
        {"id": 2**53 + 1, "beyond": [2**64 + 1, -(10**30)], "share": 0.30000000000000004},
        [],
        None,
        {},
        [{"values": [], "limits": {}}, [[1, 1.0], [None, True]]],
        {"": "empty key", "text": "007", "emoji 🚀": "مرحبا \u0000"},
    ),
}
"""What ingestions are known to spoil."""

# no list of the package has a day
_AWKWARD_DAYS = ("2024-01-31 00:00:00.0", None, "9999-12-31")

_CHOICES: dict[str, tuple[str, ...]] = {
    "aggregation_type": ("LAST_TOUCH", "EVERY_CONVERSION", "SINGLE"),
    "approval_state": ("APPROVED", "APPROVED", "APPROVED", "PENDING", "REJECTED"),
    "bid_strategy": ("SMART", "FIXED", "MAX_CONVERSIONS", "TARGET_CPA"),
    "bid_type": ("FIXED", "OPTIMIZED_CONVERSIONS"),
    "branding_text": ("Acme Shop", "Globex Travel", "Initech Cloud", "Umbrella Health"),
    "campaign_item_type": ("ITEM", "RSS", "VIDEO"),
    "category": ("PURCHASE", "LEAD", "ADD_TO_CART", "SEARCH", "VIEW_CONTENT"),
    "country": ("US", "GB", "DE", "FR", "JP", "BR", "IL"),
    "currency": ("USD", "GBP", "EUR", "JPY", "BRL", "ILS"),
    "daily_ad_delivery_model": ("BALANCED", "ACCELERATED", "STRICT"),
    "data_type": ("PIXEL", "CUSTOMER_FILE", "LOOKALIKE"),
    "default_platform": ("DESK", "PHON", "TBLT"),
    "event_name": ("page_view", "add_to_cart", "make_purchase", "complete_registration"),
    "is_spend_guard_active": ("true", "false"),
    "language": ("EN", "DE", "FR", "JA", "PT", "HE"),
    "last_modified_by": ("jane.doe@example.com", "media-team@example.com", "api"),
    "marketing_objective": (
        "DRIVE_WEBSITE_TRAFFIC",
        "LEADS_GENERATION",
        "ONLINE_PURCHASES",
        "BRAND_AWARENESS",
        "MOBILE_APP_INSTALL",
    ),
    "media_upload_source": ("UPLOAD", "STUDIO", "LIBRARY"),
    "pricing_model": ("CPC", "CPC", "VCPM", "CPA"),
    "provider": ("FIRST_PARTY", "LIVERAMP", "ORACLE", "COMSCORE"),
    "safety_rating": ("G", "PG", "R"),
    "spending_limit_model": ("MONTHLY", "ENTIRE", "NONE"),
    "status": ("RUNNING", "RUNNING", "RUNNING", "PAUSED", "PENDING_APPROVAL", "EXPIRED"),
    "time_zone_name": ("US/Eastern", "Europe/London", "Europe/Berlin", "Asia/Tokyo"),
    "traffic_allocation_mode": ("OPTIMIZED", "EVEN"),
    "type": ("PAID", "SPONSORED", "BASIC", "EVENT_BASED"),
}

_THEMES = ("Spring Sale", "Brand Awareness", "Retargeting", "New Arrivals", "Lead Form", "App Push")
_AUDIENCES = ("Homepage visitors", "Cart abandoners", "Newsletter readers", "Recent buyers")
_HEADLINES = (
    "10 Gadgets Everyone Will Want This Year",
    "Doctors Are Surprised By This Simple Trick",
    "The Quiet Town Where Homes Still Cost Little",
    "How To Plan A Week Away For Less",
)
_DEVICES = ("Desktop", "Mobile", "Tablet")
_EPOCH = date(2024, 1, 1)


def maker(column: Column) -> Maker:
    """The maker of a column's believable values: by its name, else by its type."""
    name = column.name
    if column.type == "text":
        return _text_maker(name)
    if column.type == "date":
        return lambda number: _day(number % 700)
    if column.type == "json":
        return _json_maker(name)
    if column.type == "double":
        cents = 300 if name == "cpc" else 500_000
        return lambda number: number % cents / 100
    if column.type == "bool":
        return lambda number: number % 4 != 0
    return lambda number: number % 1_000_000


def awkward_values(column: Column) -> tuple[Any, ...]:
    """The awkward values that a column may hold."""
    values = AWKWARD.get(column.type, _AWKWARD_DAYS)
    return values if column.nullable else tuple(value for value in values if value is not None)


def _text_maker(name: str) -> Maker:
    if name in _CHOICES:
        return lambda number: _pick(_CHOICES[name], number)
    if name.endswith(("url", "image")):
        return lambda number: f"https://cdn.example.com/{name}/{number:x}?src=ads&id=${{click_id}}"
    if name.endswith("_at"):
        return lambda number: f"{_day(number % 700)} {number % 24:02}:{number % 60:02}:00.0"
    if name.endswith(("_date", "_in_utc")):
        later = 700 if name.startswith("end") else 0
        return lambda number: _day(number % 700 + later)
    if name == "title":
        return lambda number: _pick(_HEADLINES, number)
    if name == "audience_name":
        return lambda number: f"{_pick(_AUDIENCES, number)} {number % 180 + 1} days"
    if name.endswith("name"):
        return lambda number: f"{_pick(_THEMES, number)} | {_pick(_DEVICES, number)} {number % 100}"
    label = name.replace("_", " ")
    return lambda number: f"{label} {number % 1000}"


def _json_maker(name: str) -> Maker:
    if name.endswith("_targeting"):
        return _targeting
    if name.endswith(("_modifier", "_modifiers")):
        return _bid_modifier
    if name.endswith(("_ids", "_types")):
        return lambda number: [number % 10_000 + place for place in range(number % 3)]
    return lambda number: {"id": number, "state": _pick(("ON", "OFF"), number), "notes": []}


def _targeting(number: int) -> dict[str, Any]:
    if number % 3:
        return {"type": "ALL", "value": [], "href": None}
    return {"type": "INCLUDE", "value": list(_CHOICES["country"][: number % 5 + 1]), "href": None}


def _bid_modifier(number: int) -> dict[str, Any]:
    if number % 3:
        return {"values": []}
    target = f"publisher-{number % 500}"
    return {"values": [{"target": target, "cpc_modification": 1 + number % 50 / 100}]}


def _pick(choices: tuple[str, ...], number: int) -> str:
    return choices[number % len(choices)]


def _day(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).isoformat()

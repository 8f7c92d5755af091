"""The reports of the resource table: figures by day, asked for by a window of days.

They are loaded where the setting `extra_resources` names them.
"""

from __future__ import annotations

from typing import Final

from analytics_assets.schema import Report, Resource, columns

_FIGURES: Final = """
    currency text: The currency of the row's amounts, as a three-letter code.
    impressions bigint: How often the ads were served.
    visible_impressions bigint: How often they were seen, as the platform measures it.
    clicks bigint: How often they were clicked.
    spent double: What was spent, in the row's currency.
    conversions_value double: What the conversions are worth, in the row's currency.
    cpa_actions_num bigint: Conversions; they come in for weeks after the day of the click or view.
    cpa_actions_num_from_clicks bigint: Conversions after a click.
    cpa_actions_num_from_views bigint: Conversions after a view.
    roas double: Conversions' value for what was spent, rounded; never sum it.
    ctr double: Clicks for impressions, a rounded percentage; never sum it.
    vctr double: Clicks for visible impressions, a rounded percentage; never sum it.
    cpc double: What a click cost, rounded; never sum it.
    cpm double: What 1,000 impressions cost, rounded; never sum it.
    vcpm double: What 1,000 visible impressions cost, rounded; never sum it.
    cpa double: What a conversion cost, rounded; never sum it.
    cpa_clicks double: What a conversion after a click cost, rounded; never sum it.
    cpa_views double: What a conversion after a view cost, rounded; never sum it.
    cpa_conversion_rate double: Conversions for clicks, a rounded percentage; never sum it.
    cpa_conversion_rate_clicks double: The same after a click, a rounded percentage; never sum it.
    cpa_conversion_rate_views double: The same after a view, a rounded percentage; never sum it.
"""

_CAMPAIGN: Final = """
    campaign text !: The campaign: campaigns.id of the same account, unless it was deleted.
    campaign_name text: The campaign's name, for people.
"""

REPORTS: Final = (
    Resource(
        name="campaign_performance",
        path="/{version}/{account_id}/reports/campaign-summary/dimensions/campaign_day_breakdown",
        description=(
            "How an account's campaigns did, by day: what was spent, and what came of it. One row"
            " per day and campaign. Days of the last weeks still change."
        ),
        key=("account_id", "date", "campaign"),
        parent="campaigns",
        parent_column="campaign",
        report=Report(),
        columns=columns(
            f"""
            date date !: The day, in the account's time zone: accounts.time_zone_name.
            {_CAMPAIGN}{_FIGURES}"""
        ),
    ),
    Resource(
        name="site_performance",
        path=(
            "/{version}/{account_id}/reports/campaign-summary/dimensions"
            "/campaign_site_day_breakdown"
        ),
        description=(
            "How an account's campaigns did on each site that showed them, by day. One row per day,"
            " campaign and site. Days of the last weeks still change."
        ),
        key=("account_id", "date", "campaign", "site"),
        parent="campaigns",
        parent_column="campaign",
        report=Report(),
        columns=columns(
            f"""
            date date !: The day, in the account's time zone: accounts.time_zone_name.
            {_CAMPAIGN}
            site text !: The site, by the API's name for it.
            site_name text: The site's name, for people.
            {_FIGURES}"""
        ),
    ),
    Resource(
        name="item_performance",
        path="/{version}/{account_id}/reports/top-campaign-content/dimensions/item_breakdown",
        description=(
            "How the ads of an account did, by day: the 1,000 that did most. One row per day and"
            " ad. Days of the last weeks still change."
        ),
        key=("account_id", "date", "item_key"),
        parent="campaigns",
        parent_column="campaign",
        report=Report(
            has_days=False,
            name_column="item_key",
            named_by=(("campaign",), ("item", "old_item_version_id")),
        ),
        columns=columns(
            f"""
            date date !: The day that was asked for, in the account's time zone.
            item_key text !: Campaign and item, or what the API says in their place; see `item`.
            campaign text: The campaign: campaigns.id of the same account, unless it was deleted.
            campaign_name text: The campaign's name, for people.
            item text: The ad: campaign_items.id; null for some of deleted campaigns.
            old_item_version_id text: What the API calls the ad where `item` is null.
            {_FIGURES}"""
        ),
    ),
)

RECONCILED: Final = "campaign_performance"
"""The report whose sums are compared with `TOTALS`."""

TOTALS: Final = Resource(
    name="day_totals",
    path="/{version}/{account_id}/reports/campaign-summary/dimensions/day",
    description="An account's figures by day, by which those of its campaigns are judged.",
    key=("account_id", "date"),
    report=Report(),
    columns=columns(
        f"""
        date date !: The day, in the account's time zone: accounts.time_zone_name.
        {_FIGURES}"""
    ),
)
"""What the API itself makes of all campaigns: no table, and asked for to compare."""

"""The resource table: the one place where a resource is declared.

Assets, lineage, checks, table schemas and the sample API all follow from it: a further resource is
a further entry here.
"""

from __future__ import annotations

import re
from typing import Final

from analytics_assets.schema import Resource, columns, resource_table

_DECLARED = (
    Resource(
        name="accounts",
        path="/v1/users/current/allowed-accounts",
        description=(
            "Every advertising account that the API client may read. One row per account; its"
            " `account_id` is the partition key of all other assets."
        ),
        key=("account_id",),
        parent=None,
        columns=columns("""
            id bigint !, account_id text !, name text, type text, country text, currency text,
            language text, time_zone_name text, default_platform text, is_active bool, is_fla bool,
            partner_types json, campaign_types json
        """),
    ),
    Resource(
        name="campaigns",
        path="/v1/{account_id}/campaigns/",
        description=(
            "The campaigns of an account: what is promoted, the bid, the budget and its use, the"
            " schedule, and whom the campaign targets. One row per campaign."
        ),
        columns=columns("""
            id text !, advertiser_id text, name text, branding_text text, tracking_code text,
            comments text, type text, campaign_item_type text, pricing_model text, bid_type text,
            bid_strategy text, marketing_objective text, cpc double, cpa_goal double,
            daily_cap double, spent double, spending_limit double, spending_limit_model text,
            daily_ad_delivery_model text, traffic_allocation_mode text, safety_rating text,
            approval_state text, status text, is_active bool, is_spend_guard_active text,
            start_date text, end_date text, start_date_in_utc text, end_date_in_utc text,
            performance_rule_ids json, policy_review json, conversion_rules json,
            activity_schedule json, predefined_targeting_options json, external_brand_safety json,
            publisher_bid_modifier json, publisher_platform_bid_modifier json,
            publisher_bid_strategy_modifiers json, platform_bid_modifier json,
            day_time_bid_modifier json, country_targeting json, sub_country_targeting json,
            region_country_targeting json, dma_country_targeting json, city_targeting json,
            postal_code_targeting json, contextual_targeting json,
            contextual_segments_targeting json, custom_contextual_targeting json,
            platform_targeting json, os_targeting json, browser_targeting json,
            connection_type_targeting json, publisher_targeting json,
            auto_publisher_targeting json, segments_targeting json, audiences_targeting json,
            custom_audience_targeting json, lookalike_audience_targeting json,
            marking_label_multi_targeting json, audience_segments_multi_targeting json
        """),
    ),
    Resource(
        name="campaign_items",
        path="/v1/{account_id}/campaigns/{parent_id}/items/",
        description=(
            "The ads of a campaign: the promoted page with its title, picture and approval. One row"
            " per item."
        ),
        parent="campaigns",
        parent_column="campaign_id",
        paged=True,
        columns=columns("""
            id text !, campaign_id text !, type text, url text, title text, description text,
            thumbnail_url text, approval_state text, status text, is_active bool,
            policy_review json, custom_data json, creative_focus json
        """),
    ),
    Resource(
        name="motion_ads",
        path="/v1/{account_id}/campaigns/{parent_id}/performance-video/items/",
        description=(
            "The motion ads of a campaign: ads that show a short video or an animation, with its"
            " fallback picture. One row per motion ad."
        ),
        parent="campaigns",
        parent_column="campaign_id",
        paged=True,
        columns=columns("""
            id text !, campaign_id text !, url text, title text, description text, video_url text,
            gif_url text, fallback_url text, recommended_fbimage text, media_upload_source text,
            approval_state text, status text, is_active bool, policy_review json, custom_data json,
            motion_ads_studio json
        """),
    ),
    Resource(
        name="audiences",
        path="/v1/{account_id}/combined_audiences/resources/audiences",
        description=(
            "The audiences that an account can target or exclude, with their provider and size. One"
            " row per audience and account: an audience that accounts share is listed under each."
        ),
        columns=columns("""
            id bigint !, audience_name text, description text, provider text, data_type text,
            size bigint, is_archived bool, exclude_from_campaigns bool
        """),
    ),
    Resource(
        name="audience_rules",
        path="/v1/{account_id}/universal_pixel/custom_audience_rule",
        description=(
            "The rules by which an account's pixel collects visitors into an audience. One row per"
            " rule."
        ),
        columns=columns("""
            id bigint !, advertiser_id text, display_name text, event_name text, type text,
            category text, status text, condition json, audience_size bigint,
            look_back_window bigint, exclude_from_campaigns bool, last_modified_at text,
            last_modified_by text
        """),
    ),
    Resource(
        name="conversion_rules",
        path="/v1/{account_id}/universal_pixel/conversion_rule",
        description=(
            "The rules by which an account's pixel counts a conversion and what it is worth. One"
            " row per rule."
        ),
        columns=columns("""
            id bigint !, advertiser_id text, display_name text, event_name text, type text,
            category text, status text, condition json, effects json, aggregation_type text,
            look_back_window bigint, view_through_look_back_window bigint,
            exclude_from_campaigns bool, include_in_total_value bool,
            include_in_total_conversions bool, last_modified_at text, last_modified_by text
        """),
    ),
)

RESOURCES: dict[str, Resource] = resource_table(_DECLARED)
"""Every resource by name, each parent before its children."""

ACCOUNTS = RESOURCES["accounts"]
"""The root: the list of accounts, which partitions everything else."""

ACCOUNT_RESOURCES: dict[str, Resource] = {
    name: resource for name, resource in RESOURCES.items() if resource.parent is not None
}
"""The resources that are read account by account."""


_PATHS: Final = {
    name: re.compile(".*" + re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(resource.path)).rstrip("/"))
    for name, resource in RESOURCES.items()
}


def resource_of(path_url: str) -> str:
    """The name of the resource that a request's path, with or without query, asks for.

    Empty where it is none's: where a redirect led, for example.
    """
    path = path_url.partition("?")[0].rstrip("/")
    return next((name for name, pattern in _PATHS.items() if pattern.fullmatch(path)), "")

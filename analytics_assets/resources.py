"""The resource table: the one place where the package declares a resource.

Assets, lineage, checks, table schemas, comments and the sample API all follow from it: a further
resource is a further entry here, and a further report one in `reports`. `columns` says how columns
are written. A resource that only one user has is an entry in the settings: `own_resources`.
"""

from __future__ import annotations

from typing import Final

from analytics_assets.reports import REPORTS
from analytics_assets.schema import Resource, columns, resource_table

_DECLARED = (
    Resource(
        name="accounts",
        path="/{version}/users/current/allowed-accounts",
        description=(
            "Every advertising account that the API client may read. One row per account; its"
            " `account_id` is the partition key of all other assets."
        ),
        key=("account_id",),
        parent=None,
        columns=columns("""
            id bigint !: The API's number of the account.
            account_id text !: The account's name in paths, such as acme-0001-sc; the partition key.
            name text: The account's name, for people.
            type text: The kind of account, such as one advertiser or a network of several.
            country text: The advertiser's country, as a two-letter code.
            currency text: The currency of all the account's amounts, as a three-letter code.
            language text: The language of the account's users, as a code.
            time_zone_name text: The time zone of the account's days, such as US/Eastern.
            default_platform text: The device that is meant where none is named, such as DESK.
            is_active bool: Whether the account is in use.
            is_fla bool: The API's flag "fla", which its documents do not explain.
            partner_types json: What the account is to the network, such as ADVERTISER: a list.
            campaign_types json: The kinds of campaign that the account may have: a list.
        """),
    ),
    Resource(
        name="campaigns",
        path="/{version}/{account_id}/campaigns/",
        description=(
            "The campaigns of an account: what is promoted, the bid, the budget and its use, the"
            " schedule, and whom the campaign targets. One row per campaign."
        ),
        columns=columns("""
            id text !: The campaign's number, which may be beyond 2**53 and therefore is text.
            advertiser_id text: The account that the campaign belongs to, by the API's name for it.
            name text: The campaign's name, for people.
            branding_text text: The advertiser's name as readers see it on each ad.
            tracking_code text: The parameters that are added to the URL of each ad.
            comments text: The advertiser's own notes.
            type text: The kind of campaign, such as PAID.
            campaign_item_type text: The kind of ads in the campaign.
            pricing_model text: What is paid for, such as CPC (clicks) or VCPM (1,000 views).
            bid_type text: Whether the bid is fixed or adjusted by the platform.
            bid_strategy text: How the platform chooses each bid.
            marketing_objective text: What the campaign is for, such as leads or visits.
            cpc double: The bid for a click, in the account's currency.
            cpa_goal double: What an action is meant to cost, in the account's currency.
            daily_cap double: The most to spend in a day, in the account's currency.
            spent double: What was spent until now, in the account's currency.
            spending_limit double: The budget, in the account's currency; see spending_limit_model.
            spending_limit_model text: What the budget is for: a month, all time, or NONE.
            daily_ad_delivery_model text: How a day's budget is spread over the day.
            traffic_allocation_mode text: How views are shared among the ads: evenly or by success.
            safety_rating text: For which readers the content is fit, as a rating.
            approval_state text: What the review says: approved, rejected or pending.
            status text: What the campaign does now, such as RUNNING or PAUSED.
            is_active bool: Whether it is switched on; status says whether it runs.
            is_spend_guard_active text: Whether the guard against overspending is on, as text.
            start_date text: The first day, in the account's time zone; 2024-01-31 or with a time.
            end_date text: The last day, in the account's time zone; 9999-12-31 for none.
            start_date_in_utc text: The first day, in UTC.
            end_date_in_utc text: The last day, in UTC; 9999-12-31 for none.
            performance_rule_ids json: The numbers of the rules that adjust the campaign: a list.
            policy_review json: Why the review rejected the campaign, or what it asks for.
            conversion_rules json: The conversion rules by which the campaign is measured.
            activity_schedule json: The days of the week and the hours at which ads are shown.
            predefined_targeting_options json: The platform's ready-made choices of whom to reach.
            external_brand_safety json: The outside service that keeps ads off unfit pages.
            publisher_bid_modifier json: By publisher, the factor on the bid.
            publisher_platform_bid_modifier json: By publisher and device, the factor on the bid.
            publisher_bid_strategy_modifiers json: By publisher, another bid strategy.
            platform_bid_modifier json: By device, the factor on the bid.
            day_time_bid_modifier json: By day and hour, the factor on the bid.
            country_targeting json: The countries to target or to leave out.
            sub_country_targeting json: The parts of countries to target or to leave out.
            region_country_targeting json: The regions or states to target or to leave out.
            dma_country_targeting json: The DMAs (US media markets) to target or to leave out.
            city_targeting json: The cities to target or to leave out.
            postal_code_targeting json: The postal codes to target or to leave out.
            contextual_targeting json: The subjects of pages to target or to leave out.
            contextual_segments_targeting json: The sets of subjects to target or to leave out.
            custom_contextual_targeting json: The account's own subjects to target or to leave out.
            platform_targeting json: The devices to target or to leave out.
            os_targeting json: The operating systems and versions to target or to leave out.
            browser_targeting json: The browsers to target or to leave out.
            connection_type_targeting json: The kinds of connection to target or to leave out.
            publisher_targeting json: The publishers to target or to leave out.
            auto_publisher_targeting json: The publishers that the platform chooses or leaves out.
            segments_targeting json: The segments of users to target or to leave out.
            audiences_targeting json: The audiences to target or to leave out.
            custom_audience_targeting json: The account's own audiences to target or to leave out.
            lookalike_audience_targeting json: The kinds of lookalike users to target or leave out.
            marking_label_multi_targeting json: The labels of users to target or to leave out.
            audience_segments_multi_targeting json: The sets of segments to target or to leave out.
        """),
    ),
    Resource(
        name="campaign_items",
        path="/{version}/{account_id}/campaigns/{parent_id}/items/",
        description=(
            "The ads of a campaign: the promoted page with its title, picture and approval. One row"
            " per item."
        ),
        parent="campaigns",
        parent_column="campaign_id",
        paged=True,
        columns=columns("""
            id text !: The item's number, which may be beyond 2**53 and therefore is text.
            campaign_id text !: The campaign that shows it: campaigns.id of the same account.
            type text: The kind of item.
            url text: The page that a click leads to.
            title text: The headline that readers see.
            description text: The text below the headline.
            thumbnail_url text: The picture.
            approval_state text: What the review says: approved, rejected or pending.
            status text: What the item does now, such as RUNNING or PAUSED.
            is_active bool: Whether it is switched on; status says whether it runs.
            policy_review json: Why the review rejected the item, or what it asks for.
            custom_data json: The advertiser's own data about the item.
            creative_focus json: The part of the picture that stays in view when it is cropped.
        """),
    ),
    Resource(
        name="motion_ads",
        path="/{version}/{account_id}/campaigns/{parent_id}/performance-video/items/",
        description=(
            "The motion ads of a campaign: ads that show a short video or an animation, with its"
            " fallback picture. One row per motion ad."
        ),
        parent="campaigns",
        parent_column="campaign_id",
        paged=True,
        columns=columns("""
            id text !: The ad's number, which may be beyond 2**53 and therefore is text.
            campaign_id text !: The campaign that shows it: campaigns.id of the same account.
            url text: The page that a click leads to.
            title text: The headline that readers see.
            description text: The text below the headline.
            video_url text: The video, where the ad has one.
            gif_url text: The animation, where the ad has one.
            fallback_url text: The picture that is shown where nothing can move.
            recommended_fbimage text: The picture that the platform recommends for this.
            media_upload_source text: Where the video or animation came from, as a code.
            approval_state text: What the review says: approved, rejected or pending.
            status text: What the ad does now, such as RUNNING or PAUSED.
            is_active bool: Whether it is switched on; status says whether it runs.
            policy_review json: Why the review rejected the ad, or what it asks for.
            custom_data json: The advertiser's own data about the ad.
            motion_ads_studio json: How the ad was made in the platform's own editor.
        """),
    ),
    Resource(
        name="audiences",
        path="/{version}/{account_id}/combined_audiences/resources/audiences",
        description=(
            "The audiences that an account can target or exclude, with their provider and size. One"
            " row per audience and account: an audience that accounts share is listed under each."
        ),
        columns=columns("""
            id bigint !: The audience's number; unique within an account only.
            audience_name text: The audience's name, for people.
            description text: What the audience is, for people.
            provider text: Who supplies it: the advertiser, the platform or a data company.
            data_type text: What it is made from, such as visits or a list of customers.
            size bigint: How many users are in it.
            is_archived bool: Whether it has been put away.
            exclude_from_campaigns bool: Whether the account's campaigns leave the audience out.
        """),
    ),
    Resource(
        name="audience_rules",
        path="/{version}/{account_id}/universal_pixel/custom_audience_rule",
        description=(
            "The rules by which an account's pixel collects visitors into an audience. One row per"
            " rule."
        ),
        columns=columns("""
            id bigint !: The rule's number; unique within an account only.
            advertiser_id text: The account that the rule belongs to, by the API's name for it.
            display_name text: The rule's name, for people.
            event_name text: The event that the pixel reports.
            type text: Whether the rule looks at the page that is visited or at an event.
            category text: What the rule is about, as a code.
            status text: Whether the rule is in use, as a code.
            condition json: What a visit or event must be like to count.
            audience_size bigint: How many users are in the audience now.
            look_back_window bigint: The days that a user stays in the audience after the visit.
            exclude_from_campaigns bool: Whether the account's campaigns leave the audience out.
            last_modified_at text: When it was last changed: 2024-01-31, or with a time.
            last_modified_by text: Who last changed it.
        """),
    ),
    Resource(
        name="conversion_rules",
        path="/{version}/{account_id}/universal_pixel/conversion_rule",
        description=(
            "The rules by which an account's pixel counts a conversion and what it is worth. One"
            " row per rule."
        ),
        columns=columns("""
            id bigint !: The rule's number; unique within an account only.
            advertiser_id text: The account that the rule belongs to, by the API's name for it.
            display_name text: The rule's name, for people.
            event_name text: The event that the pixel reports.
            type text: Whether the rule looks at the page that is visited or at an event.
            category text: What the conversion is, such as PURCHASE or LEAD.
            status text: Whether the rule is in use, as a code.
            condition json: What a visit or event must be like to count.
            effects json: What follows from a conversion, such as the revenue that it counts for.
            aggregation_type text: Which of a user's conversions count: each, or one.
            look_back_window bigint: The days after a click in which a user can convert.
            view_through_look_back_window bigint: The days after a view in which a user can convert.
            exclude_from_campaigns bool: Whether the account's campaigns leave the rule out.
            include_in_total_value bool: Whether its value counts in the total value.
            include_in_total_conversions bool: Whether it counts in the total number of conversions.
            last_modified_at text: When it was last changed: 2024-01-31, or with a time.
            last_modified_by text: Who last changed it.
        """),
    ),
)

RESOURCES: Final = resource_table((*_DECLARED, *REPORTS))
"""The resources that the package knows; settings may add others."""

ACCOUNTS: Final = RESOURCES["accounts"]
"""The root: the list of accounts, which partitions everything else."""

"""The catalog: the asset graph, and what an asset's page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from analytics_assets import resources
from analytics_assets_tests.testing.deployment import LOCATION
from analytics_assets_tests.testing.reports import CAMPAIGNS
from analytics_assets_tests.testing.scene import Scene

pytestmark = pytest.mark.browser

EDGES = {
    ("accounts", "campaigns"),
    ("accounts", "audiences"),
    ("accounts", "audience_rules"),
    ("accounts", "conversion_rules"),
    ("campaigns", "campaign_items"),
    ("campaigns", "motion_ads"),
    ("campaigns", CAMPAIGNS),
}
ASSETS = {name for edge in EDGES for name in edge}

# The boxes and arrows of the graph; an arrow is from and to the boxes beside which it ends.
DRAWN_GRAPH = """() => {
    const boxes = [...document.querySelectorAll("foreignObject")].map((box) => {
        const [x, y, width, height] = ["x", "y", "width", "height"].map((name) =>
            parseFloat(box.getAttribute(name)));
        const name = box.firstElementChild.innerText.trim().split("\\n")[0];
        return {name, x, y, width, height};
    });
    const beside = (edgeOf, x, y) => boxes.find((box) =>
        Math.abs(edgeOf(box) - x) < 20 && box.y <= y && y <= box.y + box.height)?.name;
    const arrows = [...document.querySelectorAll("path[marker-end]")].map((path) => {
        const numbers = path.getAttribute("d").match(/-?[\\d.]+/g).map(Number);
        const [toX, toY] = numbers.slice(-2);
        return [
            beside((box) => box.x + box.width, numbers[0], numbers[1]),
            beside((box) => box.x, toX, toY),
        ];
    });
    return {names: boxes.map((box) => box.name), arrows};
}"""


def test_the_graph_shows_the_assets_and_their_edges(page: Page, scene: Scene):
    page.goto(f"/locations/{LOCATION}/asset-groups/analytics")
    for name in ASSETS:
        expect(page.locator("foreignObject").get_by_text(name, exact=True).first).to_be_visible()
    expect(page.locator("path[marker-end]").first).to_be_attached()
    drawn = page.evaluate(DRAWN_GRAPH)
    assert sorted(drawn["names"]) == sorted(ASSETS)
    assert sorted(tuple(arrow) for arrow in drawn["arrows"]) == sorted(EDGES)

    nodes = scene.deployment.graphql(
        "{ assetNodes { assetKey { path } groupName dependencyKeys { path } } }"
    )["assetNodes"]
    assert {node["groupName"] for node in nodes} == {"analytics"}
    assert {"/".join(node["assetKey"]["path"]) for node in nodes} == ASSETS
    assert {
        ("/".join(key["path"]), "/".join(node["assetKey"]["path"]))
        for node in nodes
        for key in node["dependencyKeys"]
    } == EDGES


def test_an_asset_is_described_down_to_its_columns(page: Page):
    page.goto("/assets/campaigns")
    expect(page.get_by_text("The campaigns of an account")).to_be_visible()
    expect(page.get_by_text("/v1/{account_id}/campaigns/").first).to_be_visible()
    expect(page.get_by_text("analytics.campaigns", exact=True).first).to_be_visible()
    types = {
        "account_id": "text",
        "id": "text",
        "name": "text",
        "daily_cap": "double",
        "is_active": "bool",
        "country_targeting": "json",
        "audience_segments_multi_targeting": "json",
    }
    expect(page.get_by_role("cell", name="daily_cap", exact=True)).to_be_visible()
    rows = [text.split() for text in page.get_by_role("row").all_inner_texts()]
    shown = {words[0]: words[1:] for words in rows if words}
    assert {name: shown[name][:1] for name in types} == {name: [types[name]] for name in types}
    for name in ("account_id", "id"):
        assert {"non-nullable", "primary", "key"} <= set(shown[name])
    expect(
        page.get_by_text("The most to spend in a day, in the account's currency.")
    ).to_be_visible()


def test_an_asset_tells_how_fresh_it_is_and_where_its_code_is(page: Page):
    page.goto("/assets/campaigns")
    expect(page.get_by_text("Passing", exact=True).first).to_be_visible()
    expect(
        page.get_by_text("Warns if more than 36 hours since last materialization")
    ).to_be_visible()
    link = page.get_by_role("link").filter(has=page.get_by_title("resource table", exact=True))
    expect(link).to_have_attribute(
        "href", re.compile("^vscode://file/.*/analytics_assets/resources.py:[0-9]+$")
    )
    line = int(str(link.get_attribute("href")).rpartition(":")[2])
    entry = Path(resources.__file__).read_text(encoding="utf-8").splitlines()[line - 1]
    assert entry.strip() == 'name="campaigns",'


# Whether the line of a plot was drawn: axes and letters are grey, and the line is blue.
IS_DRAWN = """(canvas) => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 200 && data[i + 2] - data[i + 1] > 100) return true;
    return false;
}"""


@pytest.mark.parametrize(
    ("asset", "figures"),
    [
        ("campaign_items", ("dagster/partition_row_count", "requests", "seconds_to_fetch")),
        (CAMPAIGNS, ("rows_loaded", "spent", "days_changed")),
    ],
)
def test_an_assets_figures_are_plotted(page: Page, asset: str, figures: tuple[str, ...]):
    page.goto(f"/assets/{asset}")
    page.get_by_role("button", name="Plots").click()
    for by in ("Partitions", "Events"):
        page.get_by_role("button", name=by).last.click()
        for name in figures:
            canvas = page.get_by_text(name, exact=True).locator("xpath=../..").locator("canvas")
            expect(canvas).to_be_visible()
            page.wait_for_function(IS_DRAWN, arg=canvas.element_handle())


# The open-source UI draws no column lineage; what reads it, reads it from materialisations.
COLUMN_LINEAGE = """{ assetNodes(assetKeys: [{path: ["campaign_items"]}]) {
    assetMaterializations(limit: 1) { metadataEntries {
        label
        ... on TableColumnLineageMetadataEntry { lineage {
            columnName columnDeps { assetKey { path } columnName }
        } }
    } }
} }"""


def test_a_column_leads_to_the_one_it_comes_from(scene: Scene):
    (node,) = scene.deployment.graphql(COLUMN_LINEAGE)["assetNodes"]
    (event,) = node["assetMaterializations"]
    entries = {entry["label"]: entry for entry in event["metadataEntries"]}
    lineage = {
        column["columnName"]: [
            (*dependency["assetKey"]["path"], dependency["columnName"])
            for dependency in column["columnDeps"]
        ]
        for column in entries["dagster/column_lineage"]["lineage"]
    }
    assert lineage == {
        "account_id": [("campaigns", "account_id")],
        "campaign_id": [("campaigns", "id")],
    }

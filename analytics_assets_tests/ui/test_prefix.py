"""The web UI below a path, behind nginx, by what the page on maintenance says."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, WebSocket, expect

from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.deployment import free_port
from analytics_assets_tests.testing.fleet import until
from analytics_assets_tests.testing.scene import Scene
from analytics_assets_tests.ui.conftest import TIMEOUT_MS

pytestmark = pytest.mark.browser

PAGE = CHECKOUT / "docs" / "maintenance.md"
CONFIGURATION = """
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""


@pytest.fixture(scope="module")
def url(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where nginx answers for the web UI."""
    if shutil.which("nginx") is None:
        pytest.skip("no nginx on this machine; on Debian: apt-get install nginx-light")
    [location] = re.findall(r"^```nginx\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    with scene.deployment.serving_below("/analytics") as behind:
        location = location.replace("127.0.0.1:3000", f"127.0.0.1:{behind}")
        (folder / "nginx.conf").write_text(CONFIGURATION.format(port=port, location=location))
        nginx = subprocess.Popen(["nginx", "-p", folder, "-e", "stderr", "-c", "nginx.conf"])
        try:
            url = f"http://127.0.0.1:{port}/analytics"
            until(lambda: answers(f"{url}/server_info"), "the web UI's answer")
            yield url
        finally:
            nginx.terminate()
            nginx.wait()


def answers(url: str) -> bool:
    try:
        return requests.get(url, proxies={"all": ""}, timeout=10).ok
    except requests.ConnectionError:
        return False


def test_the_page_of_a_run_loads_and_follows_it(url: str, scene: Scene, browser: Browser):
    runs = scene.deployment.graphql("{ runsOrError { ... on Runs { results { runId status } } } }")
    run = next(run for run in runs["runsOrError"]["results"] if run["status"] == "FAILURE")
    frames: list[str | bytes] = []

    def follow(socket: WebSocket) -> None:
        socket.on("framereceived", lambda told: frames.append(told))  # no builtin does

    with browser.new_page() as page:
        page.on("websocket", follow)
        page.goto(f"{url}/runs/{run['runId']}")  # as an alert has it, of `ui_url`
        expect(page.get_by_text("RUN_FAILURE").first).to_be_visible(timeout=TIMEOUT_MS)
    assert any("RunFailureEvent" in str(told) for told in frames)

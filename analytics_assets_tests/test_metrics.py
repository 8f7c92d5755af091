"""What a run pushes to a collector, which decodes what comes over HTTP."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import Result
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics

from analytics_assets.metrics import RunFigures, pushed
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.commands import Commands
from analytics_assets_tests.testing.tables import query

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Collector(ThreadingHTTPServer):
    """Keeps what is pushed to it, the latest of each step."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.pushes = 0
        self.answers = threading.Event()
        self.answers.set()
        self.steps: dict[str, ResourceMetrics] = {}
        self.pushed = threading.Condition()

    def figures(self, name: str, attribute: str = "resource") -> dict[str, float]:
        """The figures of a metric by the value of its attribute, all steps together."""
        found: Counter[str] = Counter()
        for step in self.steps.values():
            for metric in (each for scope in step.scope_metrics for each in scope.metrics):
                for point in metric.sum.data_points if metric.name == name else ():
                    key = {each.key: each.value.string_value for each in point.attributes}
                    assert set(key) <= {attribute}
                    found[key.get(attribute, "")] += point.as_int or point.as_double
        return dict(found)

    def wait_for(self, name: str, figures: dict[str, float]) -> None:
        with self.pushed:
            assert self.pushed.wait_for(lambda: self.figures(name) == figures, 60)


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.answers.wait()
        assert self.path == "/v1/metrics"
        for step in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            of = {each.key: each.value.string_value for each in step.resource.attributes}
            self.server.steps[f"{of['service.name']}: {of['service.instance.id']}"] = step
        with self.server.pushed:
            self.server.pushes += 1
            self.server.pushed.notify_all()
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(ExportMetricsServiceResponse().SerializeToString())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{server.server_port}")
        try:
            yield server
        finally:
            server.answers.set()
            server.shutdown()
            thread.join()


def test_a_run_pushes_what_it_has_done(
    collector: Collector, home: Path, api: SampleApi, sync: Callable[..., Result], monkeypatch
):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ours")
    failing, other, *_ = api.data.account_ids
    path = RESOURCES["audiences"].path_in("v1")
    api.behaviour.faults += [
        Fault("status", f"/v1/{failing}/*", value="403"),
        Fault("too_many_requests", f"/v1/{other}/campaigns", value="0", times=1),
        Fault("status", path.format(account_id=other), value="503", times=1),
    ]
    assert sync().exit_code == 1
    assert sorted(step.split("/")[1] for step in collector.steps) == [
        "account_resources",
        "accounts",
    ]
    assert {step.split(": ")[0] for step in collector.steps} == {"ours"}
    assert collector.figures("analytics.rows.loaded") == {
        name: query(home, f"SELECT count(*) FROM analytics.{name}")[0][0]
        for name in RESOURCES.lists
    }
    sent, asked = collector.figures("analytics.requests.sent"), api.log.count_by_path()
    assert sum(sent.values()) == asked.total() - asked["/oauth/token"]
    assert sent["audiences"] == sum(
        asked[path.format(account_id=each)] for each in api.data.account_ids
    )
    only = dict.fromkeys(RESOURCES.lists, 0)
    repeated = {**only, "campaigns": 1, "audiences": 1}
    assert collector.figures("analytics.requests.repeated") == repeated
    assert collector.figures("analytics.requests.refused") == {**only, "campaigns": 1}
    assert collector.figures("analytics.accounts.failed") == {"": 1}
    seconds = collector.figures("analytics.time", "phase")
    assert set(seconds) == {"reading", "loading"}
    assert all(seconds.values())


def test_a_long_run_pushes_while_it_goes_on(collector: Collector, monkeypatch):
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")  # milliseconds
    figures = RunFigures()
    with pushed(figures, "run/step", pytest.fail):
        for so_far in (3, 7):
            figures.loaded["campaigns"] = so_far
            collector.wait_for("analytics.rows.loaded", {"campaigns": so_far})


def test_a_collector_that_is_away_fails_no_run(collector: Collector, monkeypatch, caplog):
    monkeypatch.setenv(ENDPOINT, "http://name:s3cret@127.0.0.1:9")
    with pushed(RunFigures(), "run/step", pytest.fail):
        pass
    assert "metrics" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_collector_that_does_not_answer_is_not_waited_for(collector: Collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
    collector.answers.clear()
    with pushed(RunFigures(), "run/step", pytest.fail):
        pass
    assert collector.pushes == 0


def test_a_run_that_fails_pushes(collector: Collector):
    with pytest.raises(ZeroDivisionError), pushed(RunFigures(), "run/step", pytest.fail):
        1 / 0  # noqa: B018
    assert list(collector.steps) == ["analytics-assets: run/step"]


def test_without_a_collector_nothing_is_imported(commands: Commands):
    lines = (
        "import sys",
        "import analytics_assets.cli.sync",
        "from analytics_assets.metrics import RunFigures, pushed",
        "with pushed(RunFigures(), 'run/step', print): pass",
        "print('opentelemetry.sdk' in sys.modules)",
    )
    assert commands.run("-c", "\n".join(lines)).stdout == "False\n"


def test_what_is_not_installed_is_said(collector: Collector, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics", None)
    assert told_of_a_step() == [
        f"no metrics, though {ENDPOINT} is set: pip install 'analytics-assets[metrics]'"
    ]


def test_a_variable_that_cannot_be_used_ends_no_run(collector: Collector, monkeypatch):
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "0")
    assert told_of_a_step() == ["no metrics: ValueError: check the variables OTEL_*"]


def told_of_a_step() -> list[str]:
    told: list[str] = []
    with pushed(RunFigures(), "run/step", told.append):
        pass
    return told

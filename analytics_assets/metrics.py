"""What a run has done, in figures: pushed to OpenTelemetry where the environment says so."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.warehouse.outcome import LoadOutcome

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
# seconds for which the end of a run waits for a collector
_LONGEST_WAIT: Final = 3


@dataclass(frozen=True)
class RunFigures:
    """What a step of a run has done so far.

    Account ids are counted and never told: a thousand of them would be as many time series.

    Attributes:
        loaded: Rows loaded, by resource.
        sent: Requests sent, by resource, once all that was to be read of their account is.
        repeated: Those of them that repeat a failed one.
        refused: Those of them that the API's quota refused.
        seconds: By phase: "reading" while nothing is loaded, and "loading".
        failed: The accounts of which something could not be read or loaded.
    """

    loaded: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: {"reading": 0.0, "loading": 0.0})
    failed: set[str] = field(default_factory=set)

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Counts the seconds of a phase."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] += time.monotonic() - began

    def reading(self, reads: Iterable[list[AccountRead]]) -> Iterator[list[AccountRead]]:
        """Counts what is read, as it comes, and hands it on."""
        left = iter(reads)
        while True:
            with self.during("reading"):
                ended = next(left, None)
            if ended is None:
                return
            self.read(ended)
            yield ended

    def read(self, reads: Iterable[AccountRead]) -> None:
        """Counts what it took to read accounts."""
        for read in reads:
            self.failed.update(failure.account_id for failure in read.failures)
            for name, counts in read.requests.by_resource.items():
                self.sent[name] += counts.requests
                self.repeated[name] += counts.retries
                self.refused[name] += counts.refused

    def load(self, outcome: LoadOutcome) -> None:
        """Counts what was loaded."""
        for load in outcome.tables:
            name = load.resource.name
            self.loaded[name] += sum(account.resources[name].rows for account in load.accounts)


_Figures = Callable[[RunFigures], Mapping[str, float]]
_INSTRUMENTS: Final[Sequence[tuple[str, str, str, str, _Figures]]] = (
    # name, unit, what it counts, by what
    ("rows.loaded", "{row}", "Rows loaded", "resource", lambda of: of.loaded),
    ("requests.sent", "{request}", "Requests sent", "resource", lambda of: of.sent),
    ("requests.repeated", "{request}", "Retries", "resource", lambda of: of.repeated),
    ("requests.refused", "{request}", "Answers with 429", "resource", lambda of: of.refused),
    ("accounts.failed", "{account}", "Accounts that failed", "", lambda of: {"": len(of.failed)}),
    ("time", "s", "Seconds of the run", "phase", lambda of: of.seconds),
)


@contextmanager
def pushed(figures: RunFigures, step: str, warn: Callable[[str], object]) -> Iterator[None]:
    """Pushes figures about once a minute and at the end, where OpenTelemetry's variables say so.

    Whatever becomes of that, it costs a few seconds at the end, and nothing else.

    Args:
        figures: Of a step; they may change meanwhile.
        step: Tells the step from all others, those of other runs included.
        warn: Is told why there are no metrics.
    """
    named = next((name for name in _ENDPOINTS if os.environ.get(name, "").strip()), None)
    provider: MeterProvider | None = None
    if named is not None:
        try:
            provider = _provider(figures, step)
        except ImportError:
            warn(f"no metrics, though {named} is set: pip install 'analytics-assets[metrics]'")
        except Exception as error:  # other variables of OpenTelemetry's that it cannot use
            warn(f"no metrics: {type(error).__name__}: check the variables OTEL_*")
    try:
        yield
    finally:
        if provider is not None:
            provider.shutdown(timeout_millis=_LONGEST_WAIT * 1000)


def _provider(figures: RunFigures, step: str) -> MeterProvider:
    """What pushes the figures as they are at the time, until it is shut down."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    ours = Resource.create({"service.name": "analytics-assets", "service.instance.id": step})
    resource = ours.merge(OTELResourceDetector().detect())  # OTEL_SERVICE_NAME, for one, wins
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    meter = provider.get_meter("analytics_assets")

    for name, unit, description, attribute, figures_of in _INSTRUMENTS:

        def observe(
            options: CallbackOptions, attribute: str = attribute, figures_of: _Figures = figures_of
        ) -> list[Observation]:
            now = dict(figures_of(figures))  # the run goes on
            return [Observation(now[key], {attribute: key} if key else {}) for key in now]

        meter.create_observable_counter(f"analytics.{name}", [observe], unit, description)
    return provider

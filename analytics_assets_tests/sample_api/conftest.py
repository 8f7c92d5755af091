from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from analytics_assets.sample_api import Behaviour, SampleApi, SampleData
from analytics_assets_tests.testing.client import Client, Start


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a server for the test, and logs a client in: `start(data, **behaviour)`."""
    with ExitStack() as stack:

        def start_server(data: SampleData | None = None, **behaviour: Any) -> Client:
            api = stack.enter_context(SampleApi(data, Behaviour(**behaviour)))
            client = Client(api)
            stack.callback(client.session.close)
            return client.log_in()

        yield start_server

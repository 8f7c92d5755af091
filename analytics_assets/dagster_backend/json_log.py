"""A run's log as JSON, a line each, for `python_logs` in dagster.yaml.

Dagster's own formatter, that of `--log-format json`, raises for the event of a step that failed
with metadata.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any


class JsonFormatter(logging.Formatter):
    """Writes time, level, logger and message, and within a run its id, job and step."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        # as Dagster's page on loggers reads it
        run: dict[str, Any] = getattr(record, "dagster_meta", None) or {}
        event = run.get("dagster_event")
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            # that of an event has the cause of a failure, and what Dagster puts before each line
            "message": record.getMessage()
            if event
            else run.get("orig_message", record.getMessage()),
            "event": event.event_type_value if event else None,
            "run_id": run.get("run_id"),
            "job": run.get("job_name"),
            "step": run.get("step_key"),
            "exception": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({key: value for key, value in line.items() if value is not None})

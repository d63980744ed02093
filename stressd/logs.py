"""Logs, to stderr: a line a record, or a JSON object a record; without secrets."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from stressd.redaction import redacted


class _Stderr(logging.Handler):
    """Looks up `sys.stderr` for each record: a live view may have taken its place."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        try:
            sys.stderr.write(redacted(self.format(record)) + "\n")
        except OSError:
            return


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one JSON object."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told)


def configure(form: Literal["text", "json"], level: str) -> None:
    """Send all logs of this process to stderr."""
    handler = _Stderr()
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    handler.setFormatter(_Json() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)

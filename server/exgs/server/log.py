"""Logs in JSON: one object per line."""

from __future__ import annotations

import json
import logging
import time
from typing import TextIO

from aiohttp.http_exceptions import HttpProcessingError

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats records as objects with time, level, event and the fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record as a line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        entry |= {key: value for key, value in record.__dict__.items() if key not in _PLAIN}
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class OneLineRefusals(logging.Filter):
    """Shortens aiohttp's traceback of a malformed request to one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record. Always returns True."""
        fault = record.exc_info[1] if record.exc_info else None
        if isinstance(fault, HttpProcessingError):
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.args = "malformed request", ()
            record.exc_info = record.exc_text = None
            record.error = str(fault.message)
        return True


def log_json(stream: TextIO) -> None:
    """Send log records of this process of level INFO and above to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)

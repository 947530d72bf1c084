"""Structured logs: one JSON object a line, which holds names, numbers of rows and codes, never a value."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from opsroom.base.errors import InternalError

KEYS = frozenset(
    {
        "accepted",
        "alarms",
        "attempt",
        "code",
        "dataset",
        "delivery",
        "duplicates",
        "event",
        "file",
        "level",
        "quarantined",
        "remedy",
        "score",
        "seconds",
        "timestamp",
        "version",
        "words",
    }
)
"""What an entry may hold. A value of data has no key to come under."""


def open_log(stream: TextIO) -> structlog.typing.FilteringBoundLogger:
    """Return a logger that writes JSON lines to a stream, each flushed at once.

    Its methods (``info``, ``warning``, ``error``) take the event and keys out of `KEYS`.
    """
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_known,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    return logger


def _only_known(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    unknown = sorted(set(entry) - KEYS)
    if unknown:
        raise InternalError(f"a log entry has keys that no entry may have: {', '.join(unknown)}.")
    return entry

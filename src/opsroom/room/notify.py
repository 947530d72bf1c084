"""Telling others of new warnings: by a webhook, or as messages in a folder that a mail server picks up.

``[notify]`` of ``room.toml``: ``webhook`` (an http or https address) and ``mail`` (a folder, of the room or absolute),
either or both. Each published warning that stands is told once by each way; what could not be told is tried again with
the next publication. A receiver that does not answer never holds a publication up, nor does it undo one.
"""

from __future__ import annotations

import datetime as dt
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from opsroom.base.errors import SettingsError
from opsroom.base.state import METADATA, State
from opsroom.room.carried import record_in_short

TOLD = sa.Table(
    "warnings_told",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("warning", sa.String(120), nullable=False),
    sa.Column("way", sa.String(20), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.UniqueConstraint("warning", "way", name="warnings_told_once"),
)
"""One row a warning and way by which it was told."""

SECONDS = 10.0
"""How long a receiver may take to answer."""

Way = Callable[[Mapping[str, Any]], None]


def ways(facts: Mapping[str, Any], folder: Path) -> dict[str, Way]:
    """Return the ways that a room's settings name.

    Parameters
    ----------
    facts
        `RoomSettings.facts`.
    folder
        The room's.

    Raises
    ------
    SettingsError
        ``[notify]`` is no table, has an unknown field, or an address that is none.
    """
    given = facts.get("notify", {})
    if not isinstance(given, Mapping) or not set(given) <= {"webhook", "mail"}:
        raise SettingsError(
            "room.toml: [notify] is not understood.", remedy="It has webhook, mail or both.", code="OPS-C004"
        )
    found: dict[str, Way] = {}
    if "webhook" in given:
        address = str(given["webhook"])
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(
                "room.toml: [notify] webhook is no http or https address.", remedy="Write https://host/path.",
                code="OPS-C004",
            )  # fmt: skip
        found["webhook"] = lambda message: post(address, message)
    if "mail" in given:
        place = folder / str(given["mail"])
        found["mail"] = lambda message: put(place, message)
    return found


def tell(
    state: State, ways: Mapping[str, Way], warnings: Sequence[Mapping[str, Any]], *, room: str, now: dt.datetime
) -> list[str]:
    """Tell each way of the warnings that it has not been told of.

    Parameters
    ----------
    state
        The room's database, in which is written down what was told.
    ways
        From `ways`.
    warnings
        Published records: ``warning``, ``rule``, ``about``, ``state``, ``value``, ``threshold``, ``since`` …
    room
        The room's title.
    now
        When.

    Returns
    -------
    list of str
        Ways that failed, with the kind of failure; they are tried again next time.
    """
    failed: list[str] = []
    for way, send in ways.items():
        with state.read() as connection:
            told = set(connection.execute(sa.select(TOLD.c.warning).where(TOLD.c.way == way)).scalars())
        for one in warnings:
            name = str(one["warning"])
            if name in told or one.get("state") == "ended":
                continue
            try:
                send({"room": room, **one})
            except (OSError, urllib.error.URLError, ValueError) as error:
                failed.append(f"{way}: {type(error).__name__}")
                break  # a receiver that is down is not tried again with every warning
            with state.begin() as connection:
                connection.execute(TOLD.insert().values(warning=name, way=way, at=now.isoformat()))
    return failed


def post(address: str, message: Mapping[str, Any]) -> None:
    """Send a message as JSON; anything but an answer of success is an error."""
    body = json.dumps(dict(message), ensure_ascii=False, sort_keys=True).encode()
    request = urllib.request.Request(
        address, data=body, method="POST", headers={"Content-Type": "application/json; charset=utf-8"}
    )
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(request, timeout=SECONDS) as answer:
        if not 200 <= answer.status < 300:
            raise OSError("the receiver did not accept the message")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A receiver may not send a warning on to somebody else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


def put(folder: Path, message: Mapping[str, Any]) -> None:
    """Write a message as a mail file (``.eml``), whole or not at all."""
    mail = EmailMessage()
    unit, title = str(message.get("unit") or ""), str(message.get("title") or message["rule"])
    value, threshold = (f"{message.get(name)} {unit}".strip() for name in ("value", "threshold"))
    record = record_in_short(message)
    mail["Subject"] = f"{message['room']}: {message['rule']}, {message['about']}"
    mail["Date"] = format_datetime(dt.datetime.now(dt.UTC))
    lines = [
        f"{title}: {message['about']} stands at {value} in {message.get('period') or message.get('since')}.",
        f"Threshold: {threshold}. Raised on {message.get('since')}.",
        f"Record: {'none, no event is named that it should come before' if record == '-' else record}.",
    ]
    if cost := str(message.get("false_alarm_cost") or ""):
        lines.append(f"What a false alarm costs: {cost}.")
    lines += [f"What may be done: {lever}." for lever in message.get("levers") or ()]
    if series := message.get("series"):
        lines.append(f"Evidence: {message.get('measure')} of {series}.")
    lines.append(f"Warning: {message['warning']}")
    mail.set_content("\n".join(lines) + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    half = folder / f".{message['warning']}.tmp"
    half.write_bytes(mail.as_bytes())
    half.replace(folder / f"{message['warning']}.eml")

"""Commands by which data come in."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from opsroom.base.errors import UsageError
from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit_json, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opsroom.room.dropfolder import Tally

GIVEN_UP, TRY_AGAIN = 12, 75
"""Exit codes of ``--watch --once``: a file went to ``.dead``; a file waits for another try (as in sysexits.h)."""

Flag = Annotated[bool, Parameter(negative="")]


def ingest(
    name: str | None = None,
    files: list[Path] | None = None,
    /,
    *,
    room: RoomPath = Path(),
    known_at: str | None = None,
    reason: str | None = None,
    deletions: Flag = False,
    expect_rows: int | None = None,
    expect_sum: list[str] | None = None,
    control: Path | None = None,
    watch: Path | None = None,
    once: Flag = False,
    interval: float = 5.0,
    settle: float = 2.0,
    marker: Flag = False,
    log: Path | None = None,
    json: Json = False,
) -> None:
    """Check a delivery and commit it, or watch a drop folder; refused rows go to quarantine with their reasons.

    Parameters
    ----------
    name
        Name of the dataset.
    files
        Files of one delivery: CSV, Parquet or XLSX; invoices as XML or zip.
    room
        Folder of the room.
    known_at
        When the room learnt it: a date (its end of day) or a time. Default: what the dataset declares, or now.
    reason
        Why `known_at` lies before the last delivery, where it does.
    deletions
        The rows name keys to delete.
    expect_rows
        The provider's number of rows; a delivery with another one is refused.
    expect_sum
        The provider's sum of a field, as FIELD=SUM; a delivery with another one is refused.
    control
        File with the provider's control totals (JSON: rows, sums).
    watch
        Drop folder to watch instead: DROP/DATASET/FILE.
    once
        Take in what is there and end, for a timer: 0 all in; 12 a file was given up; 75 one waits for another try.
    interval
        Seconds between two looks at the folder.
    settle
        Seconds during which a file must not change before it is taken.
    marker
        Take only files with FILE.done beside them.
    log
        File to which the JSON lines of the log are added. Default: stderr.
    json
        Print one JSON object.
    """
    if watch is not None:
        if name is not None or files:
            raise UsageError("a watched folder names the datasets itself.", remedy="Leave out name and files.")
        _watch(room, watch, once=once, interval=interval, settle=settle, marker=marker, log=log, json=json)
        return
    if name is None or not files:
        raise UsageError("name a dataset and its files, or a folder with --watch.", code="OPS-U031")
    from opsroom.base.progress import counting
    from opsroom.room.dropfolder import read_control

    totals = {} if control is None else read_control(control)
    sums = {**totals.get("sums", {}), **_sums(expect_sum or [])}
    with open_room(room) as opened, counting(f"ingesting {name}") as progress:
        report = opened.ingest(
            name,
            files,
            known_at,
            reason=reason,
            deletions=deletions,
            expect_rows=totals.get("rows") if expect_rows is None else expect_rows,
            expect_sums=sums,
            progress=progress,
        )
    quality = report.quality
    alarms = [] if quality is None else list(quality.alarms)
    if json:
        emit_json(
            {
                "dataset": name,
                "delivery": report.delivery,
                "accepted": report.accepted,
                "quarantined": report.quarantined,
                "duplicates": report.duplicates,
                "version": report.version,
                "reasons": dict(report.reasons),
                "score": None if quality is None else quality.score,
                "alarms": [a.kind for a in alarms],
            }
        )
        return
    say(
        f"{name}: {report.accepted:,} rows accepted, {report.quarantined:,} quarantined, "
        f"{report.duplicates:,} known already; version {report.version}."
    )
    for code, title, count in report.told_reasons():
        say(f"  {code}: {count:,} row(s): {title}")
    if quality is not None and quality.score is not None:
        say(f"  quality score: {quality.score:.0f} of 100")
    for alarm in alarms:
        say(f"  {alarm.severity}: {alarm.kind}: {alarm.words}")


def _sums(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    if any(not mark for _, mark, _ in pairs):
        raise UsageError("a control total is written FIELD=SUM.", code="OPS-U032")
    return {field: total for field, _, total in pairs}


def _watch(
    room: Path,
    folder: Path,
    *,
    once: bool,
    interval: float,
    settle: float,
    marker: bool,
    log: Path | None,
    json: bool,
) -> None:
    from opsroom.base.log import open_log
    from opsroom.base.progress import counting
    from opsroom.room.dropfolder import DropFolder

    with contextlib.ExitStack() as stack:
        stream = sys.stderr if log is None else stack.enter_context(log.open("a", encoding="utf-8"))
        opened = stack.enter_context(open_room(room))
        drop = DropFolder(
            opened,
            folder,
            open_log(stream),
            marker=marker,
            settle=settle,
            ingesting=lambda file: counting(f"ingesting {file.name}"),
        )
        if once:
            tally = drop.once()
        else:
            tally = drop.watch(interval, stack.enter_context(_told_to_stop()))
    if json:
        emit_json({"ingested": tally.ingested, "dead": tally.dead, "waiting": tally.waiting})
    _end(tally, once=once)


def _end(tally: Tally, *, once: bool) -> None:
    if once and (tally.dead or tally.waiting):
        raise SystemExit(GIVEN_UP if tally.dead else TRY_AGAIN)


@contextlib.contextmanager
def _told_to_stop() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether SIGTERM or Ctrl-C came: the file in hand is finished first."""
    told: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda got, _frame: told.append(got))
    try:
        yield lambda: bool(told)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""The exam that a room keeps beside its releases, for its pages. Nothing in it is confidential: all is simulated."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsroom.base.charts_render import spec_of
from opsroom.base.errors import DataError, SettingsError

if TYPE_CHECKING:
    from opsroom.decide.exam.result import ExamResult

KEPT = "exam.json"
"""File of a room's folder that holds the exam it shows."""


def exam_charts(found: ExamResult) -> list[dict[str, Any]]:
    """Return the maps as specifications of charts, one a coverage, the best first; without data there is no map."""
    coverages = sorted(set(found.map()["coverage"]) - {0.0}, reverse=True)
    return [spec_of(found.chart(float(coverage))) for coverage in coverages]


def check_room(folder: Path) -> None:
    """Refuse a folder that is no room.

    Raises
    ------
    SettingsError
        It has no ``room.toml``.
    """
    if not (folder / "room.toml").is_file():
        raise SettingsError("the folder is not a room.", remedy="Name a room's folder.", code="OPS-C006")


def keep_exam(folder: Path, found: ExamResult, *, day: dt.date) -> Path:
    """Keep an exam in a room, in place of the one that it keeps.

    Parameters
    ----------
    folder
        The room's folder.
    found
        The result.
    day
        Day of the exam.

    Raises
    ------
    SettingsError
        The folder is no room.
    """
    check_room(folder)
    document = {"day": day.isoformat(), "result": found.to_dict(), "charts": exam_charts(found)}
    path, fresh = folder / KEPT, folder / f"{KEPT}.new"
    fresh.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)  # a reader sees the one or the other, never half of one
    return path


def kept_exam(folder: Path) -> dict[str, Any] | None:
    """Return the exam that a room keeps: ``day``, ``result`` (`ExamResult.to_dict`), ``charts``; None where none.

    Raises
    ------
    DataError
        There is one, and it cannot be read.
    """
    path = folder / KEPT
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unreadable() from error
    if not isinstance(document, dict) or not {"day", "result", "charts"} <= set(document):
        raise _unreadable()
    return document


def _unreadable() -> DataError:
    return DataError(
        f"the room's {KEPT} cannot be read.", remedy="Hold the exam again (`opsroom exam --room`), or delete the file.",
        code="OPS-D178",
    )  # fmt: skip

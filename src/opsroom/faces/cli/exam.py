"""`opsroom exam`: the planner's exam on Meridia, printed and written as files."""

from __future__ import annotations

import datetime as dt
import json as codec
from pathlib import Path

from opsroom.base.charts import signed
from opsroom.faces.cli.common import Json
from opsroom.faces.cli.output import emit_json, emit_story, emit_table, say

_COLUMNS = ("size", "surprise", "coverage", "noise", "delay", "verdict", "lead", "lower", "upper")


def exam(
    directory: Path | None = None,
    /,
    *,
    companies: int = 5_000,
    seed: int = 0,
    seeds: int = 30,
    room: Path | None = None,
    json: Json = False,
) -> None:
    """Put planning to the test in Meridia: an optimum on imperfect data against prices that nobody plans.

    All in it is synthetic and public. With 30 seeds it takes some minutes.

    Parameters
    ----------
    directory
        Folder for exam.html, exam.svg, exam.csv and exam.json; nothing is written where absent.
    companies
        Number of companies in Meridia.
    seed
        Seed of Meridia.
    seeds
        Draws of shocks, 5 or more.
    room
        Folder of a room that keeps the result and shows it on its page /exam.
    json
        Print one JSON object.
    """
    from opsroom.room.exam import meridia_exam
    from opsroom.room.exam_kept import check_room, exam_charts, keep_exam

    if room is not None:
        check_room(room)  # before some minutes of work, not after

    found = meridia_exam(companies, seed=seed, seeds=seeds, progress=lambda done, of: say(f"seed {done} of {of}"))
    document = found.to_dict()
    if directory is not None:
        from opsroom.base.charts_render import render_svg
        from opsroom.faces.brief.exam_page import exam_page

        directory.mkdir(parents=True, exist_ok=True)
        charts = exam_charts(found)
        (directory / "exam.html").write_text(exam_page(document, charts), encoding="utf-8")
        (directory / "exam.svg").write_text(render_svg(charts[0]), encoding="utf-8")
        (directory / "exam.csv").write_text(found.to_frame().to_csv(index=False, lineterminator="\n"), encoding="utf-8")
        (directory / "exam.json").write_text(codec.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
        say(f"Wrote exam.html, exam.svg, exam.csv and exam.json to {directory}.")
    if room is not None:
        keep_exam(room, found, day=dt.date.today())
        say("The room shows it on its page /exam.")
    if json:
        emit_json(document)
        return
    rows = [
        (r["size"], r["surprise"], r["coverage"], r["noise"], int(r["delay"]), r["verdict"],
         *(signed(r[name], 2) for name in ("difference", "lower", "upper")))
        for r in document["map"]
    ]  # fmt: skip
    emit_table(_COLUMNS, rows)
    emit_story(document["summary"])

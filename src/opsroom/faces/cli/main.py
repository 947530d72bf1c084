"""The `opsroom` command.

Exit codes: 0 done; 2 the call is off; 10 settings; 11 dataset specification; 12 data; 13 as-of day;
14 not found; 15 access; 16 the gate refuses; 17 ledger conflict; 18 no fit; 19 store; 70 a defect in opsroom.
Heavy modules are imported inside the commands, so that `opsroom --help` starts fast.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from opsroom._version import __version__
from opsroom.base.errors import OpsroomError, UsageError
from opsroom.faces.cli.auditing import audit
from opsroom.faces.cli.budget import budget
from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.dataset import dataset
from opsroom.faces.cli.exam import exam
from opsroom.faces.cli.intake import ingest
from opsroom.faces.cli.output import emit, emit_json, emit_story, emit_table, say
from opsroom.faces.cli.people import token, user
from opsroom.faces.cli.provider import lineage, provider
from opsroom.faces.cli.quality import quality
from opsroom.faces.cli.quarantine import quarantine
from opsroom.faces.cli.scenario import scenario
from opsroom.faces.cli.table import table
from opsroom.faces.cli.upkeep import dataset_update, store
from opsroom.faces.cli.warning import warning

app = App(
    name="opsroom",
    help="An operations room for an economy: observe, measure, warn, decide, evaluate; nothing confidential leaves.",
    version=__version__,
)
releases = App(name="release", help="List and show what has been published.")
app.command(dataset)
app.command(releases)
app.command(audit)
app.command(budget)
app.command(exam)
app.command(ingest)
app.command(lineage)
app.command(provider)
app.command(quality)
app.command(quarantine)
app.command(scenario)
app.command(store)
app.command(table)
app.command(token)
app.command(user)
app.command(warning)
dataset.command(dataset_update, name="update")


@app.command
def demo(
    directory: Path = Path("demo"),
    *,
    companies: int = 50_000,
    seed: int = 0,
    json: Json = False,
    public_only: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Build the demo rooms and their briefings: Meridia, a synthetic economy in shock, and a public US room.

    Parameters
    ----------
    directory
        Folder to build in; its old demo rooms are replaced.
    companies
        Number of companies in Meridia.
    seed
        Seed of the draw.
    json
        End with one JSON object on stdout.
    public_only
        Build the public US room alone.
    """
    from opsroom.faces.cli.demo import run_demo

    outcome = run_demo(directory, companies=companies, seed=seed, public_only=public_only)
    if json:
        emit_json(outcome)


@app.command
def init(
    directory: Path, *, source: Annotated[Path | None, Parameter(name="--from")] = None, json: Json = False
) -> None:
    """Make an empty room.

    Parameters
    ----------
    directory
        Folder of the new room.
    source
        Folder with a room.toml and datasets/*.toml to start from, such as one of the examples.
    json
        Print one JSON object.
    """
    from opsroom.room.room import Room

    settings, specs = None, []
    if source is not None:
        if not (source / "room.toml").is_file():
            raise UsageError(f"{source.name} holds no room.toml.", remedy="Name another folder.", code="OPS-U020")
        settings = (source / "room.toml").read_text(encoding="utf-8")
        specs = [file.read_text(encoding="utf-8") for file in sorted((source / "datasets").glob("*.toml"))]
    with Room.create(directory, settings=settings, specs=specs) as room:
        names = sorted(room.store.specs)
    if json:
        emit_json({"room": str(directory), "datasets": names})
    else:
        say(f"Made {directory} with {len(names)} dataset(s): {', '.join(names) or 'none yet'}.")


@app.command
def publish(
    *,
    room: RoomPath = Path(),
    as_of: str | None = None,
    since: dt.date | None = None,
    json: Json = False,
) -> None:
    """Compute, judge and issue what is due on a publication day.

    Parameters
    ----------
    room
        Folder of the room.
    as_of
        Publication day. Default: the last one not after the newest data.
    since
        Publish every publication day from this one to `as_of`.
    json
        Print one JSON object.
    """
    from opsroom.base.progress import track
    from opsroom.room.calendar import publication_days
    from opsroom.room.warning import announce

    with open_room(room) as opened:
        days: list[str | None] = [as_of]
        if since is not None:
            end = opened.moment(as_of).astimezone(opened.zone).date()
            days = [day.isoformat() for day in publication_days(since, end, opened.settings.publish)]
        issued = [release for day in track(days, "publishing") for release in opened.publish(day)]
        refused = opened.releases().refusals(issued[-1].day) if issued else ()
        notes = dict(opened.notes)
        untold = announce(opened)
    if json:
        emit_json(
            {"releases": [r.id for r in issued], "refused": [r.name for r in refused], "notes": notes, "untold": untold}
        )
        return
    for release in issued:
        emit(release.id)
    say(f"{len(issued)} release(s) out, {len(refused)} refused on the last day.")
    for refusal in refused:
        say(f"  refused {refusal.name}: {refusal.rule} {refusal.remedy}")
    for name, note in notes.items():
        say(f"  desk {name} has nothing to say: {note}.")
    for way in untold:
        say(f"  warnings could not be told by {way}; they are tried again with the next publication.")


@app.command
def brief(
    *,
    room: RoomPath = Path(),
    as_of: dt.date | None = None,
    out: list[Path] | None = None,
    json: Json = False,
) -> None:
    """Write the briefing of a day from stored releases.

    Parameters
    ----------
    room
        Folder of the room.
    as_of
        The day. Default: the last one published.
    out
        Files to write: .html, .pdf, .xlsx or .json. Without any, the story is printed.
    json
        Print the briefing as one JSON object.
    """
    from opsroom.faces.cli.reading import open_briefing

    briefing = open_briefing(room, as_of)
    if json:
        emit_json(briefing.to_dict())
    elif not out:
        emit_story(briefing.text())
    for file in out or []:
        briefing.save(file)
        say(f"Wrote {file}.")


@app.command
def serve(*, room: RoomPath = Path(), host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the operations room: pages, figures and API, from stored releases alone.

    Parameters
    ----------
    room
        Folder of the room.
    host
        Address to listen on.
    port
        Port to listen on.
    """
    import uvicorn

    from opsroom.faces.cli.reading import open_door, open_releases
    from opsroom.faces.web import create_app
    from opsroom.room.exam_kept import kept_exam
    from opsroom.room.tables import Asker

    # What cannot be opened is said before it is called open.
    pages = create_app(open_releases(room), door=open_door(room), ask=Asker(room), examined=partial(kept_exam, room))
    say(f"The room is open at http://{host}:{port}/ (Ctrl-C closes it).")
    uvicorn.run(pages, host=host, port=port, log_level="warning")


@releases.command(name="list")
def release_list(*, room: RoomPath = Path(), as_of: dt.date | None = None, json: Json = False) -> None:
    """List what is published, as a reader on a day would see it.

    Parameters
    ----------
    room
        Folder of the room.
    as_of
        The day. Default: the last one published.
    json
        Print one JSON object.
    """
    from opsroom.faces.cli.reading import open_releases, reading_day
    from opsroom.faces.reader import remark

    reader = open_releases(room)
    day = reading_day(reader, as_of)
    found = [release for name in reader.names(day) if (release := reader.get(name, day)) is not None]
    rows = [
        (r.id, r.day.isoformat(), r.stamp["cells"], r.stamp["suppressed"], r.stamp["hash"], remark(reader.room, r))
        for r in found
    ]
    columns = ("id", "day", "cells", "suppressed", "hash", "remark")
    if json:
        emit_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        emit_table(columns, rows)


@releases.command(name="show")
def release_show(name: str, /, *, room: RoomPath = Path(), as_of: dt.date | None = None, json: Json = False) -> None:
    """Print a release.

    Parameters
    ----------
    name
        Name of the release series, such as ``resumption.national``, or the id of a release.
    room
        Folder of the room.
    as_of
        The day. Default: the last one published.
    json
        Print the stored document, byte for byte.
    """
    from opsroom.faces.cli.reading import find_release, open_releases

    release = find_release(open_releases(room), name, as_of)
    if json:
        emit(release.json_bytes.decode())
    else:
        emit_table(release.columns, release.rows)


@app.command
def decide(
    option: str,
    /,
    *,
    decider: str,
    legal_basis: str,
    review_date: dt.date,
    as_of: dt.date | None = None,
    question: str = "",
    dissent: str = "",
    room: RoomPath = Path(),
    json: Json = False,
) -> None:
    """Record a decision with its forecast; later days score it.

    Parameters
    ----------
    option
        One of the options of the published relief release, ``none`` included.
    decider
        A named human.
    legal_basis
        What entitles to decide.
    review_date
        When the decision is looked at again.
    as_of
        Day of the decision. Default: the day of the newest data.
    question
        The question decided.
    dissent
        A dissenting view to be kept.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        decision = opened.decide(
            option,
            decider=decider,
            legal_basis=legal_basis,
            review_date=review_date,
            as_of=as_of,
            question=question,
            dissent=dissent,
        )
    if json:
        emit_json({"id": decision.id})
    else:
        say(f"Recorded decision {decision.id}; review on {review_date.isoformat()}.")


@app.command
def doctor(*, room: Annotated[Path | None, Parameter(name="--room")] = None, json: Json = False) -> None:
    """Say whether this machine and a room are fit to work.

    Parameters
    ----------
    room
        Folder of a room to check as well.
    json
        Print one JSON object.
    """
    from opsroom.faces.cli.doctor import examine

    findings = examine(room)
    if json:
        emit_json([{"check": f.check, "ok": f.ok, "finding": f.finding} for f in findings])
    else:
        emit_table(("", "check", "finding"), [("ok" if f.ok else "!!", f.check, f.finding) for f in findings])
        wrong = [f.check for f in findings if not f.ok]
        say(f"Not fit: see {', '.join(wrong)}." if wrong else f"Fit to work: all {len(findings)} checks passed.")
    if not all(f.ok for f in findings):
        raise SystemExit(1)


def run(arguments: list[str] | None = None) -> None:
    """Run the command line; a user never sees a traceback (set ``OPSROOM_DEBUG=1`` for one)."""
    # One thread for linear algebra: sums in a fixed order give the same bits on every run, and the
    # problems are too small to gain from more. Read by NumPy when it is first imported.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    try:
        app(arguments)
    except OpsroomError as error:
        if os.environ.get("OPSROOM_DEBUG"):
            raise
        say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("Stopped.")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe went away (`opsroom release list | head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if os.environ.get("OPSROOM_DEBUG"):
            raise
        say(f"OPS-I000: a defect in opsroom ({type(error).__name__}). Run again with OPSROOM_DEBUG=1 and report it.")
        sys.exit(70)


if __name__ == "__main__":
    run()

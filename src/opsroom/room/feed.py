"""Feed a demo room with Meridia's deliveries, beside the process that publishes.

``python -m opsroom.room.feed FOLDER --companies N --seed S --until DAY --actor NAME`` ingests delivery by delivery.
Before each it writes ``known MOMENT`` on stdout: everything that arrived before the moment is in the store. A room
that publishes day D meanwhile need only wait for a later moment, because a figure as of D does not look at what
arrives after D. At last it saves the truth beside the room and writes ``done``; an error is one line of JSON.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opsroom.base import errors
from opsroom.base.errors import InternalError, OpsroomError
from opsroom.economy import meridia
from opsroom.room.room import Room


class Feeder:
    """The feeding process, as seen by the one that publishes.

    Parameters
    ----------
    folder
        The room's folder, made already.
    companies, seed
        Size and draw of Meridia.
    until
        Last day of arrival.
    actor
        Who delivers.
    """

    def __init__(self, folder: Path, *, companies: int, seed: int, until: dt.date, actor: str) -> None:
        # A command of its own, not multiprocessing: that would run a user's script a second time.
        order = [str(folder), f"--companies={companies}", f"--seed={seed}", f"--until={until}", f"--actor={actor}"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "opsroom.room.feed", *order],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        self._lines = self._read()
        self._known = dt.datetime.min.replace(tzinfo=dt.UTC)

    def wait(self, moment: dt.datetime) -> None:
        """Return once everything that arrived up to the moment is in the store.

        Raises
        ------
        OpsroomError
            What stopped the feeding process.
        """
        while self._known <= moment:
            self._known = next(self._lines)

    def finish(self) -> None:
        """Wait for the end of the feed; the truth is saved then.

        Raises
        ------
        OpsroomError
            What stopped the feeding process.
        """
        for _ in self._lines:
            pass
        self._process.wait()

    def stop(self) -> None:
        """End the process, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> Iterator[dt.datetime]:
        """Yield the moments up to which everything is in; the last is the end of time."""
        for line in self._process.stdout or ():
            word, _, rest = line.strip().partition(" ")
            if word == "known":
                yield dt.datetime.fromisoformat(rest)
            elif word == "done":
                yield dt.datetime.max.replace(tzinfo=dt.UTC)
                return
            elif word == "error":
                raise told(json.loads(rest))
        raise InternalError("the process that feeds the demo room ended early.", remedy="Run the demo again.")


def told(error: dict[str, str]) -> OpsroomError:
    """Return an error that another process told of."""
    kind = getattr(errors, error["type"], InternalError)
    found: OpsroomError = kind(error["message"], remedy=error["remedy"], code=error["code"])
    return found


def tell(error: OpsroomError) -> str:
    """Return an error as one line of JSON, without what caused it."""
    facts: dict[str, Any] = {"message": error.message, "remedy": error.remedy, "code": error.code}
    return json.dumps({"type": type(error).__name__, **facts})


def feed(folder: Path, *, companies: int, seed: int, until: dt.date, actor: str) -> Iterator[dt.datetime]:
    """Ingest every delivery up to a day, yielding before each the moment of its arrival; then save the truth."""
    world = meridia(companies=companies, seed=seed)
    with Room.open(folder, actor=actor) as room:
        for delivery in world.deliveries(until=until):
            yield delivery.known_at
            room.ingest(delivery.dataset, delivery.source, delivery.known_at)
    world.truth.save(truth_folder(folder))


def truth_folder(room: Path) -> Path:
    """Return where the truth of a demo room lies: beside the room, never inside."""
    return room.with_name(room.name + "-truth")


def main() -> int:
    """Run the feed as a command."""
    parser = argparse.ArgumentParser(prog="python -m opsroom.room.feed", description="Feed a demo room.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--companies", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--until", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--actor", required=True)
    given = parser.parse_args()

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    try:
        for moment in feed(
            given.folder, companies=given.companies, seed=given.seed, until=given.until, actor=given.actor
        ):
            say(f"known {moment.isoformat()}")
    except OpsroomError as error:
        say(f"error {tell(error)}")
        return error.exit_code
    except BrokenPipeError:
        return 0  # nobody publishes any more
    say("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())

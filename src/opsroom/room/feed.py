"""Feed a demo room with Meridia's deliveries, beside the process that publishes.

``python -m opsroom.room.feed FOLDER --companies N --seed S --until DAY --actor NAME`` ingests delivery by delivery
and tells on stdout, in pickles, what the publishing process waits for: that everything that arrived before a moment is
in the store; what can be made ahead of desks, which it makes as soon as a publication day is in; that the truth is
saved beside the room; or an error. A figure as of a day does not look at what arrives after it, so the feed goes on
while earlier days are published.

Of what arrives up to the first publication day, public series come first: the publishing process runs that day's desks
that rest on them alone (`COUNTRY`) while the microdata come in, and hands the feed, on stdin, what they have learnt.
Then come the readings and what belongs to them: while the rest follows, the publishing process learns the companies'
normals (`OWN`), on this day and on all later ones, so that the readings are in the memory of one process alone.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import gc
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from opsroom.base import errors
from opsroom.base.errors import InternalError, OpsroomError
from opsroom.base.memory import give_back
from opsroom.economy import Delivery, meridia
from opsroom.room.calendar import publication_days
from opsroom.room.desk import AHEAD, DeskOutcome
from opsroom.room.room import Room

Message = tuple[str, Any]
"""What is told, and its content: series, readings (known up to the first publication day), known (a moment), made (day,
desk, outcome or memory), done, error (its facts)."""

COUNTRY = frozenset({"activity", "nowcast"})
"""Kinds of desk that in Meridia rest on public series alone. Most of their work is to learn, on the first day."""

OWN = frozenset({"resumption"})
"""Kinds of desk of which the publishing process makes everything itself."""


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
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        self._told: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._known = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._stages: set[str] = set()
        self._made: dict[tuple[dt.date, str], DeskOutcome | Mapping[str, Any]] = {}
        # A thread empties the pipe: a feed that waits for its reader would not be ahead of him.
        threading.Thread(target=self._listen, name="feed", daemon=True).start()
        self._hands: threading.Thread | None = None

    def wait(self, moment: dt.datetime) -> None:
        """Return once everything that arrived up to the moment is in the store.

        Raises
        ------
        OpsroomError
            What stopped the feeding process.
        """
        while self._known <= moment:
            self._take()

    def wait_for(self, stage: str) -> None:
        """Return once of what arrives up to the first publication day ``series`` or ``readings`` are in the store.

        Raises
        ------
        OpsroomError
            What stopped the feeding process.
        """
        while stage not in self._stages:
            self._take()

    def hand(self, memory: Mapping[str, Any]) -> None:
        """Hand the feed what desks of the kinds `COUNTRY` keep in memory, for it to go on from."""
        # A thread fills the pipe: the feed takes it when it comes to it.
        self._hands = threading.Thread(target=self._hand, args=(dict(memory),), name="hand", daemon=True)
        self._hands.start()

    def made(self, day: dt.date, desk: str) -> DeskOutcome | Mapping[str, Any]:
        """Return what the feed made ahead of a desk as of a day, see `Room.prepare`.

        Raises
        ------
        OpsroomError
            What stopped the feeding process.
        """
        while (day, desk) not in self._made:
            self._take()
        return self._made.pop((day, desk))

    def finish(self) -> None:
        """Wait for the end of the feed; the truth is saved then.

        Raises
        ------
        OpsroomError
            What stopped the feeding process.
        """
        while self._known < END:
            self._take()
        self._process.wait()

    def stop(self) -> None:
        """End the process, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        if self._hands is not None:
            self._hands.join()
        with contextlib.suppress(BrokenPipeError):  # what was still to be handed on, nobody takes
            self._process.stdin.close()  # type: ignore[union-attr]  # it was opened as a pipe

    def _listen(self) -> None:
        with self._process.stdout as stream:  # type: ignore[union-attr]  # it was opened as a pipe
            try:
                while True:
                    self._told.put(pickle.load(stream))
            except (EOFError, pickle.UnpicklingError):
                early = InternalError("the process that feeds the demo room ended early.", remedy="Run the demo again.")
                self._told.put(("error", tell(early)))

    def _hand(self, memory: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # a feed that has ended says itself why
            pickle.dump(memory, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)  # type: ignore[arg-type]  # a pipe
            self._process.stdin.flush()  # type: ignore[union-attr]  # as above

    def _take(self) -> None:
        word, content = self._told.get()
        if word == "known":
            self._known = content
        elif word in STAGES:
            self._stages.add(word)
        elif word == "made":
            day, desk, made = content
            self._made[day, desk] = made
        elif word == "done":
            self._known = END
        else:
            raise told(content)


STAGES = ("series", "readings")

END = dt.datetime.max.replace(tzinfo=dt.UTC)


def tell(error: OpsroomError) -> dict[str, str]:
    """Return an error's facts, without what caused it."""
    return {"type": type(error).__name__, "message": error.message, "remedy": error.remedy, "code": error.code}


def told(error: dict[str, str]) -> OpsroomError:
    """Return an error that another process told of."""
    kind = getattr(errors, error["type"], InternalError)
    found: OpsroomError = kind(error["message"], remedy=error["remedy"], code=error["code"])
    return found


def feed(
    folder: Path, *, companies: int, seed: int, until: dt.date, actor: str, handed: Callable[[], Mapping[str, Any]]
) -> Iterator[Message]:
    """Ingest every delivery up to a day, make what can be made ahead of each publication day, then save the truth.

    `handed` gives what desks of the kinds `COUNTRY` kept in memory on the first publication day.
    """
    world = meridia(companies=companies, seed=seed)
    # One thread of the query engine: the other core is the publisher's, and small deliveries gain nothing by two.
    with Room.open(folder, actor=actor, threads=1) as room:
        calendar = room.settings.publish
        days = publication_days(calendar.first or until, until, calendar)
        opening, rest = _split(world.deliveries(until=until), room.moment(days[0] if days else until))
        series, readings, others = _staged(room, opening)
        del opening
        for stage, deliveries in zip(STAGES, (series, readings), strict=True):
            for delivery in _taken(deliveries):
                room.ingest(delivery.dataset, delivery.source, delivery.known_at)
            yield stage, None
        ahead = _ahead(room, days, handed)
        for delivery in chain(_taken(others), rest):
            yield "known", delivery.known_at
            while days and room.moment(days[0]) < delivery.known_at:
                yield from next(ahead)
            room.ingest(delivery.dataset, delivery.source, delivery.known_at)
        yield "known", room.moment(until) + dt.timedelta(microseconds=1)
        for made in ahead:
            yield from made
    world.truth.save(truth_folder(folder))
    yield "done", None


def _split(deliveries: Iterator[Delivery], moment: dt.datetime) -> tuple[list[Delivery], Iterator[Delivery]]:
    """Return the deliveries up to a moment, and those after it."""
    opening: list[Delivery] = []
    for delivery in deliveries:
        if delivery.known_at > moment:
            return opening, chain([delivery], deliveries)
        opening.append(delivery)
    return opening, iter(())


def _staged(room: Room, opening: list[Delivery]) -> tuple[list[Delivery], list[Delivery], list[Delivery]]:
    """Return the deliveries of public series, those of datasets that desks of the kinds `OWN` read, and the others."""
    read = [name for desk in room.settings.desks if desk.kind in OWN for name in desk.options.values()]
    stages: tuple[list[Delivery], list[Delivery], list[Delivery]] = ([], [], [])
    for delivery in opening:
        stage = 1 if delivery.dataset in read else 2
        stages[stage if room.store.spec(delivery.dataset).confidential else 0].append(delivery)
    return stages


def _taken(deliveries: list[Delivery]) -> Iterator[Delivery]:
    """Yield the deliveries in order, and hold none that was."""
    deliveries.reverse()
    while deliveries:
        yield deliveries.pop()


def _ahead(room: Room, days: list[dt.date], handed: Callable[[], Mapping[str, Any]]) -> Iterator[Iterator[Message]]:
    """Yield, day by day, what is made ahead of a publication; the day is off the list by then."""
    kinds = AHEAD - OWN
    if not days:
        return
    yield _prepared(room, days.pop(0), kinds - COUNTRY)
    room.memory.update(handed())
    while days:
        yield _prepared(room, days.pop(0), kinds)


def _prepared(room: Room, day: dt.date, kinds: frozenset[str]) -> Iterator[Message]:
    give_back()
    for desk, made in room.prepare(day, kinds):
        yield "made", (day, desk, made)
    give_back()


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
    gc.freeze()  # what is loaded stays: it need not be looked through for garbage again and again
    # Whatever else is printed goes to stderr: stdout holds pickles.
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)

        def say(message: Message) -> None:
            pickle.dump(message, out, protocol=pickle.HIGHEST_PROTOCOL)
            out.flush()

        try:
            for message in feed(
                given.folder,
                companies=given.companies,
                seed=given.seed,
                until=given.until,
                actor=given.actor,
                handed=lambda: pickle.load(sys.stdin.buffer),
            ):
                say(message)
        except OpsroomError as error:
            say(("error", tell(error)))
            return error.exit_code
        except BrokenPipeError:
            os._exit(0)  # nobody publishes any more; closing the pipe would fail again
    return 0


if __name__ == "__main__":
    sys.exit(main())

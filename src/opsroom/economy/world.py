"""Meridia as a room meets it: specifications, settings, deliveries in order of arrival; the truth apart."""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from opsroom.base.errors import UsageError
from opsroom.economy.delivery import Delivery
from opsroom.economy.dispatch import Dispatch
from opsroom.economy.population import Population
from opsroom.economy.room_text import room_text
from opsroom.economy.scenario import Scenario
from opsroom.economy.truth import Truth
from opsroom.economy.workshop import Workshop

SMALLEST, LARGEST = 100, 10_000_000


def meridia(
    companies: int = 50_000,
    *,
    seed: int = 0,
    scenario: Scenario | Path | None = None,
    policy: bool = True,
) -> World:
    """Return the synthetic economy of a given size and draw; nothing is generated before it is asked for.

    Parameters
    ----------
    companies
        Companies active before the shock, about; from 100 to 10 million.
    seed
        The draw. The same seed and size give the same world to the last bit.
    scenario
        A scenario, a file of one, or the one that ships (``early_2020``).
    policy
        Whether the scenario's relief is offered. A world with and one without use the same draws.

    Raises
    ------
    UsageError
        Fewer than 100 or more than 10 million companies, or a negative seed.
    """
    if not SMALLEST <= companies <= LARGEST or seed < 0:
        raise UsageError(
            f"Meridia has {SMALLEST} to {LARGEST:,} companies and a seed of 0 or more.",
            remedy="Give another size, or another seed.",
            code="OPS-U042",
        )
    if not isinstance(scenario, Scenario):
        scenario = Scenario.load(scenario or "early_2020")
    return World(companies=companies, seed=seed, scenario=scenario, policy=policy)


class World:
    """One run of Meridia. Deterministic; what it says of a day does not depend on how long it runs.

    Parameters
    ----------
    companies, seed, scenario, policy
        See `meridia`.
    """

    def __init__(self, *, companies: int, seed: int, scenario: Scenario, policy: bool) -> None:
        self.companies, self.seed, self.scenario, self.policy = companies, seed, scenario, policy

    def __repr__(self) -> str:
        said = f"companies={self.companies}, seed={self.seed}, scenario={self.scenario.name!r}"
        return f"World({said}, policy={self.policy})"

    @cached_property
    def workshop(self) -> Workshop:
        """The generators, chunk by chunk."""
        return Workshop(Population(self.seed, self.companies), self.scenario, policy=self.policy)

    @cached_property
    def truth(self) -> Truth:
        """What really happened: for scoring, never for the room."""
        return Truth.of(self.workshop)

    def specs(self) -> dict[str, str]:
        """Return the dataset specifications, name → TOML text."""
        folder = files("opsroom.economy") / "datasets"
        found = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
        return {f.name.removesuffix(".toml"): f.read_text(encoding="utf-8") for f in found}

    def scenario_files(self) -> dict[str, str]:
        """Return the scenario files of Meridia's room, name → TOML text."""
        folder = files("opsroom.economy") / "scenarios"
        found = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
        return {f.name: f.read_text(encoding="utf-8") for f in found}

    def room_settings(self) -> str:
        """Return the text of Meridia's ``room.toml``."""
        return room_text(self.scenario, self.companies)

    def deliveries(self, until: dt.date | None = None) -> Iterator[Delivery]:
        """Yield all deliveries in order of arrival.

        Parameters
        ----------
        until
            Last day of arrival (UTC); everything where absent. It never changes what came before.

        Notes
        -----
        Sources of the first delivery of large datasets are readers that generate as they are read.
        """
        dispatch = Dispatch(self.workshop)
        streams: Iterable[Iterator[Delivery]] = dispatch.streams()
        for delivery in heapq.merge(*streams, key=lambda d: d.known_at):
            if until is not None and delivery.known_at.date() > until:
                return
            yield delivery

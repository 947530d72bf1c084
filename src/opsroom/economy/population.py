"""Enterprises, establishments and meters of one chunk: who there is, since when, and what they are like."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from opsroom.economy.horizon import (
    METERS_FIRST,
    METERS_LAST,
    MONTH_ZERO,
    OPEN_END,
    Bools,
    Floats,
    Ints,
    day_number,
)
from opsroom.economy.randomness import stream
from opsroom.economy.sectors import (
    COLD,
    DIVISION_SECTION,
    DIVISION_WEIGHTS,
    ESSENTIAL,
    FORMS,
    REGION_WEIGHTS,
    SECTION_CODES,
    SIZE_FLOORS,
    SIZE_WEIGHTS,
    column,
    size_of,
)

CHUNK: Final = 4096
"""Enterprises a chunk: the unit of generation, of memory and of randomness."""

SLOTS_PER_COMPANY: Final = 1.118
"""Enterprises that ever exist per enterprise active on the cohort day."""

ENTERPRISE_BASE: Final = 10_000_001
ESTABLISHMENT_BASE: Final = 20_000_000_000
GROUP_BASE: Final = 30_000_001
METER_BASE: Final = 50_000_000_000
_DEATHS_A_YEAR: Final = 0.036
_BIRTH_SHARE: Final = 0.115


@dataclass(frozen=True, slots=True)
class Enterprises:
    """Enterprises of a chunk, one array entry each. Days are day numbers; money is in cents."""

    index: Ints
    division: Ints
    section: Ints
    region: Ints
    employees: Ints
    employees_before: Ints
    """Until the end of 2018; equal where nothing changed."""
    size: Ints
    form: Ints
    group: Ints
    group_before: Ints
    acquired: Ints
    """Day on which the group changed; `OPEN_END` where it never did."""
    born: Ints
    died: Ints
    """Exogenous death; companies that fail for lack of cash die earlier (see `opsroom.economy.money`)."""
    sales: Ints
    """Normal sales of a year, cents."""
    essential: Bools
    remote: Bools
    latent: Floats
    """Standard logistic: how much pressure the company stands, relative to its kind."""

    @property
    def ids(self) -> Ints:
        """Enterprise ids."""
        return ENTERPRISE_BASE + self.index

    @property
    def sole(self) -> Bools:
        """Sole traders."""
        natural: Bools = self.form == FORMS.index("SOLE")
        return natural


@dataclass(frozen=True, slots=True)
class Establishments:
    """Establishments of a chunk. `enterprise` is the position within the chunk."""

    ids: Ints
    enterprise: Ints
    region: Ints
    jobs: Ints
    share: Floats
    """Share of the enterprise's jobs."""
    first: Ints
    last: Ints
    metered: Bools
    latent: Floats


@dataclass(frozen=True, slots=True)
class Meters:
    """Meters of a chunk in order of id: which establishments' use they record, between which days."""

    ids: Ints
    establishment: Ints
    fraction: Floats
    """Share of the establishment's use that the meter records."""
    second: Ints
    """Position of a second establishment behind a shared meter, -1 where there is none."""
    first: Ints
    last: Ints
    position: Ints
    """The place in the wall: a meter and the one that replaces it have the same."""


@dataclass(frozen=True, slots=True)
class Links:
    """Which establishments a meter serves, when, and for what share of its use (millionths)."""

    meter: Ints
    establishment: Ints
    first: Ints
    last: Ints
    share_ppm: Ints


@dataclass(frozen=True)
class Chunk:
    """One chunk of the population; everything in it follows from seed, chunk number and count."""

    seed: int
    number: int
    count: int

    @cached_property
    def enterprises(self) -> Enterprises:
        """Draw the enterprises."""
        rng = stream(self.seed, "enterprises", self.number)
        n = self.count
        division = rng.choice(len(DIVISION_WEIGHTS), n, p=DIVISION_WEIGHTS)
        section = DIVISION_SECTION[division]
        region = rng.choice(len(REGION_WEIGHTS), n, p=REGION_WEIGHTS)
        employees = _employees(rng, n)
        before = np.where(
            rng.random(n) < 0.25,
            np.maximum(1, np.rint(employees * np.exp(rng.normal(-0.04, 0.16, n)))),
            employees,
        ).astype(np.int64)
        size = size_of(employees)
        group = _groups(rng, size)
        acquired = np.where(
            rng.random(n) < 0.008,
            rng.integers(day_number(dt.date(2018, 1, 1)), day_number(METERS_LAST), n),
            OPEN_END,
        )
        start, end = day_number(MONTH_ZERO), day_number(METERS_LAST)
        young = rng.random(n) < _BIRTH_SHARE
        age = rng.gamma(1.6, 8.0, n) * 365
        born = np.where(young, rng.integers(start, end, n), start - 1 - np.minimum(age, 32 * 365)).astype(np.int64)
        hazard = _DEATHS_A_YEAR * np.array([1.25, 0.75, 0.35, 0.15])[size]
        life = (rng.exponential(1.0, n) / hazard * 365).astype(np.int64)
        died = np.minimum(np.maximum(born, start) + 60 + life, OPEN_END)
        sales = employees * column("sales")[section] * 1e5 * np.exp(rng.normal(-0.12, 0.5, n))
        essential = rng.random(n) < ESSENTIAL[division]
        remote = rng.random(n) < column("remote")[section]
        uniform = np.clip(rng.random(n), 1e-9, 1 - 1e-9)
        return Enterprises(
            index=self.number * CHUNK + np.arange(n),
            division=division,
            section=section,
            region=region,
            employees=employees,
            employees_before=before,
            size=size,
            form=_forms(rng, section, size),
            group=np.where(acquired == OPEN_END, group, rng.integers(0, n, n)) + self.number * CHUNK,
            group_before=group + self.number * CHUNK,
            acquired=np.where(acquired == OPEN_END, OPEN_END, np.maximum(acquired, born + 30)),
            born=born,
            died=died,
            sales=np.rint(sales).astype(np.int64),
            essential=essential,
            remote=remote,
            latent=np.log(uniform / (1 - uniform)),
        )

    @cached_property
    def establishments(self) -> Establishments:
        """Draw the establishments: one a company, more in larger ones, some elsewhere in the country."""
        rng = stream(self.seed, "establishments", self.number)
        e = self.enterprises
        extra = rng.poisson(np.array([0.015, 0.10, 0.55, 2.6])[e.size])
        extra = np.minimum(extra, np.minimum(e.employees - 1, 40))
        counts = 1 + extra
        owner = np.repeat(np.arange(self.count), counts)
        rank = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        weight = rng.gamma(1.5, 1.0, len(owner)) * np.where(rank == 0, 3.0, 1.0)
        spare = (e.employees - counts)[owner]
        total = np.bincount(owner, weights=weight)[owner]
        jobs = 1 + np.floor(spare * weight / total).astype(np.int64)
        jobs[rank == 0] += e.employees - np.bincount(owner, weights=jobs).astype(np.int64)
        elsewhere = (rank > 0) & (rng.random(len(owner)) < 0.4)
        region = np.where(elsewhere, rng.choice(len(REGION_WEIGHTS), len(owner), p=REGION_WEIGHTS), e.region[owner])
        first, last = e.born[owner].copy(), e.died[owner].copy()
        life = rng.integers(day_number(METERS_FIRST) - 300, day_number(METERS_LAST), len(owner))
        event = rng.random(len(owner))
        opened = (rank > 0) & (event < 0.05) & (life > first) & (life < last)
        closed = (rank > 0) & (event > 0.96) & (life > first) & (life < last)
        first[opened], last[closed] = life[opened], life[closed]
        return Establishments(
            ids=ESTABLISHMENT_BASE + e.index[owner] * 100 + rank,
            enterprise=owner,
            region=region,
            jobs=jobs,
            share=jobs / e.employees[owner],
            first=first,
            last=last,
            metered=rng.random(len(owner)) < np.array([0.955, 0.975, 0.99, 1.0])[e.size[owner]],
            latent=e.latent[owner] + np.where(rank > 0, rng.normal(0, 0.35, len(owner)), 0.0),
        )

    @cached_property
    def _wiring(self) -> tuple[Meters, Links]:
        from opsroom.economy.wiring import wire

        return wire(self)

    @property
    def meters(self) -> Meters:
        """The chunk's meters."""
        return self._wiring[0]

    @property
    def links(self) -> Links:
        """Which meter serves which establishment, when."""
        return self._wiring[1]

    def cold(self) -> Floats:
        """Return each enterprise's probability of running cold stores."""
        return COLD[self.enterprises.division]


def _employees(rng: np.random.Generator, n: int) -> Ints:
    size = rng.choice(len(SIZE_WEIGHTS), n, p=SIZE_WEIGHTS)
    u = rng.random(n)
    micro = 1 + np.floor(9 * u**1.7)
    inner = SIZE_FLOORS[size] * (np.array([9.99, 4.99, 4.99, 1])[size]) ** (u**1.25)
    large = np.minimum(250 * (1 - 0.995 * u) ** (-1 / 1.35), 6000)
    out = np.select([size == 0, size == 3], [micro, large], np.floor(inner))
    return out.astype(np.int64)


def _forms(rng: np.random.Generator, section: Ints, size: Ints) -> Ints:
    u = rng.random(len(section))
    code = {form: n for n, form in enumerate(FORMS)}
    form = np.select([u < 0.80, u < 0.88, u < 0.95], [code["LTD"], code["PART"], code["COOP"]], code["LTD"])
    form = np.where((size == 0) & (u >= 0.875), code["SOLE"], form)
    form = np.where((size == 3) & (u < 0.55), code["PLC"], form)
    state = np.isin(section, [SECTION_CODES.index(s) for s in "ODE"])
    return np.where(state & (size > 0) & (u > 0.45), code["STATE"], form)


def _groups(rng: np.random.Generator, size: Ints) -> Ints:
    """Return each company's group leader: mostly itself, else the first of a handful."""
    n = len(size)
    member = rng.random(n) < np.array([0.04, 0.12, 0.35, 0.6])[size]
    members = rng.permutation(np.flatnonzero(member))
    leader = np.arange(n)
    for block in np.array_split(members, max(1, len(members) // 4)):
        if len(block):
            leader[block] = block.min()
    return leader


@dataclass(frozen=True, slots=True)
class Population:
    """The whole population: how many chunks, and each of them."""

    seed: int
    companies: int

    @property
    def slots(self) -> int:
        """Number of enterprises that ever exist."""
        return max(1, round(self.companies * SLOTS_PER_COMPANY))

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.slots // CHUNK)

    def chunk(self, number: int) -> Chunk:
        """Return a chunk; nothing is drawn before it is asked for."""
        return Chunk(self.seed, number, min(CHUNK, self.slots - number * CHUNK))

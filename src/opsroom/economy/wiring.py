"""Meters and what they serve: several a site, shared between neighbours, replaced in the course of time."""

from __future__ import annotations

from typing import Final

import numpy as np

from opsroom.economy.horizon import METERS_FIRST, METERS_LAST, Bools, Floats, Ints, day_number
from opsroom.economy.population import CHUNK, METER_BASE, Chunk, Links, Meters
from opsroom.economy.randomness import stream

PLACES_PER_CHUNK: Final = CHUNK * 64
"""Room in the meter numbers for a chunk's places."""


def wire(chunk: Chunk) -> tuple[Meters, Links]:
    """Draw the meters of a chunk and their links to establishments.

    Notes
    -----
    A place is where a meter hangs. Most establishments have one place, some two or three, each with its
    part of the use. Some small neighbours in a region share one place. About one place in twenty gets
    another meter, with another number, between 2019 and mid-2020. About 3 % of establishments have no meter
    of their own (the landlord's).
    """
    rng = stream(chunk.seed, "wiring", chunk.number)
    s, e = chunk.establishments, chunk.enterprises
    n = len(s.ids)
    size = e.size[s.enterprise]
    many = np.array([0.03, 0.07, 0.22, 0.40])[size]
    u = rng.random(n)
    places = np.where(s.metered, 1 + (u < many) + (u < many * 0.3), 0)
    partner = _share(rng, (places == 1) & (size <= 1) & (rng.random(n) < 0.035), s.region)
    guest = np.zeros(n, dtype=bool)
    guest[partner[partner >= 0]] = True
    places[guest] = 0
    owner = np.repeat(np.arange(n), places)
    fraction = _fractions(rng, owner)
    second = partner[owner]
    first, last = s.first[owner].copy(), s.last[owner].copy()
    both = second >= 0
    first[both] = np.minimum(first[both], s.first[second[both]])
    last[both] = np.maximum(last[both], s.last[second[both]])
    seen = (last >= day_number(METERS_FIRST)) & (first <= day_number(METERS_LAST))
    owner, fraction, second, first, last = owner[seen], fraction[seen], second[seen], first[seen], last[seen]
    change = rng.integers(day_number(METERS_FIRST) + 20, day_number(METERS_LAST) - 20, len(owner))
    changed = (rng.random(len(owner)) < 0.05) & (change > first + 20) & (change < last - 20)
    position = np.arange(len(owner))
    old_last = np.where(changed, change - 1, last)
    order = np.argsort(np.concatenate([position * 2, position[changed] * 2 + 1]), kind="stable")
    ids = METER_BASE + chunk.number * PLACES_PER_CHUNK * 2 + np.concatenate([position * 2, position[changed] * 2 + 1])
    meters = Meters(
        ids=ids[order],
        establishment=np.concatenate([owner, owner[changed]])[order],
        fraction=np.concatenate([fraction, fraction[changed]])[order],
        second=np.concatenate([second, second[changed]])[order],
        first=np.concatenate([first, change[changed]])[order],
        last=np.concatenate([old_last, last[changed]])[order],
        position=np.concatenate([position, position[changed]])[order],
    )
    return meters, _links(rng, chunk, meters)


def _share(rng: np.random.Generator, willing: Bools, region: Ints) -> Ints:
    """Pair willing neighbours of a region; return for each host its guest, -1 elsewhere."""
    partner = np.full(len(willing), -1, dtype=np.int64)
    for code in np.unique(region):
        here = rng.permutation(np.flatnonzero(willing & (region == code)))
        pairs = len(here) // 2
        partner[here[:pairs]] = here[pairs : 2 * pairs]
    return partner


def _fractions(rng: np.random.Generator, owner: Ints) -> Floats:
    weight = rng.gamma(2.5, 1.0, len(owner))
    fractions: Floats = weight / np.bincount(owner, weights=weight)[owner] if len(owner) else weight
    return fractions


def _links(rng: np.random.Generator, chunk: Chunk, meters: Meters) -> Links:
    """Return the links. The recorded share of a shared meter is the landlord's estimate, not the truth."""
    s = chunk.establishments
    host, guest = meters.establishment, meters.second
    both = guest >= 0
    jobs = s.jobs.astype(np.float64)
    truth = np.where(both, jobs[host] / (jobs[host] + jobs[np.maximum(guest, 0)]), 1.0)
    told = np.clip(truth + both * rng.normal(0, 0.05, len(host)), 0.05, 1.0)
    ppm = np.where(both, np.minimum(np.rint(told * 1e6), 950_000), 1_000_000).astype(np.int64)
    establishment = np.concatenate([host, guest[both]])
    meter = np.concatenate([meters.ids, meters.ids[both]])
    first = np.maximum(np.concatenate([meters.first, meters.first[both]]), s.first[establishment])
    last = np.minimum(np.concatenate([meters.last, meters.last[both]]), s.last[establishment])
    share = np.concatenate([ppm, 1_000_000 - ppm[both]])
    keep = first <= last
    order = np.lexsort((establishment, meter))
    order = order[keep[order]]
    return Links(meter[order], establishment[order], first[order], last[order], share[order])

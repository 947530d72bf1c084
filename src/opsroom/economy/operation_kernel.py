"""Days of work of whole enterprises, counted establishment by establishment: the compiled parts of `operation`."""

from __future__ import annotations

import numba as nb
import numpy as np

from opsroom.economy.horizon import Bools, Floats, Ints, Reals

Standing = tuple[Reals, Reals, Reals, Ints, Ints]
"""Of establishments: pressure that they stand, exposure to it, share of the enterprise, first and last day."""
Traits = tuple[Reals, Reals, Reals, Floats, Floats, Floats]
"""Of enterprises: hit by the slump, floor, capacity from afar; from when remote; second closure from and to."""


@nb.njit(cache=True)
def enterprise_days(
    days: Ints,
    pressure: Reals,
    depth: Reals,
    place: tuple[Ints, Ints, Ints],
    standing: Standing,
    traits: Traits,
    found: tuple[Reals, Reals],
) -> None:  # pragma: no cover - compiled
    """Fill the share at work and the capacity of each enterprise and day; see `Operation.state` for the rules.

    Parameters
    ----------
    days
        Day numbers.
    pressure, depth
        Pressure by region, section and day, and depth of the slump by day.
    place
        Enterprise (in order), region and section of each establishment.
    standing, traits
        Of establishments, and of enterprises.
    found
        Share of jobs at work, and capacity, (enterprises, days): filled.
    """
    owner, region, section = place
    stands, exposure, share, first, last = standing
    hit, floor, remote_capacity, remote_from, relapse_from, relapse_to = traits
    working, capacity = found
    one, more = np.float32(1), np.float32(1.15)
    for j in range(len(owner)):
        e = owner[j]
        main = j == 0 or owner[j - 1] != e
        for k in range(len(days)):
            day = days[k]
            here, done = np.float32(0), np.float32(0)
            if first[j] <= day <= last[j]:
                onsite = stands[j] > pressure[region[j], section[j], k] * exposure[j]
                onsite = onsite and not (relapse_from[e] <= day < relapse_to[e])
                if onsite or day >= remote_from[e]:
                    usual = one - (one - floor[e]) * min(one, hit[e] * depth[k])
                    here = share[j]
                    done = (usual if onsite else min(usual * more, remote_capacity[e])) * share[j]
            if main:
                working[e, k], capacity[e, k] = here, done
            else:
                working[e, k] += here
                capacity[e, k] += done


@nb.njit(cache=True)
def count_at_work(
    cell: Ints, jobs: Ints, sales: Ints, working: Bools, counts: Ints
) -> None:  # pragma: no cover - compiled
    """Add enterprises, jobs and sales to counts[measure, cell, day], each in all and at work."""
    for i in range(len(cell)):
        c = cell[i]
        for d in range(working.shape[1]):
            counts[0, c, d] += 1
            counts[2, c, d] += jobs[i]
            counts[4, c, d] += sales[i]
            if working[i, d]:
                counts[1, c, d] += 1
                counts[3, c, d] += jobs[i]
                counts[5, c, d] += sales[i]

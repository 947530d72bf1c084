"""Random streams keyed by what they are for, so that no draw depends on the order of other draws."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, purpose: str, *keys: int) -> np.random.Generator:
    """Return the random generator that belongs to one purpose and one set of keys.

    Parameters
    ----------
    seed
        The world's seed.
    purpose
        What the draws are for, such as ``"meters.week"``.
    keys
        Chunk, week, month: whatever names the block of draws.

    Notes
    -----
    A Philox counter-based generator (Salmon et al. 2011) seeded through `numpy.random.SeedSequence`
    from ``(seed, crc32(purpose), *keys)``. Two blocks never share a stream, so chunks may be generated in
    any order and a history does not change when it is continued.

    References
    ----------
    Salmon, Moraes, Dror, Shaw (2011), *Parallel random numbers: as easy as 1, 2, 3*, SC'11.
    """
    words = (seed, zlib.crc32(purpose.encode()), *keys)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))

"""The regressions behind each company's normal; from refit to refit only those whose data moved are made again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from opsroom.measure.adjust.batch import BatchFit, fit_batch
from opsroom.measure.resumption.readings import F32, Ints, Use

if TYPE_CHECKING:
    from opsroom.measure.resumption.baseline import Surroundings

FLOOR = np.float32(0.01)
RIDGE = 2.0
N_SMOOTH, N_TYPE = 8, 10
"""Terms of season and weather, and of the day's type."""

PART = 2048
"""Companies worked on at a time."""


@dataclass(frozen=True, slots=True)
class Regressions:
    """Coefficients, error scale and the errors' memory.

    Attributes
    ----------
    coef
        Constant, season and weather, day types; (companies, terms).
    scale
        Standard deviation of the residuals as fitted, (companies,).
    rows
        Days that each company contributed.
    memory
        First-order autocorrelation of the errors, one number.
    known
        Row of each regression by a digest of all that it was made of: the company's use and its region's design.
    """

    coef: F32
    scale: F32
    rows: Ints
    memory: float
    known: dict[bytes, int]

    @property
    def sigma(self) -> F32:
        """Standard deviation of a day's relative error, (companies,)."""
        return np.clip(self.scale, 0.02, 1.0)

    @classmethod
    def of(cls, use: Use, around: Surroundings, region: Ints, earlier: Regressions | None = None) -> Regressions:
        """Regress each company's log use on season, weather and days.

        Parameters
        ----------
        use
            Use relative to the usual level.
        around
            Calendar and weather of the same days.
        region
            Row of each company's region in `around`.
        earlier
            Regressions of another day. A company whose use and design are the same to the bit takes its own from
            there: each is made alone, so that making it again would give the same.
        """
        n, terms = len(use.enterprise), 1 + N_SMOOTH + N_TYPE
        coef, scale = np.zeros((n, terms), dtype=np.float32), np.zeros(n, dtype=np.float32)
        rows = np.zeros(n, dtype=np.int64)
        penalty = np.concatenate([[0.0], np.full(N_SMOOTH, RIDGE), np.full(N_TYPE, 0.3)])
        weights = np.ones(use.days, dtype=np.float32)
        memories, sizes = [], []
        known: dict[bytes, int] = {}
        kinds = around.type_terms()
        for code in range(len(around.regions)):
            at = np.flatnonzero(region == code)
            x = np.hstack([np.ones((use.days, 1), np.float32), around.smooth_terms(code), kinds])
            design = hashlib.blake2b(x.tobytes(), digest_size=16).digest()
            for low in range(0, len(at), PART):
                part = at[low : low + PART]
                todo = np.ones(len(part), dtype=bool)
                if len(part) > terms:  # fewer are fitted together, not one by one
                    digests = [_digest(design, row) for row in use.ratio[part]]
                    todo = _take(earlier, digests, part, coef, scale, rows)
                    known |= zip(digests, part.tolist(), strict=True)
                if not todo.any() and low:
                    continue
                y = np.log(np.maximum(use.ratio[part], FLOOR))
                fit = fit_batch(y, x, weights=weights, penalty=penalty, iterations=3, todo=todo)
                new = part[todo]
                coef[new], scale[new], rows[new] = fit.coef[todo], fit.scale[todo], fit.rows[todo]
                if low == 0:
                    whole = BatchFit(coef[part], scale[part], rows[part])
                    memories.append(_memory(y, whole.predict(x), whole.scale))
                    sizes.append(len(part))
        return cls(coef, scale, rows, float(np.average(memories, weights=sizes)), known)


def _digest(design: bytes, row: F32) -> bytes:
    """Return a digest of all that a regression is made of."""
    digest = hashlib.blake2b(design, digest_size=16)
    digest.update(row.data)
    return digest.digest()


def _take(
    earlier: Regressions | None, digests: list[bytes], part: Ints, coef: F32, scale: F32, rows: Ints
) -> npt.NDArray[np.bool_]:
    """Fill in what is known of earlier; return which are still to be made."""
    if earlier is None:
        return np.ones(len(part), dtype=bool)
    found = np.array([earlier.known.get(digest, -1) for digest in digests], dtype=np.int64)
    same = found >= 0
    old, new = found[same], part[same]
    coef[new], scale[new], rows[new] = earlier.coef[old], earlier.scale[old], earlier.rows[old]
    return np.asarray(~same)


def _memory(y: F32, fitted: F32, scale: F32) -> float:
    """Return the pooled first-order autocorrelation of residuals, wild ones cut."""
    z = np.clip((y - fitted) / np.maximum(scale, 1e-3)[:, None], -3, 3)
    pair = np.isfinite(z[:, 1:]) & np.isfinite(z[:, :-1])
    both = np.where(pair, z[:, 1:] * z[:, :-1], 0).sum()
    square = np.where(pair, z[:, 1:] ** 2, 0).sum()
    return float(np.clip(both / max(float(square), 1e-9), 0, 0.9))

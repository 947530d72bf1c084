"""The cascade from company to company, compiled: many shocks, each to its fixed point, with a bound of what is left.

What a company can still make, h, is a monotone function F of what all others can still make. From the shock
downwards, h falls to the greatest fixed point below the shock in whatever order the companies are taken. So only
those that buy from somebody who fell short are looked at (an active set), and each at once sees what the others have
lost in the same sweep (Gauss-Seidel). Any g with g ≤ F(g) lies below that fixed point: this is the stop.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ROUNDING = 1e-14


@njit(cache=True, nogil=True)
def _possible(j: int, felt: Floats, starts: Ints, source: Ints, share: Floats, group: Ints) -> float:
    """Return what `j` can make of what is felt of its partners' losses: F, before the shock to itself."""
    worst, run, last = 0.0, 0.0, -1
    for e in range(starts[j], starts[j + 1]):
        if group[e] != last:
            worst = max(worst, run)
            run, last = 0.0, group[e]
        run += share[e] * felt[source[e]]
    return max(0.0, 1.0 - max(worst, run))


@njit(cache=True, nogil=True)
def _feel(
    hurt: Ints, wounded: int, h: Floats, sector: Ints, out: Floats, market: Floats, left: Floats, felt: Floats,
    replaceable: int,
) -> None:  # fmt: skip
    """Fill in what is felt of each loss: all of it, or as much as the rest of the market cannot make good."""
    if not replaceable:
        for a in range(wounded):
            felt[hurt[a]] = 1.0 - h[hurt[a]]
        return
    for a in range(wounded):
        left[sector[hurt[a]]] = market[sector[hurt[a]]]
    for a in range(wounded):
        left[sector[hurt[a]]] -= out[hurt[a]] * (1.0 - h[hurt[a]])
    for a in range(wounded):
        i = hurt[a]
        rest = left[sector[i]]
        felt[i] = (1.0 - h[i]) * (out[i] / rest if rest > out[i] else 1.0)


@njit(cache=True, nogil=True)
def settle(
    first: Ints, firm: Ints, lost: Floats, starts: Ints, source: Ints, share: Floats, group: Ints, ahead: Ints,
    target: Ints, sector: Ints, out: Floats, market: Floats, replaceable: int, weight: Floats, tol: float,
    most: int, final: Floats, sweeps: Ints, bound: Floats,
) -> None:  # fmt: skip
    """Let every shock run to its end.

    Parameters
    ----------
    first, firm, lost
        Shock k hits ``firm[first[k] : first[k + 1]]``, which lose those shares of their output.
    starts, source, share, group
        What each company hangs on, by company: partner, share, and the group of inputs of which any can be the
        bottleneck (entries of a group side by side); group -1 is what adds up.
    ahead, target
        Who hangs on a company, by company.
    sector, out, market
        Market of each company, its sales, and the markets' sums.
    replaceable
        1 where others in the market make good as much as their share in it allows, 0 where not.
    weight
        Weights in the loss, adding to 1.
    tol, most
        Stop when the loss is known to this; or after so many sweeps, which the caller must look at.
    final
        (shocks, companies): what each can still make. Ones on entry.
    sweeps, bound
        By shock: sweeps made, and by how much the weighted loss may still be understated (infinite: not known).
    """
    n = len(out)
    psi, before, low = np.ones(n), np.ones(n), np.ones(n)
    felt = np.zeros(n)
    known, hurt_known = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    active, hurt = np.empty(n, np.int64), np.empty(n, np.int64)
    left = market.copy()
    for k in range(len(first) - 1):
        h = final[k]
        size, wounded = 0, 0
        for e in range(first[k], first[k + 1]):
            i = firm[e]
            h[i] = psi[i] = 1.0 - lost[e]
            hurt[wounded] = i
            hurt_known[i] = True
            wounded += 1
            for p in range(ahead[i], ahead[i + 1]):
                if not known[target[p]]:
                    known[target[p]] = True
                    active[size] = target[p]
                    size += 1
        earlier, count, rest = np.inf, 0, np.inf
        while count < most:
            count += 1
            _feel(hurt, wounded, h, sector, out, market, left, felt, replaceable)
            change, a = 0.0, 0
            while a < size:
                j = active[a]
                a += 1
                before[j] = h[j]
                new = _possible(j, felt, starts, source, share, group)
                if new >= h[j]:
                    continue
                change = max(change, h[j] - new)
                h[j] = new
                # the market as it stood when the sweep began: what is felt is then rather too little than too much
                felt[j] = 1.0 - new
                if replaceable and left[sector[j]] > out[j]:
                    felt[j] *= out[j] / left[sector[j]]
                if not hurt_known[j]:
                    hurt_known[j] = True
                    hurt[wounded] = j
                    wounded += 1
                    for p in range(ahead[j], ahead[j + 1]):
                        if not known[target[p]]:
                            known[target[p]] = True
                            active[size] = target[p]
                            size += 1
            if change <= 0.0:
                rest = 0.0
                break
            ratio = change / earlier
            earlier = change
            # worth a try when a geometric tail would be short enough: is there a lower bound so near?
            if ratio < 1.0 and change * ratio / (1.0 - ratio) < tol:
                for a in range(wounded):
                    low[hurt[a]] = h[hurt[a]]
                step = 0.0
                for a in range(size):
                    step += weight[active[a]] * (before[active[a]] - h[active[a]])
                # further than the tail is better: the test fails where a company's share in the tail has yet to come
                reach = 1.5 * ratio / (1.0 - ratio) + 0.01
                if step > 0.0:
                    reach = max(reach, min(0.5 * tol / step, 100.0 * reach))
                gap = 0.0
                for a in range(size):
                    i = active[a]
                    low[i] = max(0.0, h[i] - reach * (before[i] - h[i]))
                    gap += weight[i] * (h[i] - low[i])
                if gap <= tol:
                    _feel(hurt, wounded, low, sector, out, market, left, felt, replaceable)
                    holds = True
                    for a in range(size):
                        j = active[a]
                        new = min(psi[j], _possible(j, felt, starts, source, share, group))
                        if new < low[j] - ROUNDING:
                            holds = False
                            break
                    if holds:
                        rest = gap
                        break
        sweeps[k], bound[k] = count, rest
        for a in range(size):
            known[active[a]] = False
        for a in range(wounded):
            i = hurt[a]
            hurt_known[i] = False
            psi[i] = 1.0
            felt[i] = 0.0
            left[sector[i]] = market[sector[i]]

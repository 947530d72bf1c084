"""From the triangle to a nowcast: the count that each reference period will have once its reports are in."""

from __future__ import annotations

from typing import Any, Literal
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.base.results import TOTAL
from opsroom.measure.delays.design import Design, make_design
from opsroom.measure.delays.draws import draw_amount
from opsroom.measure.delays.ladder import ladder_draws, odp_draws
from opsroom.measure.delays.pooled import PooledFit, fit_pooled
from opsroom.measure.delays.removals import draw_net, draw_rates, fit_removals
from opsroom.measure.delays.result import DelayResult
from opsroom.measure.delays.triangle import ReportingTriangle

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Method = Literal["hierarchical", "odp", "chain-ladder"]

SCARCE = 10.0
"""Reports at a delay, over dispersion, below which its drawn means are held to what was seen."""

NOTHING_SEEN = 7.0
"""Mean of a Poisson count that is 0 once in a thousand times."""

LEAST_WINDOW = {"D": 60, "W": 40, "M": 36, "Q": 24}
"""Fewest reference periods that the hierarchical model learns from, where there are so many."""


def nowcast_delays(
    triangle: ReportingTriangle,
    *,
    method: Method = "hierarchical",
    window: int | None = None,
    level: float = 0.9,
    draws: int = 1000,
    seed: int = 0,
    learn: Bools | None = None,
    learn_from: ReportingTriangle | None = None,
) -> DelayResult:
    r"""Say how many there were, of those whose reports are still coming in.

    Answers: is the fall of the last days a fall, or are the reports not in yet?

    Parameters
    ----------
    triangle
        From `reporting_triangle`.
    method
        ``"hierarchical"``: sectors share delays, days of the week and drift, and differ where the data say so;
        removals are rates of what stands. ``"odp"``: over-dispersed Poisson chain ladder of the additions by
        sector, with the same removals. ``"chain-ladder"``: Mack's model of the net counts by sector, the baseline.
    window
        Last reference periods to learn from; None: three times the delays, at least 60 days (40 weeks,
        36 months, 24 quarters). The ladders use them as well.
    level
        Probability of the intervals.
    draws
        Size of the sample behind mean, standard deviation and quantiles.
    seed
        Of the draws.
    learn
        Shape (sectors, periods): the counts that may be learnt from, those that are published, say; None: all. Nothing
        that is said of one sector then tells, in any bit, of a count that is not among them, and of these themselves
        nothing is said (NaN) unless they are settled. The hierarchical model alone can leave counts out.
    learn_from
        A triangle of the same cells, whose additions and removals are learnt from in place of these; what is reported
        stays as it is. For counts by delay that may not be used as they are (`opsroom.measure.delays.split`).

    Returns
    -------
    DelayResult
        With the count expected `max_delay` periods after each reference period, for each sector and their total.

    Raises
    ------
    UsageError
        An unknown method, a level outside 0 … 1, fewer than 20 draws, or `learn` or `learn_from` with another shape or
        method.
    FitError
        The model cannot be fitted; see each method.

    Notes
    -----
    Hierarchical: additions of sector s, reference period t, delay d have

    .. math::

        \log E\,n_{std} = \ell_{st} + L_t + \varepsilon_{st} + \beta_d + b_s(d)
        + w_{s,\mathrm{day}(t+d)} + v_{\mathrm{day}(t+d)}(d) + r_{s,\mathrm{day}(t)}
        + \sum_k \theta_k(t)\,\varphi_k(d), \qquad \mathrm{var} = \varphi\mu + \psi\mu^2

    with random walks for the levels :math:`\ell_s, L`, the delays' profile :math:`\beta` and the drift
    :math:`\theta_k`, and normal deviations of rows, sectors and days (:math:`v`: what waited over a weekend
    comes on Monday). Precisions are estimated, parameters drawn from the normal approximation at the mode,
    counts to come from a negative binomial (amounts: gamma) distribution. The level of
    a period of which little is known leans on its neighbours, which is why few reports are not read as few
    events. What fails most often: a level that jumps in the last periods, before any of
    their reports are in; and delays that lengthen with the very shock (a court closes). The precisions'
    own uncertainty is left out.

    References
    ----------
    England and Verrall (2002), Stochastic claims reserving in general insurance. Mack (1993). Höhle and
    an der Heiden (2014), Bayesian nowcasting during the STEC O104:H4 outbreak in Germany. McGough, Johansson,
    Lipsitch and Menzies (2020), Nowcasting by Bayesian smoothing.

    Examples
    --------
    >>> from opsroom.measure.delays import reporting_triangle
    >>> day = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(30), unit="D")
    >>> table = pd.DataFrame({"day": np.repeat(day, 20)})
    >>> table["known_at"] = table["day"] + pd.to_timedelta(np.tile(np.arange(20) % 4, 30), unit="D")
    >>> made = reporting_triangle(table, period="day", as_of="2020-01-30", max_delay=3)
    >>> last = nowcast_delays(made).to_frame().iloc[-1]
    >>> int(last["reported"]), bool(last["lower"] <= 20 <= last["upper"]), bool(last["complete"])
    (5, True, False)
    """
    if method not in ("hierarchical", "odp", "chain-ladder"):
        raise UsageError(
            f"there is no delay model {method!r}.",
            remedy="Use 'hierarchical', 'odp' or 'chain-ladder'.",
            code="OPS-U175",
        )
    if not 0.0 < level < 1.0 or draws < 20:
        raise UsageError(
            "a nowcast of delays needs a level between 0 and 1 and at least 20 draws.",
            remedy="Give level=0.9, draws=1000.",
            code="OPS-U176",
        )
    misshapen = learn is not None and learn.shape != triangle.reported.shape
    misshapen |= learn_from is not None and learn_from.added.shape != triangle.added.shape
    if misshapen or (method != "hierarchical" and (learn is not None or learn_from is not None)):
        raise UsageError(
            "what is learnt from is not told by sector and period, or the method is not 'hierarchical'.",
            remedy="Give learn of shape (sectors, periods), learn_from like the triangle, and method='hierarchical'.",
            code="OPS-U178",
        )
    rows = len(triangle.periods)
    least = max(3 * (triangle.max_delay + 1), LEAST_WINDOW[triangle.frequency])
    used = slice(rows - min(rows, max(window or least, 2)), rows)
    if method == "hierarchical":
        sample, share, facts = _pooled(triangle, used, draws, seed, learn, learn_from or triangle)
    else:
        model = {"odp": _odp, "chain-ladder": _plain}[method]
        sample, share, facts = model(triangle, used, draws, np.random.default_rng(seed))
    final = np.repeat(triangle.reported[:, :, None], draws, axis=2)
    shares = np.ones((*triangle.reported.shape, draws))
    final[:, used], shares[:, used] = sample, share
    settled = triangle.age >= triangle.max_delay
    final[:, settled] = triangle.reported[:, settled, None]
    shares[:, settled] = 1.0
    return _result(triangle, final, shares, method=method, level=level, seed=seed, facts=facts)


def _plain(
    triangle: ReportingTriangle, used: slice, draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats, dict[str, Any]]:
    net, age = triangle.net[:, used], np.minimum(triangle.age[used], triangle.max_delay)
    final = np.empty((*net.shape[:2], draws))
    share = np.empty_like(final)
    for s, one in enumerate(net):
        ultimate, known = ladder_draws(one, draws, rng)
        final[s], share[s] = ultimate.T, known[:, age].T
    return final, share, {}


def _odp(
    triangle: ReportingTriangle, used: slice, draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats, dict[str, Any]]:
    added, removed, age = triangle.added[:, used], triangle.removed[:, used], triangle.age[used]
    taken = fit_removals(added, removed, counts=triangle.counts)
    rates = draw_rates(taken, draws, rng)
    final = np.repeat(triangle.reported[:, used, None], draws, axis=2)
    share = np.ones_like(final)
    for s, one in enumerate(added):
        if not np.nansum(one) > 0:
            continue
        coming, known = odp_draws(one, draws, rng, counts=triangle.counts)
        share[s] = known[:, np.minimum(age, triangle.max_delay)].T
        for t in np.flatnonzero(age < triangle.max_delay):
            ahead = int(age[t]) + 1
            final[s, t] = draw_net(
                final[s, t, 0], coming[t, ahead:], ahead, taken, rates[s], counts=triangle.counts, rng=rng
            )
    return final, share, {}


def _pooled(
    triangle: ReportingTriangle, used: slice, draws: int, seed: int, learn: Bools | None, told: ReportingTriangle
) -> tuple[Floats, Floats, dict[str, Any]]:
    learnt = np.ones(triangle.reported.shape, dtype=bool) if learn is None else learn
    at = np.flatnonzero(learnt[:, used].any(axis=1))
    if not len(at):
        raise FitError(
            "no count may be learnt from.", remedy="Let more counts be learnt from, or choose a later as_of.",
            code="OPS-M145",
        )  # fmt: skip
    # Periods of which nothing is learnt stand before the first that tells something: they need no terms.
    begin = used.start + int(np.flatnonzero(learnt[at, used].any(axis=0))[0])
    inside = slice(begin, used.stop)
    rows, age = learnt[at, inside], triangle.age[inside]
    added, removed = (np.where(rows[:, :, None], x[at, inside], np.nan) for x in (told.added, told.removed))
    design = make_design(
        triangle.periods[inside], triangle.max_delay, frequency=triangle.frequency, closed=triangle.closed,
        sectors=len(at),
    )  # fmt: skip
    fit = fit_pooled(added, ~np.isnan(triangle.added[0, inside]), design, counts=triangle.counts)
    taken = fit_removals(added, removed, counts=triangle.counts)
    rng = np.random.default_rng(seed)
    streams = [np.random.default_rng([seed, crc32(triangle.sectors[s].encode())]) for s in at]
    own, shared = fit.draw(draws, rng, streams)
    rates = draw_rates(taken, draws, rng)
    final = np.full((*triangle.reported[:, used].shape, draws), np.nan)
    share = np.full_like(final, np.nan)
    at_most = _at_most(fit, design, added, own, shared)
    for k, (s, stream) in enumerate(zip(at, streams, strict=True)):
        for t in np.flatnonzero((age < triangle.max_delay) & rows[k]):
            mean = _row_means(fit, design, k, int(t), own[k], shared) * at_most
            ahead, place = int(age[t]) + 1, begin - used.start + int(t)
            share[s, place] = mean[:ahead].sum(axis=0) / mean.sum(axis=0)
            variance = fit.phi * mean[ahead:] + fit.psi * mean[ahead:] ** 2
            coming = draw_amount(mean[ahead:], variance, counts=triangle.counts, rng=stream)
            final[s, place] = draw_net(
                triangle.reported[s, begin + t], coming, ahead, taken, rates[k], counts=triangle.counts, rng=stream
            )  # fmt: skip
    facts: dict[str, Any] = {
        "dispersion": {"phi": round(fit.phi, 4), "psi": round(fit.psi, 4)},
        "precisions": {name: round(value, 4) for name, value in fit.precisions.items()},
        "rounds": fit.rounds,
        "settled": fit.settled,
    }
    if "day of report" in design.positions:
        days = fit.shared[design.positions["day of report"]]
        facts["day_of_report"] = [round(float(np.exp(x - days[:7].mean())), 4) for x in days[:7]]
    return final, share, facts


def _at_most(fit: PooledFit, design: Design, added: Floats, own: list[Floats], shared: Floats) -> Floats:
    """Return by what a drawn mean of each delay is multiplied, (delays, draws): 1, or less where too much is drawn.

    Of a delay at which hardly anything was ever reported the normal approximation knows no upper end: it draws means
    under which what was seen could not have been. They are brought down to the most that could.
    """
    factor = np.ones((added.shape[2], shared.shape[1]))
    seen = np.nansum(added, axis=(0, 1))
    scarce = np.flatnonzero(seen < SCARCE * fit.phi)
    if not len(scarce):
        return factor
    drawn = np.zeros_like(factor)
    for s, one in enumerate(added):
        cells = np.flatnonzero(np.isin(design.delay, scarce) & ~np.isnan(one.ravel()))
        np.add.at(drawn, design.delay[cells], _means(fit, design, s, cells, own[s], shared))
    most = seen[scarce] + 3.0 * np.sqrt(fit.phi * seen[scarce]) + NOTHING_SEEN * fit.phi
    factor[scarce] = np.minimum(1.0, most[:, None] / np.maximum(drawn[scarce], 1e-300))
    return factor


def _row_means(fit: PooledFit, design: Design, s: int, t: int, own: Floats, shared: Floats) -> Floats:
    """Return drawn means of all delays of a row, (delays, draws)."""
    delays = len(design.row) // (int(design.row[-1]) + 1)
    return _means(fit, design, s, np.arange(t * delays, (t + 1) * delays), own, shared)


def _means(fit: PooledFit, design: Design, s: int, cells: Ints, own: Floats, shared: Floats) -> Floats:
    """Return drawn means of some cells, (cells, draws)."""
    row = design.row[cells]
    rows = int(design.row[-1]) + 1
    eta = own[row] + own[rows + row] + fit.offset[s]
    for index, by in zip(design.own_at[cells].T, design.own_by[cells].T, strict=True):
        eta += by[:, None] * own[index]
    for index, by in zip(design.shared_at[cells].T, design.shared_by[cells].T, strict=True):
        eta += by[:, None] * shared[index]
    return np.asarray(np.exp(np.clip(eta, -30.0, 30.0)), dtype=np.float64)


def _result(
    triangle: ReportingTriangle, final: Floats, shares: Floats, *, method: str, level: float, seed: int,
    facts: dict[str, Any],
) -> DelayResult:  # fmt: skip
    names = list(triangle.sectors)
    reported = triangle.reported
    if len(names) > 1:
        weight = final.clip(min=0.0)
        whole = weight.sum(axis=0)
        joint = np.divide((weight * shares).sum(axis=0), whole, out=shares.mean(axis=0), where=whole > 0)
        names = [*names, TOTAL]
        reported = np.concatenate([reported, reported.sum(axis=0)[None]])
        final = np.concatenate([final, final.sum(axis=0)[None]])
        shares = np.concatenate([shares, joint[None]])
    tails = [(1.0 - level) / 2.0, 0.5, (1.0 + level) / 2.0]
    quantiles = np.quantile(final, tails, axis=2)
    parts = np.quantile(shares, tails, axis=2)
    settled = triangle.age >= triangle.max_delay
    index = pd.MultiIndex.from_product([names, triangle.periods], names=["sector", "period"])
    frame = pd.DataFrame(
        {
            "reported": reported.ravel(),
            "mean": final.mean(axis=2).ravel(),
            "sd": final.std(axis=2).ravel(),
            "median": quantiles[1].ravel(),
            "lower": quantiles[0].ravel(),
            "upper": quantiles[2].ravel(),
            "share": parts[1].ravel(),
            "share_lower": parts[0].ravel(),
            "share_upper": parts[2].ravel(),
            "age": np.tile(triangle.age, len(names)),
            "complete": np.tile(settled, len(names)),
        },
        index=index,
    )
    return DelayResult(
        frame=frame, draws=final[:, ~settled], open_periods=triangle.periods[~settled], sectors=tuple(names),
        method=method, level=level, frequency=triangle.frequency, as_of=triangle.as_of, max_delay=triangle.max_delay,
        seed=seed, facts=facts | {"early": triangle.early, "beyond": triangle.beyond},
    )  # fmt: skip

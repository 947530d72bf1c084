"""Run a payment holiday and its alternatives on company microdata, under common draws."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.decide.relief.buffers import runway_days
from opsroom.decide.relief.firms import activity, check_firms, monthly_margin, monthly_outgo, moving_outgo
from opsroom.decide.relief.habits import Habits
from opsroom.decide.relief.kernel import ONE, Problem, first_shortfall, keys, noise_scale
from opsroom.decide.relief.losses import Losses
from opsroom.decide.relief.options import NONE, Holiday, Loans, Plans, deferred_sum, named, schedule, stretch
from opsroom.decide.relief.recovery import Recovery, months_between
from opsroom.decide.relief.result import Basis, ReliefResult, assemble
from opsroom.decide.relief.tally import tally

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

DEFAULT_OPTIONS = ("none", "holiday_interest", "holiday_principal", "holiday_both", "holiday_targeted")
MOST_DRAWS = 10_000
LONGEST = 120
_DISTRESS_DAYS = 60.0


def relief(
    firms: pd.DataFrame,
    *,
    options: Sequence[str | Holiday] = DEFAULT_OPTIONS,
    months: float = 6,
    horizon: int = 12,
    draws: int = 100,
    seed: int = 0,
    as_of: dt.date,
    begins: dt.date | None = None,
    measured: dt.date | None = None,
    resumption: pd.DataFrame | None = None,
    recovery: Recovery | None = None,
    losses: Losses | None = None,
    accrues: bool = True,
    catch_up: int | None = None,
    habits: Habits | None = None,
    level: float = 0.9,
) -> ReliefResult:
    r"""Compare payment holidays with doing nothing: who runs out of cash when, and who bears what.

    It answers: without action, how many companies with how many jobs run out of cash by when; which of them
    a holiday saves, which did not need it, which it cannot save and which it only carries to its expiry.

    Parameters
    ----------
    firms
        One row an enterprise, columns `FIRM_COLUMNS` (see `firms_from_tables`); money in minor units a month.
    options
        Names (``"none"``, ``"holiday_interest"``, ``"holiday_principal"``, ``"holiday_both"``,
        ``"holiday_targeted"``) or `Holiday` objects. Doing nothing is always the first. A holiday with
        `equal_to` is stretched until it defers the same sum as that option; ``"holiday_targeted"`` is open to
        the sections with most jobs at companies that have under 60 days' cash, at a deferred sum equal to
        that of ``"holiday_both"``.
    months
        Length of the named holidays.
    horizon
        Months simulated; longer than every holiday, or the cliff at expiry would be out of sight.
    draws
        Number of drawn recoveries, the same for all options.
    seed
        Fixes the draws. A company's luck depends on the seed and its id only.
    as_of
        The day of the study, on which every holiday starts.
    begins
        Day at which the first month of the recursion begins, and to which cash refers; `as_of` by default.
        The first of the month makes months those of the accounts, so that the study can be held against them.
    measured
        Day on which present activity was measured; `as_of` by default.
    resumption
        Index of activity (columns ``date``, ``capacity`` as a share, optional ``section``): the speed of
        recovery is estimated from it; see `Recovery.fit`.
    recovery
        Assumptions on the recovery that `resumption` does not settle.
    losses
        Assumptions on failure and recovery of loans.
    accrues, catch_up
        Of the named holidays: see `Holiday`.
    habits
        How wages, tax and receipts follow activity; by default none does, and sales are paid at once.
    level
        Nominal level of the intervals across draws.

    Returns
    -------
    ReliefResult
        Paths, classes and money by bearer; `to_frame`, `cells`, `summary`, `chart`.

    Raises
    ------
    UsageError
        If an option is unknown or named twice, or a holiday does not end within the horizon.
    DataError
        If the frame of firms is incomplete.

    Notes
    -----
    For company i in month t of draw d

    .. math:: L_{it} = L_{i,t-1} + m_i\,a_{itd} - F_i - \ell_{it}^{o},\qquad
              a_{itd} = 1 - (1-a_{i0})\,g_{std} + e_{id}

    with liquidity L (cash and undrawn credit), margin m of normal sales over materials, activity a that
    returns to normal as the gap g closes, own lasting deviation e, fixed costs, wages and tax F, and loan
    service ℓ under option o. A company is illiquid from the first month with L < 0. Illiquid is not failed:
    deferral by landlords, suppliers or owners, new credit and layoffs are left out, so the count is an
    upper bound on failures. Intervals are across draws; they hold the recovery's uncertainty, not that of
    the accounts. The assumption that fails most often: that nobody changes behaviour because of the holiday.

    References
    ----------
    Gourinchas, Kalemli-Özcan, Penciakova and Sander (2020), COVID-19 and SME failures, NBER 27877.
    Schivardi and Romano (2020), A simple method to estimate firms' liquidity needs during the Covid-19
    crisis.
    """
    _check(horizon, draws, level)
    frame = check_firms(firms)
    chosen = _chosen(options, months=months, accrues=accrues, catch_up=catch_up)
    path = _recovery(recovery, resumption)
    loans = loans_of(frame)
    resolved = _resolve(chosen, frame, loans, horizon)
    cover = np.stack([covered(frame, o) for o in resolved])
    first = begins or as_of
    start = months_between(first, as_of)
    if not 0 <= start < 1:
        raise UsageError("the day of the study is not in the first month of the recursion.", code="OPS-U077")
    plans = Plans.of(
        schedule(loans, o, horizon=horizon, covered=c, start=start) for o, c in zip(resolved, cover, strict=True)
    )
    sections = sorted(frame["section"].unique())
    problem = make_problem(
        frame,
        plans.dues,
        path,
        sections=sections,
        draws=draws,
        seed=seed,
        habits=habits or Habits(),
        since=months_between(measured or as_of, first),
    )
    found = first_shortfall(problem)
    loss = losses or Losses()
    bank, state = loss.shares(frame)
    counts = tally(
        found,
        section=problem.section,
        sections=len(sections),
        jobs=frame["employees"].to_numpy(dtype=np.int64),
        covered=cover,
        expiry=np.array([int(np.ceil(start * (o.length > 0) + o.length - 1e-9)) for o in resolved], dtype=np.int64),
        owed=plans.owed,
        loss_shares=(bank, state),
    )
    basis = Basis(as_of, first, tuple(resolved), horizon, draws, seed, level, path, loss, habits or Habits())
    return assemble(basis, frame, sections, problem, plans, cover, found, counts)


def loans_of(firms: pd.DataFrame) -> Loans:
    """Return the loan columns of a frame of firms."""
    outstanding, interest, principal = (
        firms[c].to_numpy(dtype=np.float64) for c in ("outstanding", "interest_due", "principal_due")
    )
    owing = outstanding > 0
    return Loans(outstanding, np.where(owing, interest, 0.0), np.where(owing, principal, 0.0))


def covered(firms: pd.DataFrame, option: Holiday) -> Flags:
    """Return which companies have a loan that the option is open to; none for doing nothing."""
    rows = np.asarray(firms["outstanding"].to_numpy() > 0)
    if option.covers == "none":
        return np.zeros_like(rows)
    if option.sections is not None:
        rows &= firms["section"].isin(option.sections).to_numpy()
    if option.size_classes is not None:
        rows &= firms["size_class"].isin(option.size_classes).to_numpy()
    return rows


def make_problem(
    firms: pd.DataFrame,
    dues: Ints,
    recovery: Recovery,
    *,
    sections: Sequence[str],
    draws: int,
    seed: int,
    habits: Habits,
    since: float = 0.0,
) -> Problem:
    """Return what the recursion needs, in exact integers; `dues` are those of `Plans`."""
    horizon = dues.shape[2]
    outgo, moving = monthly_outgo(firms), moving_outgo(firms, habits)
    tax = firms["tax_due"].to_numpy(dtype=np.float64)

    def gap_of(column: str) -> Ints:
        return np.rint((1.0 - activity(firms, firms[column])) * ONE).astype(np.int64)

    def rolled(column: str) -> Ints:
        return firms[column].to_numpy(dtype=np.int64) if column in firms.columns else np.zeros(len(firms), np.int64)

    paths = recovery.paths(sections, horizon=horizon, draws=draws, seed=seed, since=since)
    return Problem(
        rolled=rolled("rolled"),
        rolled_gap=rolled("rolled_gap"),
        lost=np.rint(recovery.lost(draws=draws, seed=seed) * ONE).astype(np.int64),
        kept=round((1.0 - habits.cushion) * ONE),
        liquid=(firms["cash"] + firms["undrawn_credit"]).to_numpy(dtype=np.int64),
        margin=monthly_margin(firms, firms["sales_normal"]),
        moving=moving,
        outgo=outgo - moving,
        gap=gap_of("sales_now"),
        gap_before=gap_of("sales_before"),
        lag=round(habits.receipt_lag * ONE),
        keep=_kept(habits, draws=draws, seed=seed),
        section=_rows_of(firms["section"], sections),
        key=keys(firms["enterprise_id"].to_numpy(dtype=np.int64), seed),
        path=np.rint(paths * ONE).astype(np.int64),
        noise=noise_scale(recovery.idiosyncratic),
        dues=dues,
        tax_share=np.rint(np.divide(tax, outgo, out=np.zeros(len(firms)), where=outgo > 0) * ONE).astype(np.int64),
    )


def _rows_of(values: pd.Series[str], sections: Sequence[str]) -> Ints:
    """Return where each value stands among the sections."""
    rows = {section: row for row, section in enumerate(sections)}
    codes, names = pd.factorize(values)
    return np.array([rows[name] for name in names], dtype=np.int64)[codes]


def _kept(habits: Habits, *, draws: int, seed: int) -> Ints:
    """Return by draw the share of a shortfall that drains liquidity, at most twice it."""
    luck = np.random.default_rng([seed, 2]).standard_normal(draws)
    # log-normal with the mean that was estimated
    share = (1.0 - habits.cushion) * np.exp(habits.cushion_error * luck - 0.5 * habits.cushion_error**2)
    return np.rint(np.clip(share, 0.0, 2.0) * ONE).astype(np.int64)


def distress(firms: pd.DataFrame) -> pd.Series[float]:
    """Return each section's share of jobs at borrowers with under 60 days' liquidity, worst first."""
    tight = (runway_days(firms, with_loans=True) < _DISTRESS_DAYS) & (firms["outstanding"].to_numpy() > 0)
    jobs = firms["employees"].to_numpy(dtype=np.float64)
    sums = pd.DataFrame({"tight": jobs * tight, "jobs": jobs}).groupby(firms["section"]).sum()
    share = (sums["tight"] / sums["jobs"].clip(lower=1.0)).rename("distress")
    return share.sort_values(ascending=False, kind="stable")


def _check(horizon: int, draws: int, level: float) -> None:
    if not 1 <= horizon <= LONGEST:
        raise UsageError(f"the horizon is not within 1 … {LONGEST} months.", code="OPS-U077")
    if not 1 <= draws <= MOST_DRAWS:
        raise UsageError(f"the number of draws is not within 1 … {MOST_DRAWS}.", code="OPS-U077")
    if not 0 < level < 1:
        raise UsageError("the level is not a share.", remedy="Give 0.9 for 90 %.", code="OPS-U077")


def _chosen(options: Sequence[str | Holiday], *, months: float, accrues: bool, catch_up: int | None) -> list[Holiday]:
    given = [
        o if isinstance(o, Holiday) else named(o, months=months, accrues=accrues, catch_up=catch_up) for o in options
    ]
    result = [NONE, *(o for o in given if o.name != "none")]
    names = [o.name for o in result]
    if len(set(names)) != len(names):
        raise UsageError("two options have one name.", remedy="Name each option once.", code="OPS-U078")
    return result


def _recovery(recovery: Recovery | None, resumption: pd.DataFrame | None) -> Recovery:
    base = recovery or Recovery()
    return base if resumption is None else base.fit(resumption)


def _resolve(options: list[Holiday], firms: pd.DataFrame, loans: Loans, horizon: int) -> list[Holiday]:
    """Settle the length of every option, and the sections of those that are to defer an equal sum."""
    by_name = {o.name: o for o in options}
    result = []
    for option in options:
        if option.equal_to is not None:
            option = _equalised(option, by_name, firms, loans, horizon)
        if option.length >= horizon:
            raise UsageError(
                f"option {option.name!r} does not end within the horizon of {horizon} months.",
                remedy="Take a longer horizon: what happens at expiry must be in sight.",
                code="OPS-U079",
            )
        result.append(option)
    return result


def _equalised(
    option: Holiday, by_name: dict[str, Holiday], firms: pd.DataFrame, loans: Loans, horizon: int
) -> Holiday:
    reference = by_name.get(option.equal_to or "")
    if reference is None or reference.equal_to is not None or reference.covers == "none":
        raise UsageError(
            f"option {option.name!r} is to equal an option that is not among the others.",
            remedy="Name a holiday of stated length in equal_to, and include it.",
            code="OPS-U080",
        )
    mask = covered(firms, reference)
    target = deferred_sum(loans.of(mask), reference, horizon=horizon)
    longest = horizon - 1.0
    if option.sections is not None or target == 0:
        found = stretch(
            loans, option, deferred=target, covered=covered(firms, option), horizon=horizon, longest=longest
        )
        if found is not None:
            return found
        raise UsageError(
            f"option {option.name!r} cannot defer as much as {reference.name!r} within the horizon.",
            remedy="Open it to more sections, or compare with a shorter holiday.",
            code="OPS-U081",
        )
    # worst sections first, as few as can take up the sum within one and a half times the length
    worst = list(distress(firms).index)
    for count in range(1, len(worst) + 1):
        trial = replace(option, sections=tuple(sorted(worst[:count])))
        most = min(longest, 1.5 * reference.length)
        found = stretch(loans, trial, deferred=target, covered=covered(firms, trial), horizon=horizon, longest=most)
        if found is not None:
            return found
    return reference.lasting(reference.length)

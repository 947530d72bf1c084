"""The last date on which a decision still reaches half of the companies that it would have saved."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.cells import parts_from_panel
from opsroom.base.errors import FitError, UsageError
from opsroom.base.results import Cells, Measure, Part
from opsroom.decide.relief.kernel import compiled_paths
from opsroom.decide.relief.options import paid_until
from opsroom.decide.relief.recovery import DAYS_PER_MONTH
from opsroom.decide.relief.result import ReliefResult, bounds
from opsroom.decide.relief.run import loans_of
from opsroom.decide.relief.tally import DECISIVE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class DeadlineResult:
    """How many of the decisive companies a decision still reaches, by the week in which it is taken.

    Attributes
    ----------
    option
        Name of the option.
    half_of
        The share asked for, 0.5 being half.
    last_date
        Last date of decision that still reaches that share; ``None`` where even the last week looked at does.
    table
        ``start`` (ISO date of decision), ``share_reached`` with bounds (per cent), and ``companies``.
    decisive
        Expected number of decisive companies if the decision were taken at once.
    as_of
        Day of the study.
    firms
        One row a company that is decisive in any draw: ``group_id``, ``decisive`` (probability) and one
        column a start, the probability of being reached. Confidential.
    """

    option: str
    half_of: float
    last_date: dt.date | None
    table: pd.DataFrame
    decisive: float
    as_of: dt.date
    firms: pd.DataFrame

    def fact(self) -> dict[str, object]:
        """Return what a release may state as a fact: a date and the share that it stands for."""
        date = self.last_date.isoformat() if self.last_date else None
        return {"date": date, "half_of": "decisive companies", "share": self.half_of, "option": self.option}

    def to_frame(self) -> pd.DataFrame:
        """Return the share reached by date of decision."""
        return self.table

    def summary(self) -> str:
        """Return the finding in a line."""
        share = f"{100 * self.half_of:g} %"
        if self.last_date is None:
            return f"{self.option}: a decision in the last week looked at still reaches {share} of the decisive."
        return (
            f"{self.option}: a decision by {self.last_date.isoformat()} still reaches {share} of the "
            f"{self.decisive:,.0f} companies that it would save if taken on {self.as_of.isoformat()}."
        )

    def cite(self) -> str:
        """Return the method."""
        return "opsroom relief.deadline 1: the recursion rerun with the holiday starting later, week by week."

    def cells(self) -> list[Cells]:
        """Return the publishable cells of ``relief.deadline``: a national share, by day of decision."""
        starts = list(self.table["start"])
        chance = self.firms["decisive"].to_numpy(dtype=np.float64)
        frame = parts_from_panel(
            self.firms[["group_id"]].assign(section="all"),
            {
                "n_reached": self.firms[starts].to_numpy(dtype=np.float64),
                "n_decisive": np.repeat(chance[:, None], len(starts), axis=1),
            },
            periods=starts,
            period="start",
            dimensions=["section"],
            group="group_id",
            totals=False,
        )
        frame.insert(0, "reference", self.as_of.isoformat())
        bounds = self.table[["start", "share_reached_lower", "share_reached_upper"]].round(1)
        # a ratio, not a share: that all are reached in the first week holds by definition and tells nothing
        measure = Measure(
            "share_reached",
            "ratio",
            "%",
            ("n_reached", "n_decisive"),
            scale=100.0,
            attached=("share_reached_lower", "share_reached_upper"),
        )
        return [
            Cells(
                name="relief.deadline",
                dimensions=("reference", "start"),
                parts=(Part("n_reached", "companies"), Part("n_decisive", "companies")),
                measures=(measure,),
                frame=frame.drop(columns="section").merge(bounds, on="start"),
                method="relief.deadline-1",
                facts={
                    "last_date_half": self.fact()["date"],
                    "half_of": self.half_of,
                    "option": self.option,
                    "as_of": self.as_of.isoformat(),
                },
            )
        ]


def deadline(
    result: ReliefResult,
    *,
    option: str | None = None,
    weeks: int = 26,
    half_of: float = 0.5,
    lead_days: int = 0,
) -> DeadlineResult:
    r"""Find the last date on which a decision still reaches half of the decisive companies.

    Parameters
    ----------
    result
        A relief study.
    option
        Name of the option; the one with most decisive companies by default.
    weeks
        Weeks looked at, from the study's day on. Only who would run out within them counts: who runs out later
        is reached by a decision in any of them.
    half_of
        Share of the decisive companies to be reached.
    lead_days
        Days from the decision to the first due that rests.

    Returns
    -------
    DeadlineResult
        Share reached by week of decision, with interval across draws.

    Raises
    ------
    FitError
        If the option is decisive for no company that runs out in the weeks looked at.

    Notes
    -----
    Decisive here are companies that without the option run out by the end of the month in which the last
    week falls, and with it do not within the horizon. Such a company is, in a draw, *reached* by a decision in
    week w if, with the same draw and the holiday starting then, it still runs out at no time within the
    horizon. Flows and dues are taken to fall evenly within a month (due days are not known), so liquidity is
    piecewise linear, and it is enough to look at the ends of months and at the start of the holiday: the slope
    falls at its expiry, hence no minimum lies there. The date returned is that of the last week before the
    share first falls below.
    """
    row = _row(result, option)
    if row == 0 or not 1 <= weeks <= 104 or not 0 < half_of <= 1 or lead_days < 0:
        raise UsageError(
            "a deadline needs an option other than none, 1 to 104 weeks, a share, and no negative lead.",
            code="OPS-U083",
        )
    chosen = result.basis.options[row]
    subset = np.flatnonzero(result.by_firm.classes[row][:, DECISIVE] > 0)
    horizon = result.basis.horizon
    first = result.start
    weekly = first + (7.0 * np.arange(weeks) + lead_days) / DAYS_PER_MONTH
    # who runs out after the last week looked at is reached by a decision in any of them: that tells nothing
    within = min(int(np.ceil(first + 7.0 * weeks / DAYS_PER_MONTH)), horizon)
    starts = weekly[weekly < horizon - 1].astype(np.float64)
    reached = np.zeros((len(starts), result.basis.draws), dtype=np.int64)
    decisive = np.zeros(result.basis.draws, dtype=np.int64)
    by_firm = np.zeros((len(subset), len(starts) + 1), dtype=np.int64)
    loans = loans_of(result.firms)
    for at in range(0, len(subset), _CHUNK):
        rows = subset[at : at + _CHUNK]
        problem = result.problem.rows(rows)
        part = loans.of(rows)
        dues = paid_until(part, chosen, horizon=horizon, starts=[first, *starts.tolist()])
        found = (reached, decisive, by_firm[at : at + _CHUNK])
        _reach(*compiled_paths(problem), problem.dues[0], dues, starts, within, found)
    if not decisive.any():
        raise FitError(
            f"option {chosen.name!r} is decisive for no company that runs out in these weeks.",
            remedy="There is no date to give.",
            code="OPS-M070",
        )
    firms = _by_firm(result, subset, by_firm)
    return _result(result, chosen.name, half_of, reached, decisive, firms)


@nb.njit(cache=True)
def _reach(
    x: Ints, begun: Ints, none: Ints, dues: Ints, starts: Floats, within: int, found: tuple[Ints, Ints, Ints]
) -> None:  # pragma: no cover - compiled
    """Add the decisive (option from day 0, dues[0]) and those reached from each later start (dues[1:])."""
    reached, decisive, by_firm = found
    n, horizon, draws = x.shape
    for i in range(n):
        for d in range(draws):
            if begun[i, d] < 0:
                continue
            fails, saved = False, True
            for t in range(horizon):
                fails = fails or (t < within and x[i, t, d] < none[i, t])
                saved = saved and x[i, t, d] >= dues[0, i, t]
            if not (fails and saved):
                continue
            decisive[d] += 1
            by_firm[i, 0] += 1
            for w in range(len(starts)):
                month = int(starts[w])
                part = starts[w] - month
                before = x[i, month - 1, d] - none[i, month - 1] if month > 0 else begun[i, d]
                after = x[i, month, d] - none[i, month]
                if before + part * (after - before) < 0.0:
                    continue
                ok = True
                for t in range(horizon):
                    if x[i, t, d] < dues[w + 1, i, t]:
                        ok = False
                        break
                if ok:
                    reached[w, d] += 1
                    by_firm[i, w + 1] += 1


def _days(result: ReliefResult, number: int) -> list[dt.date]:
    return [result.as_of + dt.timedelta(days=7 * k) for k in range(number)]


def _by_firm(result: ReliefResult, subset: Ints, counts: Ints) -> pd.DataFrame:
    """Return the probabilities of being decisive, and of being reached from each start, by company."""
    names = ["decisive", *(day.isoformat() for day in _days(result, counts.shape[1] - 1))]
    frame = pd.DataFrame(counts / float(result.basis.draws), columns=names)
    frame.insert(0, "group_id", result.firms["group_id"].to_numpy()[subset])
    return frame[frame["decisive"] > 0].reset_index(drop=True)


def _row(result: ReliefResult, option: str | None) -> int:
    if option is not None:
        return result.option(option)
    expected = result.by_firm.classes[1:, :, DECISIVE].sum(axis=1)
    return 1 + int(expected.argmax()) if len(expected) else 0


def _result(
    result: ReliefResult, name: str, half_of: float, reached: Ints, decisive: Ints, firms: pd.DataFrame
) -> DeadlineResult:
    share = reached.sum(axis=1) / decisive.sum()
    drawn = decisive > 0
    _, low, high = bounds(100.0 * reached[:, drawn] / decisive[drawn], result.basis.level)
    days = _days(result, len(share))
    table = pd.DataFrame(
        {
            "start": [day.isoformat() for day in days],
            "share_reached": 100.0 * share,
            "share_reached_lower": np.minimum(low, 100.0 * share),
            "share_reached_upper": np.maximum(high, 100.0 * share),
            "companies": reached.mean(axis=1),
        }
    )
    short = np.flatnonzero(share < half_of)
    if len(short) == 0:
        last = None
    elif short[0] == 0:
        last = result.as_of - dt.timedelta(days=1)
    else:
        last = days[short[0] - 1]
    return DeadlineResult(name, half_of, last, table, float(decisive.mean()), result.as_of, firms)

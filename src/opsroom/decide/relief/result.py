"""The result of a relief study: paths, classes, money by bearer. There is no total of money on purpose."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import NotFoundError
from opsroom.base.results import TOTAL, Cells
from opsroom.decide.relief.habits import Habits
from opsroom.decide.relief.kernel import Problem, Shortfalls
from opsroom.decide.relief.losses import Losses
from opsroom.decide.relief.options import Holiday, Plans
from opsroom.decide.relief.recovery import Recovery, months_between
from opsroom.decide.relief.tally import CLASSES, Tally

if TYPE_CHECKING:
    import altair as alt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

BEARERS = ("bank", "state", "other")
MONEY = ("deferred", "outlay", *(f"expected_loss_{b}" for b in BEARERS), "contingent")
"""Kinds of money, each of its own nature. They are never added up."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What a study rests on.

    Attributes
    ----------
    as_of
        Day of the study, on which holidays start.
    begins
        Day at which the first month of the recursion begins.
    options
        As resolved: lengths and sections settled; the first is doing nothing.
    horizon, draws, seed, level
        Months, number of draws, seed, nominal level of the intervals.
    recovery, losses, habits
        Assumptions.
    """

    as_of: dt.date
    begins: dt.date
    options: tuple[Holiday, ...]
    horizon: int
    draws: int
    seed: int
    level: float
    recovery: Recovery
    losses: Losses
    habits: Habits

    @property
    def months(self) -> list[str]:
        """Calendar month in which each step of the recursion ends; begun on a first of the month, that month itself."""
        first = pd.Period(self.begins, "M") + (0 if self.begins.day == 1 else 1)
        return [str(first + t) for t in range(self.horizon)]


@dataclass(frozen=True, slots=True)
class ByFirm:
    """What was found by company; o options, n companies, T months. Confidential.

    Attributes
    ----------
    illiquid
        Probability of having run out by the end of the month, (o, n, T).
    classes
        Probability of each class, (o, n, 4); zero where the option does not cover the company.
    money
        Kind → expected amount in minor units, (o, n).
    """

    illiquid: npt.NDArray[np.float32]
    classes: npt.NDArray[np.float32]
    money: dict[str, Floats]


@dataclass(frozen=True, slots=True)
class ReliefResult:
    """Payment holidays compared with doing nothing. Confidential until released.

    Attributes
    ----------
    basis
        Options, horizon, draws, assumptions.
    path
        option, month, section: ``illiquid_companies`` and ``jobs_at_risk``, cumulated, with bounds.
    classes
        option, section: expected companies and jobs that are decisive, windfall, futile, cliff, with bounds.
    money
        option: deferred, outlay, expected loss by bearer (change against doing nothing), contingent
        liability, in minor units, each on its own; losses with bounds.
    without_action
        Expected losses by bearer if nothing is done, minor units.
    harmed
        Expected companies that run out only because of what they must catch up (within ``cliff``), by option.
    firms
        The companies, in the order of `by_firm`.
    by_firm
        Probabilities and amounts by company.
    problem, covered
        What the recursion worked on, for `deadline`.
    """

    basis: Basis
    path: pd.DataFrame
    classes: pd.DataFrame
    money: pd.DataFrame
    without_action: dict[str, float]
    harmed: dict[str, float]
    firms: pd.DataFrame
    by_firm: ByFirm
    problem: Problem
    covered: Flags

    @property
    def already(self) -> tuple[int, int]:
        """Companies that had run out when the recursion begins, and their jobs; no option can reach them."""
        out = self.problem.liquid < 0
        return int(out.sum()), int(self.firms["employees"].to_numpy()[out].sum())

    @property
    def start(self) -> float:
        """Months from the beginning of the recursion to the day of the study."""
        return months_between(self.basis.begins, self.basis.as_of)

    @property
    def as_of(self) -> dt.date:
        """Day of the study."""
        return self.basis.as_of

    def option(self, name: str) -> int:
        """Return the row of an option.

        Raises
        ------
        NotFoundError
            If the study has no such option.
        """
        names = [o.name for o in self.basis.options]
        if name not in names:
            raise NotFoundError(
                f"the study has no option {name!r}.",
                remedy=f"Use one of {', '.join(names)}.",
                code="OPS-N070",
            )
        return names.index(name)

    def firm_classes(self, name: str) -> pd.DataFrame:
        """Return each covered company's class probabilities and most frequent class under an option."""
        row = self.option(name)
        inside = self.covered[row]
        shares = self.by_firm.classes[row][inside]
        frame: pd.DataFrame = self.firms.loc[inside, ["enterprise_id", "section", "size_class", "employees"]]
        frame = frame.assign(**{c: shares[:, k] for k, c in enumerate(CLASSES)}).reset_index(drop=True)
        frame["modal"] = np.array(CLASSES)[shares.argmax(axis=1)]
        return frame

    def to_frame(self) -> pd.DataFrame:
        """Return one row an option over the whole horizon: illiquid, classes and money, side by side."""
        last = self.path[(self.path["month"] == TOTAL) & (self.path["section"] == TOTAL)]
        frame = last.drop(columns=["month", "section"])
        frame = frame.merge(self.classes[self.classes["section"] == TOTAL].drop(columns="section"), on="option")
        whole: pd.DataFrame = frame.merge(self.money, on="option")
        return whole

    def summary(self) -> str:
        """Return the study in a few lines."""
        table = self.to_frame().set_index("option")
        none = table.loc["none"]
        lines = [
            f"As of {self.as_of.isoformat()}, {self.basis.horizon} months, {self.basis.draws} draws: "
            f"without action about {none['illiquid_companies']:,.0f} companies "
            f"({none['illiquid_companies_lower']:,.0f} to {none['illiquid_companies_upper']:,.0f}) with "
            f"{none['jobs_at_risk']:,.0f} jobs run out of cash ({self.already[0]:,} had on the day). "
            "Illiquid is not failed, and jobs at risk are not jobs lost."
        ]
        for option in self.basis.options[1:]:
            row = table.loc[option.name]
            interest = "accrues" if option.accrues else "is waived"
            lines.append(
                f"{option.name} ({option.length:.3g} months, interest {interest}): decisive for "
                f"{row['decisive']:,.0f} companies with {row['jobs_decisive']:,.0f} jobs, windfall for "
                f"{row['windfall']:,.0f}, futile for {row['futile']:,.0f}, cliff after expiry for "
                f"{row['cliff']:,.0f}."
            )
        return "\n".join(lines)

    def cite(self) -> str:
        """Return sources, method and seed."""
        return (
            "opsroom relief 1 (cash recursion under common draws; after Gourinchas et al. 2020 and "
            f"Schivardi and Romano 2020); horizon {self.basis.horizon} months, {self.basis.draws} draws, "
            f"seed {self.basis.seed}."
        )

    def cells(
        self, deadline: dict[str, object] | None = None, *, currency: str = "MER", minor: int = 100
    ) -> list[Cells]:
        """Return the publishable cells of ``relief.options``.

        Parameters
        ----------
        deadline
            Facts on the last date that still reaches half, from `DeadlineResult.fact`.
        currency, minor
            Code of the currency, and how many minor units make one.
        """
        from opsroom.decide.relief.publish import option_cells

        return [option_cells(self, deadline=deadline, currency=currency, minor=minor)]

    def chart(self) -> alt.Chart:
        """Return the number of companies that have run out of cash, by option and month."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        rows = self.path[(self.path["section"] == TOTAL) & (self.path["month"] != TOTAL)]
        wide = rows.pivot(index="month", columns="option", values="illiquid_companies")
        none = rows[rows["option"] == "none"].set_index("month")
        wide["lower"], wide["upper"] = none["illiquid_companies_lower"], none["illiquid_companies_upper"]
        names = [o.name for o in self.basis.options]
        caption = Caption(
            finding="Companies that run out of cash, by option",
            unit="companies, cumulated; illiquid is not failed",
            as_of=self.as_of.isoformat(),
        )
        return line_band(
            [{str(k): v for k, v in row.items()} for row in wide.reset_index().to_dict("records")],
            x="month",
            lines={name: name for name in names},
            band=("lower", "upper"),
            band_label=f"{100 * self.basis.level:g} % interval, none",
            caption=caption,
        )


def assemble(
    basis: Basis,
    firms: pd.DataFrame,
    sections: Sequence[str],
    problem: Problem,
    plans: Plans,
    covered: Flags,
    found: Shortfalls,
    counts: Tally,
) -> ReliefResult:
    """Turn counts by draw and company into the result's frames."""
    names = [o.name for o in basis.options]
    money, by_firm = _money(basis, firms, plans, found, counts)
    # counts of draws are exact in 4 bytes
    share = counts.by_firm.cumsum(axis=2, dtype=np.float32)
    share /= np.float32(basis.draws)
    draws = float(basis.draws)
    losses = _loss_by_draw(basis, found, counts)
    return ReliefResult(
        basis=basis,
        path=_path(basis, sections, counts),
        classes=_classes(basis, sections, counts),
        money=money,
        without_action={f"expected_loss_{b}": float(losses[k, 0].mean()) for k, b in enumerate(BEARERS)},
        harmed={name: float(counts.harmed[k].sum()) / draws for k, name in enumerate(names)},
        firms=firms,
        by_firm=ByFirm(share, (counts.class_by_firm / np.float32(draws)).astype(np.float32), by_firm),
        problem=problem,
        covered=covered,
    )


def bounds(values: npt.NDArray[np.generic], level: float) -> tuple[Floats, Floats, Floats]:
    """Return mean and central interval over the last axis."""
    x = values.astype(np.float64)
    low, high = np.quantile(x, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=-1)
    return x.mean(axis=-1), low, high


def _path(basis: Basis, sections: Sequence[str], counts: Tally) -> pd.DataFrame:
    labels = [*basis.months, TOTAL]
    columns: dict[str, npt.NDArray[np.generic]] = {}
    for name, hits in (("illiquid_companies", counts.illiquid), ("jobs_at_risk", counts.jobs)):
        full = np.concatenate([hits.sum(axis=1, keepdims=True), hits], axis=1).cumsum(axis=2)
        full = np.concatenate([full, full[:, :, -1:]], axis=2)
        for suffix, array in zip(("", "_lower", "_upper"), bounds(full, basis.level), strict=True):
            columns[name + suffix] = array.ravel()
    index = pd.MultiIndex.from_product(
        [[o.name for o in basis.options], [TOTAL, *sections], labels], names=["option", "section", "month"]
    )
    frame = pd.DataFrame(columns, index=index).reset_index()
    return frame[["option", "month", "section", *columns]]


def _classes(basis: Basis, sections: Sequence[str], counts: Tally) -> pd.DataFrame:
    columns: dict[str, npt.NDArray[np.generic]] = {}
    for prefix, hits in (("", counts.classes), ("jobs_", counts.class_jobs)):
        full = np.concatenate([hits.sum(axis=1, keepdims=True), hits], axis=1)
        parts = bounds(full, basis.level)
        for k, kind in enumerate(CLASSES):
            for suffix, array in zip(("", "_lower", "_upper"), parts, strict=True):
                columns[f"{prefix}{kind}{suffix}"] = array[:, :, k].ravel()
    index = pd.MultiIndex.from_product(
        [[o.name for o in basis.options], [TOTAL, *sections]], names=["option", "section"]
    )
    return pd.DataFrame(columns, index=index).reset_index()


def _loss_by_draw(basis: Basis, found: Shortfalls, counts: Tally) -> Floats:
    """Return losses by bearer, option and draw: loans; of unpaid bills, tax falls on the state."""
    fails = basis.losses.fails_if_illiquid
    tax, bills = fails * found.unpaid_by_draw[0], fails * found.unpaid_by_draw[1]
    return np.stack([counts.loss[0].astype(np.float64), counts.loss[1] + tax, bills])


def _money(
    basis: Basis, firms: pd.DataFrame, plans: Plans, found: Shortfalls, counts: Tally
) -> tuple[pd.DataFrame, dict[str, Floats]]:
    """Return money by option (with bounds where draws matter) and by company, each kind on its own."""
    deferred, waived = plans.deferred.astype(np.float64), plans.waived.astype(np.float64)
    by_state = np.array([o.waived_by == "state" for o in basis.options])[:, None]
    own = firms["guarantee_ppm"].to_numpy(dtype=np.float64)[None, :] / 1e6
    extra = np.array([o.guarantee_ppm for o in basis.options])[:, None] / 1e6
    by_firm = {
        "deferred": deferred,
        "outlay": np.where(by_state, waived, 0.0),
        "contingent": deferred * (1.0 - (1.0 - own) * (1.0 - extra)),
    }
    fails, draws = basis.losses.fails_if_illiquid, float(basis.draws)
    unpaid = fails * found.unpaid.astype(np.float64)
    losses = (counts.loss_by_firm[0].astype(np.float64), counts.loss_by_firm[1] + unpaid[0], unpaid[1])
    forgone = (np.where(by_state, 0.0, waived), 0.0, 0.0)
    columns: dict[str, Floats] = {name: x.sum(axis=1) for name, x in by_firm.items()}
    by_draw = _loss_by_draw(basis, found, counts)
    for k, bearer in enumerate(BEARERS):
        name = f"expected_loss_{bearer}"
        by_firm[name] = (losses[k] - losses[k][:1]) / draws + forgone[k]
        certain = np.sum(forgone[k], axis=1) if k == 0 else np.zeros(len(deferred))
        change = by_draw[k] - by_draw[k][:1] + certain[:, None]
        for suffix, array in zip(("", "_lower", "_upper"), bounds(change, basis.level), strict=True):
            columns[name + suffix] = array
    frame = pd.DataFrame(columns)
    order = [c for kind in MONEY for c in frame.columns if c == kind or c.startswith(f"{kind}_")]
    frame = frame[list(dict.fromkeys(order))]
    frame.insert(0, "option", [o.name for o in basis.options])
    return frame, by_firm

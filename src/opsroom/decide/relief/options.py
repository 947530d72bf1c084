"""Options of relief, and the loan service that each leaves to pay, month by month.

The one instrument is a payment holiday on company loans: for some months interest, principal or both need not
be paid. What is not paid is either owed later (deferred) or, for interest where it does not accrue, never
(waived). Doing nothing is an option like the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError
from opsroom.decide.relief.service import cumulated, service, terms
from opsroom.decide.relief.service import deferred as deferred_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Covers = Literal["none", "interest", "principal", "both"]
Payer = Literal["bank", "state"]

_NEAR = 1e-6


@dataclass(frozen=True, slots=True)
class Holiday:
    """A payment holiday on company loans.

    Attributes
    ----------
    name
        Code of the option in every table, such as ``"holiday_both"``.
    covers
        Which dues rest: ``"interest"``, ``"principal"``, ``"both"``, or ``"none"`` (doing nothing).
    months
        Length, in months; fractions are allowed (dues fall evenly within a month).
    accrues
        True: interest goes on accruing on all that is unpaid and is owed later. False: no interest is
        charged for the months of the holiday on what rests (*waived*); somebody bears that: `waived_by`.
    sections
        Sections that it is open to; ``None`` is all.
    size_classes
        Size classes that it is open to; ``None`` is all.
    catch_up
        Months over which deferred sums are repaid after expiry, in equal parts, on top of the normal dues;
        ``None`` appends them to the term: normal dues go on until all is repaid.
    waived_by
        Who bears waived interest: the ``"bank"`` (a loss) or the ``"state"`` (an outlay).
    guarantee_ppm
        Share of deferred sums that the state guarantees in addition, per million: a contingent liability.
    equal_to
        Name of another option whose deferred sum this one is stretched to match, by its length.
    """

    name: str
    covers: Covers = "both"
    months: float = 6.0
    accrues: bool = True
    sections: tuple[str, ...] | None = None
    size_classes: tuple[str, ...] | None = None
    catch_up: int | None = None
    waived_by: Payer = "bank"
    guarantee_ppm: int = 0
    equal_to: str | None = None

    def __post_init__(self) -> None:
        if self.covers not in ("none", "interest", "principal", "both"):
            raise UsageError(
                f"option {self.name!r} covers {self.covers!r}.",
                remedy="Use none, interest, principal or both.",
                code="OPS-U070",
            )
        if not self.months >= 0 or (self.covers != "none" and self.months == 0):
            raise UsageError(
                f"option {self.name!r} lasts no positive number of months.",
                remedy="Give months > 0.",
                code="OPS-U071",
            )
        if self.catch_up is not None and self.catch_up < 1:
            raise UsageError(
                f"option {self.name!r} is caught up over no month.",
                remedy="Give catch_up ≥ 1, or None to append to the term.",
                code="OPS-U072",
            )
        if not 0 <= self.guarantee_ppm <= 1_000_000:
            raise UsageError(f"option {self.name!r} guarantees a share outside 0 … 1,000,000 ppm.", code="OPS-U073")

    @property
    def length(self) -> float:
        """Months for which dues rest: 0 for doing nothing."""
        return 0.0 if self.covers == "none" else float(self.months)

    def lasting(self, months: float) -> Holiday:
        """Return the same holiday with another length."""
        return replace(self, months=months)


NONE = Holiday("none", covers="none", months=0.0)
"""Doing nothing."""


@dataclass(frozen=True, slots=True)
class Loans:
    """What each company owes on its loans; arrays of one length, minor units as whole floats.

    Attributes
    ----------
    outstanding
        Principal owed.
    interest, principal
        Due in a month without a holiday, at the start.
    """

    outstanding: Floats
    interest: Floats
    principal: Floats

    def __len__(self) -> int:
        """Number of companies."""
        return len(self.outstanding)

    @property
    def rate(self) -> Floats:
        """Interest of a month, implied by the first that is due."""
        zero = np.zeros(len(self))
        return np.asarray(np.divide(self.interest, self.outstanding, out=zero, where=self.outstanding > 0))

    def of(self, rows: Ints | Flags) -> Loans:
        """Return the loans of some companies."""
        return Loans(self.outstanding[rows], self.interest[rows], self.principal[rows])


@dataclass(frozen=True, slots=True)
class Schedule:
    """Loan service under an option; arrays of shape (companies, months), int64 minor units.

    Attributes
    ----------
    paid
        What is due in cash.
    deferred_interest, deferred_principal
        Dues not paid that are owed later.
    waived
        Interest never charged.
    owed
        All that is owed at the start of the month, before its payment: the lender's exposure.
    """

    paid: Ints
    deferred_interest: Ints
    deferred_principal: Ints
    waived: Ints
    owed: Ints

    @property
    def deferred(self) -> Ints:
        """Dues not paid that are owed later, by company, over all months."""
        return np.asarray((self.deferred_interest + self.deferred_principal).sum(axis=1))


@dataclass(frozen=True, slots=True)
class Plans:
    """What a study looks at in the schedules of its options; int64 minor units.

    Attributes
    ----------
    dues
        What is due in cash up to the end of each month, (options, companies, months).
    owed
        See `Schedule`, (options, companies, months).
    deferred, waived
        Over all months, (options, companies).
    """

    dues: Ints
    owed: Ints
    deferred: Ints
    waived: Ints

    @classmethod
    def of(cls, schedules: Iterable[Schedule]) -> Plans:
        """Take what is needed out of each schedule: of one that is made when it is its turn, nothing else is kept."""
        kept = [(s.paid.cumsum(axis=1), s.owed, s.deferred, s.waived.sum(axis=1)) for s in schedules]
        return cls(*(np.stack(part) for part in zip(*kept, strict=True)))


def schedule(
    loans: Loans, holiday: Holiday, *, horizon: int, covered: Flags | None = None, start: float = 0.0
) -> Schedule:
    r"""Return what is due, deferred, waived and owed each month.

    Parameters
    ----------
    loans
        Loans of n companies.
    holiday
        The option.
    horizon
        Months.
    covered
        Companies that the option is open to; all by default.
    start
        Months after the beginning at which the holiday starts; fractions allowed.

    Returns
    -------
    Schedule
        All arrays of shape (n, horizon).

    Notes
    -----
    With share :math:`h_t` of month t inside the holiday, regular balance b, postponed principal s, deferred
    interest a, and the monthly rate implied by the first interest due, r: interest charged is
    :math:`r(b+s+a)`, principal falling due :math:`p=\min(P,b)`. The covered share :math:`h_t` of each rests.
    Where interest does not accrue, the share :math:`h_t` of interest on what rests is not charged. After
    expiry the postponed sums are repaid over `catch_up` months, or at the pace P once the regular balance is
    repaid. Each component is rounded to the minor unit, so that identities hold exactly:
    ``Σ principal paid + last balance = outstanding + deferred interest still owed``.

    The assumption that fails most often: every company that may use the holiday does, and in full.
    """
    mask = np.ones(len(loans)) if covered is None else covered.astype(np.float64)
    found = service(terms(holiday, start), mask, loans.rate, loans.principal, loans.outstanding, horizon)
    return Schedule(*found)


def paid_until(loans: Loans, holiday: Holiday, *, horizon: int, starts: Sequence[float]) -> Ints:
    """Return what `schedule` has paid up to each month if the holiday starts then: (starts, companies, months)."""
    result = np.empty((len(starts), len(loans), horizon), dtype=np.int64)
    mask, rate = np.ones(len(loans)), loans.rate
    for row, start in enumerate(starts):
        cumulated(terms(holiday, start), mask, rate, loans.principal, loans.outstanding, result[row])
    return result


def deferred_sum(loans: Loans, holiday: Holiday, *, horizon: int) -> float:
    """Return what `schedule` defers of all loans: the months after the holiday defer nothing and are not looked at."""
    months = min(horizon, math.ceil(holiday.length - 1e-9))
    if months <= 0:
        return 0.0
    return float(deferred_of(terms(holiday, 0.0), loans.rate, loans.principal, loans.outstanding, months))


def stretch(
    loans: Loans, holiday: Holiday, *, deferred: float, covered: Flags, horizon: int, longest: float
) -> Holiday | None:
    """Return the holiday with the length at which it defers a given sum, or None if none does.

    Parameters
    ----------
    loans
        Loans of all companies.
    holiday
        The option whose length is sought.
    deferred
        Sum to be deferred, minor units.
    covered
        Companies that the option is open to.
    horizon
        Months simulated.
    longest
        The length must not exceed this.

    Notes
    -----
    Bisection, to a few seconds: the deferred sum never falls with the length, and rises wherever dues rest.
    """
    part = loans.of(covered)

    def sum_at(months: float) -> float:
        return deferred_sum(part, holiday.lasting(months), horizon=horizon)

    if len(part) == 0 or sum_at(longest) < deferred:
        return None
    low, high = 0.0, longest
    while high - low > _NEAR:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if sum_at(middle) < deferred else (low, middle)
    return holiday.lasting(high)


def named(name: str, *, months: float, accrues: bool, catch_up: int | None) -> Holiday:
    """Return one of the options that go by a name.

    Raises
    ------
    UsageError
        If no option goes by that name.
    """
    builtin: Mapping[str, Holiday] = {
        "none": NONE,
        "holiday_interest": Holiday("holiday_interest", "interest", months, accrues, catch_up=catch_up),
        "holiday_principal": Holiday("holiday_principal", "principal", months, accrues, catch_up=catch_up),
        "holiday_both": Holiday("holiday_both", "both", months, accrues, catch_up=catch_up),
        "holiday_targeted": Holiday(
            "holiday_targeted", "both", months, accrues, catch_up=catch_up, equal_to="holiday_both"
        ),
    }
    if name not in builtin:
        raise UsageError(
            f"there is no option {name!r}.",
            remedy=f"Use one of {', '.join(builtin)}, or give a Holiday.",
            code="OPS-U074",
        )
    return builtin[name]

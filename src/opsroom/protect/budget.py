"""Privacy budgets: how much differential privacy a dataset has left, in the room's database.

Epsilons add up over everything that is ever released from a dataset, so they are spent from one account, in whole
millionths and in one statement that checks and spends at once: two processes cannot both spend the last of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import sqlalchemy as sa

from opsroom.base.errors import DisclosureError, NotFoundError, UsageError
from opsroom.base.state import METADATA, State
from opsroom.protect.audit import AuditLog

BUDGETS = sa.Table(
    "budgets",
    METADATA,
    sa.Column("dataset", sa.String(100), primary_key=True),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("opened_at", sa.String(40), nullable=False),
)

SPENDINGS = sa.Table(
    "spendings",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("dataset", sa.String(100), sa.ForeignKey("budgets.dataset"), nullable=False, index=True),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("epsilon", sa.BigInteger, nullable=False),
    sa.Column("purpose", sa.String(200), nullable=False),
)

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Account:
    """A dataset's budget: epsilons in all, spent and left."""

    dataset: str
    total: Decimal
    spent: Decimal

    @property
    def left(self) -> Decimal:
        """What can still be spent."""
        return self.total - self.spent


@dataclass(frozen=True, slots=True)
class Spending:
    """An entry of an account."""

    at: str
    actor: str
    epsilon: Decimal
    purpose: str


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Budgets:
    """The accounts of all datasets. A dataset without one has no differentially private release: off by default.

    Parameters
    ----------
    state
        The room's database.
    log
        The room's audit log.
    clock
        Tells the time, with zone.
    """

    def __init__(self, state: State, log: AuditLog, *, clock: Callable[[], dt.datetime] = _now) -> None:
        self._state, self._log, self._clock = state, log, clock

    def open(self, dataset: str, epsilon: Decimal | float | str, *, by: str) -> Account:
        """Open a dataset's account, once and for all: an account that could be topped up would promise nothing.

        Raises
        ------
        UsageError
            The dataset has an account, or epsilon is no positive number of at most six decimals.
        """
        total = _millionths(epsilon)
        with self._state.begin() as connection:
            if connection.scalar(sa.select(BUDGETS.c.total).where(BUDGETS.c.dataset == dataset)) is not None:
                raise UsageError(
                    f"dataset {dataset!r} has a privacy budget already; it cannot be changed.", code="OPS-U140"
                )
            connection.execute(
                BUDGETS.insert().values(
                    dataset=dataset, total=total, spent=0, opened_at=self._clock().astimezone(dt.UTC).isoformat()
                )
            )
            told = f"{dataset}: epsilon {_epsilon(total)}"
            self._log.record(connection, by, "budget open", told, at=self._clock())
        return Account(dataset, _epsilon(total), Decimal(0))

    def account(self, dataset: str) -> Account:
        """Return a dataset's account.

        Raises
        ------
        NotFoundError
            The dataset has none.
        """
        with self._state.read() as connection:
            row = connection.execute(sa.select(BUDGETS).where(BUDGETS.c.dataset == dataset)).first()
        if row is None:
            raise _none(dataset)
        return Account(dataset, _epsilon(row.total), _epsilon(row.spent))

    def spendings(self, dataset: str) -> list[Spending]:
        """Return the entries of a dataset's account, earliest first."""
        query = sa.select(SPENDINGS).where(SPENDINGS.c.dataset == dataset).order_by(SPENDINGS.c.seq)
        with self._state.read() as connection:
            return [Spending(r.at, r.actor, _epsilon(r.epsilon), r.purpose) for r in connection.execute(query)]

    def spend(self, dataset: str, epsilon: Decimal | float | str, *, purpose: str, by: str) -> Account:
        """Spend from a dataset's account. Spend before drawing noise: what fails afterwards is spent all the same.

        Raises
        ------
        DisclosureError
            Less than that is left.
        NotFoundError
            The dataset has no account.
        """
        wanted = _millionths(epsilon)
        with self._state.begin() as connection:
            enough = (BUDGETS.c.dataset == dataset) & (BUDGETS.c.spent + wanted <= BUDGETS.c.total)
            done = connection.execute(BUDGETS.update().where(enough).values(spent=BUDGETS.c.spent + wanted))
            row = connection.execute(sa.select(BUDGETS).where(BUDGETS.c.dataset == dataset)).first()
            if row is None:
                raise _none(dataset)
            if not done.rowcount:
                raise DisclosureError(
                    f"the privacy budget of dataset {dataset!r} does not suffice.",
                    remedy="Ask with a smaller epsilon, or use what is released already.",
                    code="OPS-P040",
                )
            at = self._clock()
            connection.execute(
                SPENDINGS.insert().values(
                    dataset=dataset,
                    at=at.astimezone(dt.UTC).isoformat(),
                    actor=by,
                    epsilon=wanted,
                    purpose=purpose[:200],
                )
            )
            self._log.record(connection, by, "budget spend", f"{dataset}: epsilon {_epsilon(wanted)}", at=at)
        return Account(dataset, _epsilon(row.total), _epsilon(row.spent))


def _millionths(epsilon: Decimal | float | str) -> int:
    try:
        exact = Decimal(str(epsilon)) * MILLION
    except InvalidOperation:
        exact = Decimal(-1)
    if not exact.is_finite() or exact <= 0 or exact != exact.to_integral_value() or exact > 1000 * MILLION:
        raise UsageError(
            "an epsilon is a number above 0 with at most six decimals.", remedy="Write 0.5.", code="OPS-U141"
        )
    return int(exact)


def _epsilon(millionths: int) -> Decimal:
    return (Decimal(millionths) / MILLION).normalize()


def _none(dataset: str) -> NotFoundError:
    return NotFoundError(
        f"dataset {dataset!r} has no privacy budget.",
        remedy="A steward opens one: Budgets.open(dataset, epsilon).",
        code="OPS-N042",
    )

"""`InputOutput`: an economy as a table of who buys from whom, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.decide.input_output.productive import Floats, Productivity, matrix_of, productivity, solve, unproductive

DENSE_MOST = 6000
"""Products up to which the inverse is written down when asked for."""

Table = pd.DataFrame | Any
"""A frame, an array, or a sparse matrix, whose types scipy does not tell apart."""


class InputOutput:
    """An input-output table.

    Answers: what must be made, everywhere, for what is finally used, and what hangs on a sector?

    Parameters
    ----------
    Z
        Products x products (or sectors): what the column bought of the row. A frame, an array or a sparse matrix;
        entries of 0 or more.
    Y
        Final uses: a vector, or products x kinds of use. Inventories may be below 0.
    extensions
        What each product's making takes or gives beside products, in any units: name → vector, or a frame of
        extensions x products (value added, jobs, emissions).

    Attributes
    ----------
    labels
        Names of the products.
    x, final
        Output, and total final use.
    A
        Technical coefficients: input of the row per unit of the column's output.
    B
        Allocation coefficients: share of the row's output that the column buys.
    L, G
        The Leontief and the Ghosh inverse, written down when first asked for and for tables of some thousand products
        only.

    Raises
    ------
    UsageError
        Shapes or labels that do not fit, entries that are not finite, negative purchases, an output below 0.

    Notes
    -----
    Larger tables are never inverted: `solve` iterates, and says how well it did. The assumption that fails most often:
    that a product is made from the same inputs, in the same shares, whatever happens.

    References
    ----------
    Leontief (1936), Review of Economics and Statistics 18, 105-125; Miller and Blair (2009), Input-Output Analysis,
    2nd ed., Cambridge; Ghosh (1958), Economica 25, 58-64.

    Examples
    --------
    >>> import numpy as np
    >>> from opsroom.decide import InputOutput
    >>> table = InputOutput(np.array([[150.0, 500.0], [200.0, 100.0]]), np.array([350.0, 1700.0]))
    >>> table.L.to_numpy().round(4).tolist()
    [[1.2541, 0.33], [0.264, 1.1221]]
    >>> table.solve([600.0, 1500.0]).round(1).tolist()
    [1247.5, 1841.6]
    """

    def __init__(self, Z: Table, Y: ArrayLike | pd.DataFrame | pd.Series, *, extensions: Any = None) -> None:
        self.labels = _labels(Z, Y)
        n = len(self.labels)
        self.Z = _square(Z, n)
        self.Y = _final(Y, self.labels)
        self.final: Floats = self.Y.to_numpy(np.float64).sum(axis=1)
        self.x: Floats = np.asarray(self.Z.sum(axis=1)).ravel() + self.final
        if (self.x < -1e-9 * max(1.0, float(np.abs(self.x).max(initial=0.0)))).any():
            place = str(self.labels[int(np.argmin(self.x))])
            raise UsageError(f"the output of {place!r} is below 0.", remedy="Check final uses and inventories.")
        self.extensions = _extensions(extensions, self.labels)

    # -- coefficients -------------------------------------------------------------------------

    @cached_property
    def coefficients(self) -> sparse.csr_array:
        """`A` as a sparse matrix."""
        return sparse.csr_array(self.Z @ sparse.diags_array(_inverse(self.x)))

    @cached_property
    def allocation(self) -> sparse.csr_array:
        """`B` as a sparse matrix."""
        return sparse.csr_array(sparse.diags_array(_inverse(self.x)) @ self.Z)

    @property
    def A(self) -> pd.DataFrame:
        """Technical coefficients as a frame."""
        return self._framed(self._dense(self.coefficients))

    @property
    def B(self) -> pd.DataFrame:
        """Allocation coefficients as a frame."""
        return self._framed(self._dense(self.allocation))

    @cached_property
    def L(self) -> pd.DataFrame:
        """The Leontief inverse as a frame."""
        return self._framed(_inverted(self._dense(self.coefficients)))

    @cached_property
    def G(self) -> pd.DataFrame:
        """The Ghosh inverse as a frame."""
        return self._framed(_inverted(self._dense(self.allocation)))

    @cached_property
    def productivity(self) -> Productivity:
        """Bounds of the spectral radius of the coefficients."""
        return productivity(self.coefficients)

    # -- output -------------------------------------------------------------------------------

    def solve(self, final_demand: ArrayLike | pd.Series | pd.DataFrame, tol: float = 1e-10) -> pd.Series | pd.DataFrame:
        """Return the output that a final demand takes: x = A x + f.

        Parameters
        ----------
        final_demand
            A vector by product, or products x demands.
        tol
            Largest residual allowed, over the largest demand.

        Returns
        -------
        pandas.Series or pandas.DataFrame
            In the shape of the demand. ``attrs`` holds ``residual``, ``steps``, and ``productivity``, the upper bound
            of the coefficients' spectral radius.

        Raises
        ------
        FitError
            The table is not productive.
        """
        return self._solve(self.coefficients, final_demand, tol)

    def price(self, value_added: ArrayLike | pd.Series, tol: float = 1e-10) -> pd.Series:
        """Return the prices that cover inputs and a value added per unit: p = A' p + v."""
        out = self._solve(sparse.csr_array(self.coefficients.T), value_added, tol)
        assert isinstance(out, pd.Series)
        return out

    def supply(self, primary_inputs: ArrayLike | pd.Series, tol: float = 1e-10) -> pd.Series:
        """Return the output that primary inputs push forward under fixed shares of sale (Ghosh): x' = x' B + v'."""
        out = self._solve(sparse.csr_array(self.allocation.T), primary_inputs, tol)
        assert isinstance(out, pd.Series)
        return out

    def _solve(self, a: sparse.csr_array, given: Any, tol: float) -> pd.Series | pd.DataFrame:
        wide = given.reindex(self.labels) if isinstance(given, (pd.Series, pd.DataFrame)) else None
        values = np.asarray(given if wide is None else wide, dtype=np.float64)
        if values.shape[:1] != (len(self.labels),) or values.ndim > 2 or not np.isfinite(values).all():
            raise UsageError(
                f"the right-hand side does not fit a table of {len(self.labels)} products, or is not finite.",
                remedy="Give a number for each product.",
            )
        if self.productivity.lower >= 1.0:
            raise unproductive()
        columns = values.reshape(len(values), -1)
        done = [solve(a, column, tol=tol) for column in np.ascontiguousarray(columns.T)]
        found = np.column_stack([one.x for one in done])
        out: pd.Series | pd.DataFrame
        if values.ndim == 1:
            out = pd.Series(found[:, 0], index=self.labels)
        else:
            out = pd.DataFrame(found, index=self.labels, columns=None if wide is None else wide.columns)
        out.attrs |= {
            "residual": max((one.residual for one in done), default=0.0),
            "steps": sum(one.steps for one in done),
            "productivity": self.productivity.upper,
        }
        return out

    # -- multipliers and linkages -------------------------------------------------------------

    def multipliers(
        self,
        extension: str | None = None,
        *,
        kind: Literal["I", "II"] = "I",
        household: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> pd.Series:
        """Return what one more unit of final use of each product brings about in the whole economy.

        Parameters
        ----------
        extension
            Counted in this extension (value added, jobs, emissions); absent: in output.
        kind
            ``"I"``: through purchases of inputs; ``"II"``: through what households spend of what they earn, too.
        household
            For ``"II"``: what households earn per product, and what they buy of each, in the table's units; the
            households become one more product.

        Returns
        -------
        pandas.Series
            By product.
        """
        direct = np.ones(len(self.labels)) if extension is None else self.intensity(extension).to_numpy()
        a = self.coefficients
        if kind == "II":
            if household is None:
                raise UsageError("type II needs households.", remedy="Give household=(income, spending).")
            a = closed(a, self.x, *household)
            direct = np.append(direct, 0.0)
        found = solve(sparse.csr_array(a.T), direct, tol=1e-12 if a.shape[0] <= DENSE_MOST else 1e-10).x
        return pd.Series(found[: len(self.labels)], index=self.labels, name=extension or "output")

    def intensity(self, extension: str) -> pd.Series:
        """Return an extension per unit of output."""
        if self.extensions is None or extension not in self.extensions.index:
            known = [] if self.extensions is None else list(self.extensions.index)
            raise UsageError(f"there is no extension {extension!r}.", remedy=f"Ask for one of {', '.join(known)}.")
        total = self.extensions.loc[extension].to_numpy(np.float64)
        return pd.Series(total * _inverse(self.x), index=self.labels, name=extension)

    def footprint(
        self, extension: str, *, by: Sequence[Any] | None = None, direct: ArrayLike | None = None
    ) -> pd.Series:
        """Return how much of an extension stands behind final uses, wherever it arises (consumption-based).

        Parameters
        ----------
        extension
            Name of the extension.
        by
            One group a column of `Y` (such as the country that uses it); absent: each column is one.
        direct
            What final users emit or employ themselves, a number a column of `Y`; absent: nothing, and the footprints
            add up to what the making of products took.
        """
        price = self.multipliers(extension).to_numpy()
        own = np.zeros(self.Y.shape[1]) if direct is None else np.asarray(direct, dtype=np.float64)
        each = pd.Series(price @ self.Y.to_numpy(np.float64) + own, index=self.Y.columns, name=extension)
        return each if by is None else each.groupby(np.asarray(by)).sum()

    def linkages(self) -> pd.DataFrame:
        """Return how strongly each product pulls at others and pushes them, 1 on average (Rasmussen 1956).

        Returns
        -------
        pandas.DataFrame
            ``backward`` (column sums of L), ``forward`` (row sums of L), ``forward_ghosh`` (row sums of G), each over
            its mean; ``spread_backward``, the coefficient of variation of the column of L; ``key``: both backward and
            Ghosh forward above 1.
        """
        ones = np.ones(len(self.labels))
        tol = 1e-12 if len(ones) <= DENSE_MOST else 1e-10
        backward = solve(sparse.csr_array(self.coefficients.T), ones, tol=tol).x
        forward = solve(self.coefficients, ones, tol=tol).x
        pushed = solve(self.allocation, ones, tol=tol).x
        frame = pd.DataFrame(
            {
                "backward": backward / backward.mean(),
                "forward": forward / forward.mean(),
                "forward_ghosh": pushed / pushed.mean(),
            },
            index=self.labels,
        )
        if len(ones) <= DENSE_MOST:
            inverse = self.L.to_numpy()
            frame["spread_backward"] = inverse.std(axis=0, ddof=1) / inverse.mean(axis=0)
        return frame.assign(key=(frame["backward"] > 1) & (frame["forward_ghosh"] > 1))

    def upstreamness(self) -> pd.DataFrame:
        """Return how far each product is from final use and from primary inputs, in stages (Antràs and Chor 2013)."""
        ones = np.ones(len(self.labels))
        up = solve(self.allocation, ones, tol=1e-10).x
        down = solve(sparse.csr_array(self.coefficients.T), ones, tol=1e-10).x
        return pd.DataFrame({"upstreamness": up, "downstreamness": down}, index=self.labels)

    def extraction(self, sector: Any, *, how: Literal["total", "backward", "forward"] = "total") -> pd.Series:
        """Return the output lost if a sector were gone (hypothetical extraction, Dietzenbacher and Lahr 2013).

        Parameters
        ----------
        sector
            A label.
        how
            ``"total"``: nobody buys from it, it buys from nobody, and its final use is gone; ``"backward"``: it buys
            nothing (its inputs come from abroad); ``"forward"``: nobody buys it as an input.

        Returns
        -------
        pandas.Series
            Loss of output by product, its own included; ``attrs["total"]`` is their sum.
        """
        place = self._place(sector)
        a = self.coefficients.tolil(copy=True)
        f = self.final.copy()
        if how in ("total", "forward"):
            a[place, :] = 0.0
        if how in ("total", "backward"):
            a[:, place] = 0.0
        if how == "total":
            f[place] = 0.0
        lost = self.x - solve(sparse.csr_array(a), f, tol=1e-11).x
        out = pd.Series(lost, index=self.labels, name=str(sector))
        out.attrs["total"] = float(lost.sum())
        return out

    def influence(self, top: int = 20) -> pd.DataFrame:
        """Return the coefficients whose change moves the whole inverse most (field of influence, Sonis and Hewings).

        Returns
        -------
        pandas.DataFrame
            ``input``, ``user``, ``influence``: the largest first-order change of the sum of L per unit of change.
        """
        inverse = self.L.to_numpy()
        # The field of a change at (i, j) is column i of L times row j of L; its sum is the product of their sums.
        size = np.outer(inverse.sum(axis=0), inverse.sum(axis=1))
        flat = np.argsort(size, axis=None)[::-1][:top]
        row, column = np.unravel_index(flat, size.shape)
        return pd.DataFrame(
            {
                "input": [self.labels[i] for i in row],
                "user": [self.labels[j] for j in column],
                "influence": size[row, column],
            }
        )

    # -- what every result can do -------------------------------------------------------------

    def summary(self) -> str:
        """Return the table's size and how productive it is."""
        found = self.productivity
        return (
            f"Input-output table of {len(self.labels)} products, {self.Z.nnz} purchases, output {self.x.sum():,.1f}\n"
            f"  spectral radius of the coefficients between {found.lower:.3f} and {found.upper:.3f}"
        )

    def cite(self) -> str:
        """Return source and version."""
        return f"Leontief (1936), Review of Economics and Statistics 18:105-125; opsroom {__version__}."

    def _place(self, sector: Any) -> int:
        found = np.flatnonzero(np.asarray([label == sector for label in self.labels]))
        if len(found) != 1:
            raise UsageError(f"the table has no product {sector!r}.", remedy="Use one of its labels.")
        return int(found[0])

    def _dense(self, matrix: sparse.csr_array) -> Floats:
        if len(self.labels) > DENSE_MOST:
            raise UsageError(
                f"a table of {len(self.labels)} products is not written down densely.",
                remedy="Use solve, multipliers or linkages, which iterate.",
            )
        return np.asarray(matrix.toarray())

    def _framed(self, values: Floats) -> pd.DataFrame:
        return pd.DataFrame(values, index=self.labels, columns=self.labels)


def closed(a: sparse.csr_array, x: Floats, income: ArrayLike, spending: ArrayLike) -> sparse.csr_array:
    """Return coefficients with households as one more product: what they earn, and what they buy of it."""
    earned, bought = np.asarray(income, dtype=np.float64), np.asarray(spending, dtype=np.float64)
    total = float(earned.sum())
    if earned.shape != x.shape or bought.shape != x.shape or not total > 0:
        raise UsageError(
            "income and spending of households do not fit the table.", remedy="Give a number for each product."
        )
    row: Any = sparse.csr_array((earned * _inverse(x))[None, :])
    none: Any = sparse.csr_array((1, 1))
    column: Any = sparse.csr_array((bought / total)[:, None])
    return sparse.csr_array(sparse.vstack([sparse.hstack([a, column]), sparse.hstack([row, none])]))


def _inverse(x: Floats) -> Floats:
    return np.divide(1.0, x, out=np.zeros_like(x), where=x != 0)


def _inverted(a: Floats) -> Floats:
    return np.asarray(np.linalg.inv(np.eye(len(a)) - a))


def _labels(z: Table, y: Any) -> pd.Index:
    if isinstance(z, pd.DataFrame):
        if not z.index.equals(z.columns):
            raise UsageError("rows and columns of Z have different labels.", remedy="Give both in the same order.")
        if not z.index.is_unique:
            raise UsageError("a label occurs twice in Z.", remedy="Give each product a name of its own.")
        if isinstance(y, (pd.Series, pd.DataFrame)) and not y.index.equals(z.index):
            raise UsageError("Y has other labels than Z.", remedy="Give both in the same order.")
        return z.index
    rows, columns = matrix_of(z, "Z").shape
    if rows != columns:
        raise UsageError(f"Z is {rows} x {columns}.", remedy="Give products x products.")
    if isinstance(y, (pd.Series, pd.DataFrame)) and len(y) == rows:
        return y.index
    return pd.RangeIndex(rows)


def _square(z: Any, n: int) -> sparse.csr_array:
    matrix = matrix_of(z, "Z")
    if not np.isfinite(matrix.data).all():
        raise UsageError("Z holds values that are not finite.", remedy="Put 0 where nothing was bought.")
    if (matrix.data < 0).any():
        raise UsageError("Z holds negative purchases.", remedy="Book returns and subsidies elsewhere.")
    if matrix.shape != (n, n):
        raise UsageError("Z does not fit its labels.", remedy="Give products x products.")
    matrix.eliminate_zeros()
    return matrix


def _final(y: Any, labels: pd.Index) -> pd.DataFrame:
    frame = y.to_frame() if isinstance(y, pd.Series) else y
    if not isinstance(frame, pd.DataFrame):
        values = _numbers(frame)
        frame = pd.DataFrame(values.reshape(len(values), -1))
    if len(frame) != len(labels):
        raise UsageError(f"Y has {len(frame)} rows, Z {len(labels)}.", remedy="Give a row for each product.")
    frame = frame.set_axis(labels, axis=0)
    frame = pd.DataFrame(_numbers(frame), index=labels, columns=frame.columns)
    if not np.isfinite(frame.to_numpy()).all():
        raise UsageError("Y holds values that are not finite.", remedy="Put 0 where nothing was used.")
    return frame


def _numbers(given: Any) -> Floats:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "Y holds what is no number.", remedy="Give numbers, 0 where nothing was used.", code="OPS-U261"
        ) from error


def _extensions(given: Any, labels: pd.Index) -> pd.DataFrame | None:
    if given is None:
        return None
    if isinstance(given, Mapping):
        given = pd.DataFrame({name: np.asarray(v, dtype=np.float64) for name, v in given.items()}, index=labels).T
    if not isinstance(given, pd.DataFrame) or given.shape[1] != len(labels):
        raise UsageError("the extensions do not fit the table.", remedy="Give extensions x products.")
    return given.set_axis(labels, axis=1).astype(np.float64)

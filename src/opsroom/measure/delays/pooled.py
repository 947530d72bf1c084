"""The hierarchical delay model: sectors share how reports come in, and differ where the data say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, solve_triangular

from opsroom.base.errors import FitError
from opsroom.measure.delays.design import Design, Penalty
from opsroom.measure.delays.pooled_kernel import accumulate, predict

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

ROUNDS = 80
RIDGE = 1e-3
"""Precision on every parameter: keeps apart what only sums identify, too small to be seen in the estimates."""
LEAST, MOST = 1e-2, 1e6
"""Bounds of the precisions."""
LEAST_PSI = 1e-6
"""A cell is never taken for known better than to 0.1 %: no model of people is, and the algebra stays sound."""
SETTLED = 0.02
"""Change of the logarithms of precisions and dispersion at which they are regarded as found."""


@dataclass(frozen=True, slots=True)
class PooledFit:
    """Mode and curvature of the penalised quasi-likelihood.

    Attributes
    ----------
    own
        Shape (sectors, own parameters).
    shared
        Shape (shared parameters,).
    offset
        Shape (sectors,): logarithm of a usual cell.
    phi, psi
        Variance of a cell: ``phi * mean + psi * mean ** 2``.
    precisions
        Name of the group → precision.
    roots
        Lower Cholesky factors of the own blocks of the information, one a sector.
    gains
        Own block's inverse times its cross block, one a sector.
    shared_root
        Lower Cholesky factor of the shared parameters' information, own ones eliminated.
    rounds, settled
        Rounds of estimation, and whether precisions and dispersion stood still at the end of them.
    """

    own: Floats
    shared: Floats
    offset: Floats
    phi: float
    psi: float
    precisions: dict[str, float]
    roots: list[Floats]
    gains: list[Floats]
    shared_root: Floats
    rounds: int
    settled: bool

    def draw(
        self, draws: int, rng: np.random.Generator, streams: Sequence[np.random.Generator]
    ) -> tuple[list[Floats], Floats]:
        """Draw parameters from the normal approximation: own (parameters, draws) a sector, shared alike.

        Each sector has a stream of its own, so that its draws do not hang on who stands before it.
        """
        shared_move = solve_triangular(
            self.shared_root.T, rng.standard_normal((len(self.shared), draws)), lower=False, check_finite=False
        )
        own = []
        for mode, root, gain, stream in zip(self.own, self.roots, self.gains, streams, strict=True):
            noise = stream.standard_normal((len(mode), draws))
            free = solve_triangular(root.T, noise, lower=False, check_finite=False)
            own.append(mode[:, None] + free - gain @ shared_move)
        return own, self.shared[:, None] + shared_move


def fit_pooled(added: Floats, known: Bools, design: Design, *, counts: bool) -> PooledFit:
    r"""Fit the model to the additions of all sectors.

    Parameters
    ----------
    added
        Shape (sectors, rows, delays); anything where not known, and NaN where a sector's cell is not learnt from.
    known
        Shape (rows, delays).
    design
        Its terms.
    counts
        True: the variance is at least the mean.

    Returns
    -------
    PooledFit

    Raises
    ------
    FitError
        Nothing was added, or the estimation does not settle.

    Notes
    -----
    Fisher scoring on the penalised quasi-likelihood; between steps, precisions by the fixed point
    :math:`\tau = (r - \tau\,\mathrm{tr}(H^{-1}S)) / b'Sb` and the two dispersion parameters by weighted moments of
    squared residuals. Own blocks are eliminated sector by sector, so the cost grows linearly in sectors.

    References
    ----------
    Schall (1991), Estimation in generalized linear models with random effects; Wood and Fasiolo (2017),
    A generalized Fellner-Schall method for smoothing parameter optimization.
    """
    return _Fit(added, known, design, counts=counts).run()


class _Fit:
    """State of one estimation."""

    def __init__(self, added: Floats, known: Bools, design: Design, *, counts: bool) -> None:
        self.design, self.counts = design, counts
        cells = np.flatnonzero(known.ravel())
        self.row = design.row[cells]
        self.own_at, self.own_by = design.own_at[cells], design.own_by[cells]
        self.shared_at, self.shared_by = design.shared_at[cells], design.shared_by[cells]
        self.rows = int(added.shape[1])
        seen = added.reshape(len(added), -1)[:, cells]
        self.learnt = ~np.isnan(seen)
        # What is not learnt from is overwritten, not only weighed by nothing: nothing can tell of it then.
        self.y = np.where(self.learnt, seen, 0.0)
        total = self.y.sum(axis=1)
        if not total.sum() > 0:
            raise FitError(
                "the triangle holds no report.", remedy="Choose an earlier since or a later as_of.", code="OPS-M143"
            )
        half = 0.5 if counts else 1e-3 * float(total.mean())
        self.offset = np.log((total + half) / np.maximum(self.learnt.sum(axis=1), 1))
        self.own = np.zeros((len(added), design.own))
        self.shared = np.zeros(design.shared)
        self._start(design.delay[cells])
        self.groups = {p.name: 1.0 for p in (*design.penalties_own, *design.penalties_shared)}
        self.groups["level of the sector"] = self.groups["row"] = 10.0
        mean = self._means()
        spread = _pearson(self.y[self.learnt], mean[self.learnt])
        self.phi = max(spread, 1.0 if counts else 1e-12)
        self.psi = LEAST_PSI

    def _start(self, delay: npt.NDArray[np.int64]) -> None:
        """Begin with the delays of all sectors together."""
        count = int(delay.max()) + 1
        cells = np.maximum(np.bincount(delay, weights=self.learnt.sum(axis=0), minlength=count), 1.0)
        by_delay = np.bincount(delay, weights=self.y.sum(axis=0), minlength=count) / cells
        level = np.log(by_delay + 0.02 * by_delay.mean()) - np.log(by_delay.mean())
        self.shared[self.design.positions["delay"]][:count] = level

    def _means(self) -> Floats:
        eta = np.empty_like(self.y)
        for s, own in enumerate(self.own):
            predict(
                self.row, self.own_at, self.own_by, self.shared_at, self.shared_by, own, self.shared, self.rows, eta[s]
            )
        return np.asarray(np.exp(np.clip(eta + self.offset[:, None], -30.0, 30.0)), dtype=np.float64)

    def _objective(self, mean: Floats) -> float:
        """Return the penalised quasi-likelihood."""
        ratio = self.psi / self.phi
        gain = self.y / self.phi * (np.log(mean) - np.log1p(ratio * mean)) - np.log1p(ratio * mean) / self.psi
        fine = float(np.where(self.learnt, gain, 0.0).sum())
        own, shared = self._precision(self.design.penalties_own, self.design.own), self._precision_shared()
        fine -= 0.5 * float(np.einsum("si,ij,sj->", self.own, own, self.own))
        return fine - 0.5 * float(self.shared @ shared @ self.shared)

    def _precision(self, penalties: tuple[Penalty, ...], size: int) -> Floats:
        out = RIDGE * np.eye(size)
        for p in penalties:
            out[p.where, p.where] += self.groups[p.name] * p.structure
        return out

    def _precision_shared(self) -> Floats:
        return self._precision(self.design.penalties_shared, self.design.shared)

    def _solve(self, mean: Floats) -> tuple[Floats, Floats, list[Floats], list[Floats], Floats]:
        """Return the Fisher step, and the curvature's factors."""
        d = self.design
        weight = np.where(self.learnt, mean / (self.phi + self.psi * mean), 0.0)
        score = np.where(self.learnt, (self.y - mean) / (self.phi + self.psi * mean), 0.0)
        prior_own, prior_shared = self._precision(d.penalties_own, d.own), self._precision_shared()
        whole = prior_shared.copy()
        right = -prior_shared @ self.shared
        roots: list[Floats] = []
        gains: list[Floats] = []
        firsts: list[Floats] = []
        for s, own in enumerate(self.own):
            block, cross = prior_own.copy(), np.zeros((d.own, d.shared))
            both, own_score, both_score = np.zeros((d.shared, d.shared)), -prior_own @ own, np.zeros(d.shared)
            accumulate(
                self.row, self.own_at, self.own_by, self.shared_at, self.shared_by, weight[s], score[s], self.rows,
                block, cross, both, own_score, both_score,
            )  # fmt: skip
            root = np.asarray(np.linalg.cholesky(block), dtype=np.float64)
            gain = cho_solve((root, True), cross, check_finite=False)
            first = cho_solve((root, True), own_score, check_finite=False)
            whole += both - cross.T @ gain
            right += both_score - cross.T @ first
            roots.append(root)
            gains.append(gain)
            firsts.append(first)
        shared_root = np.asarray(np.linalg.cholesky(whole), dtype=np.float64)
        shared_step = cho_solve((shared_root, True), right, check_finite=False)
        own_step = np.stack([f - g @ shared_step for f, g in zip(firsts, gains, strict=True)])
        return own_step, shared_step, roots, gains, shared_root

    def _step(self, mean: Floats) -> tuple[Floats, float, tuple[list[Floats], list[Floats], Floats]]:
        """Take one Fisher step, halved until it does not make things worse."""
        own_step, shared_step, roots, gains, shared_root = self._solve(mean)
        before = self._objective(mean)
        size = max(float(np.abs(own_step).max()), float(np.abs(shared_step).max()))
        own, shared, share = self.own, self.shared, min(1.0, 3.0 / size) if size > 0 else 1.0
        for _ in range(25):
            self.own, self.shared = own + share * own_step, shared + share * shared_step
            new = self._means()
            if self._objective(new) >= before - 1e-9 * abs(before):
                break
            share /= 2.0
        else:
            self.own, self.shared, new, size = own, shared, mean, 0.0
        return new, size, (roots, gains, shared_root)

    def run(self) -> PooledFit:
        """Alternate steps and updates until both stand still."""
        mean, rounds, settled = self._means(), 0, False
        while rounds < ROUNDS and not settled:
            rounds += 1
            mean, size, curvature = self._step(mean)
            if size > 0.5:
                continue
            moved = self._update(mean, *curvature)
            settled = moved < SETTLED and size < 1e-3
        for _ in range(50):
            mean, size, _ = self._step(mean)
            if size < 1e-6:
                break
        else:
            raise FitError(
                "the hierarchical delay model does not settle on this triangle.",
                remedy="Use method='odp', or a longer window.",
                code="OPS-M144",
            )
        _, _, roots, gains, shared_root = self._solve(mean)
        return PooledFit(
            own=self.own, shared=self.shared, offset=self.offset, phi=self.phi, psi=self.psi,
            precisions=dict(self.groups), roots=roots, gains=gains, shared_root=shared_root, rounds=rounds,
            settled=settled,
        )  # fmt: skip

    def _update(self, mean: Floats, roots: list[Floats], gains: list[Floats], shared_root: Floats) -> float:
        """Update precisions and dispersion; return the largest change of their logarithms."""
        d = self.design
        inverse = cho_solve((shared_root, True), np.eye(d.shared), check_finite=False)
        traces = {p.name: _trace(inverse, p) for p in d.penalties_shared}
        norms = {p.name: _square(self.shared, p) for p in d.penalties_shared}
        ranks = {p.name: float(p.rank) for p in d.penalties_shared}
        for p in d.penalties_own:
            traces[p.name] = norms[p.name] = 0.0
            ranks[p.name] = float(p.rank * len(self.own))
        for own, root, gain in zip(self.own, roots, gains, strict=True):
            covariance = cho_solve((root, True), np.eye(d.own), check_finite=False) + gain @ inverse @ gain.T
            for p in d.penalties_own:
                traces[p.name] += _trace(covariance, p)
                norms[p.name] += _square(own, p)
        spent, moved = float(d.shared + self.own.size), 0.0
        for name, old in self.groups.items():
            spent -= old * traces[name]
            free = max(ranks[name] - old * traces[name], 1e-3)
            new = float(np.clip(free / max(norms[name], 1e-12), LEAST, MOST))
            # Between the bounds alone: a precision on its way to infinity is as good as there.
            if new < 1e4 or old < 1e4:
                moved = max(moved, abs(np.log(new / old)))
            self.groups[name] = new
        return max(moved, self._disperse(mean, spent))

    def _disperse(self, mean: Floats, spent: float) -> float:
        """Update `phi` and `psi` by weighted moments; return the change of a usual variance's logarithm."""
        y, m = self.y[self.learnt], mean[self.learnt]
        correction = len(y) / max(len(y) - spent, 0.2 * len(y))
        square = correction * (y - m) ** 2
        old = self.phi * m + self.psi * m**2
        # A squared residual's variance: 2 V² as if normal, and V²/m more for rare counts.
        weight = 1.0 / (old**2 * (2.0 + (self.phi / m)))
        a11, a12, a22 = (weight * m**2).sum(), (weight * m**3).sum(), (weight * m**4).sum()
        b1, b2 = (weight * square * m).sum(), (weight * square * m**2).sum()
        determinant, phi, psi = a11 * a22 - a12**2, 0.0, -1.0
        if determinant > 1e-9 * a11 * a22:
            phi, psi = (a22 * b1 - a12 * b2) / determinant, (a11 * b2 - a12 * b1) / determinant
        least = 1.0 if self.counts else 1e-12
        # Where all means are alike the two cannot be told apart, and one is enough.
        if psi < 0:
            phi, psi = b1 / a11, LEAST_PSI
        if phi < least:
            phi, psi = least, max(LEAST_PSI, (b2 - least * a12) / a22)
        phi, psi = 0.5 * (phi + self.phi), 0.5 * (psi + self.psi)
        new = phi * m + psi * m**2
        change = abs(float(np.log((weight * m * new).sum() / (weight * m * old).sum())))
        self.phi, self.psi = float(phi), float(psi)
        return change


def _trace(covariance: Floats, p: Penalty) -> float:
    return float((covariance[p.where, p.where] * p.structure).sum())


def _square(values: Floats, p: Penalty) -> float:
    part = values[p.where]
    return float(part @ p.structure @ part)


def _pearson(y: Floats, mean: Floats) -> float:
    return float(((y - mean) ** 2 / mean).sum()) / y.size

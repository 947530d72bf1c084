"""Early-warning measures against their definitions, pair by pair and threshold by threshold, and against peers."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import FitError, UsageError
from opsroom.warn.early_warning import (
    Blocks,
    Confusion,
    auroc,
    best_threshold,
    confusion,
    fit_logit,
    interval,
    partial_auroc,
    roc,
)


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties and holes, labels with both kinds."""
    n = draw(st.integers(4, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = (rng.random(n) < draw(st.floats(0.05, 0.95))).astype(float)
    y[:2] = 0.0, 1.0
    s = np.round(rng.normal(size=n) + draw(st.floats(-1, 3)) * y, draw(st.integers(0, 3)))
    s[2:][rng.random(n - 2) < 0.1] = np.nan
    y[2:][rng.random(n - 2) < 0.1] = np.nan
    return s, y


def kept(s: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = ~(np.isnan(s) | np.isnan(y))
    return s[both], y[both]


def stepwise_area(s: np.ndarray, y: np.ndarray, max_fpr: float) -> float:
    """The area by trapezia between all thresholds, cut at max_fpr by interpolation."""
    cuts = [np.inf, *sorted(set(s), reverse=True)]
    points = [((s[y == 0] >= c).mean(), (s[y == 1] >= c).mean()) for c in cuts]
    total = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 >= max_fpr:
            break
        if x1 > max_fpr:
            y1 = y0 + (y1 - y0) * (max_fpr - x0) / (x1 - x0)
            x1 = max_fpr
        total += (x1 - x0) * (y0 + y1) / 2
    return total


@settings(max_examples=25)
@given(data=judged(), max_fpr=st.sampled_from([0.1, 0.5, 1.0]))
def test_areas_by_pairs_and_by_trapezia(data: tuple[np.ndarray, np.ndarray], max_fpr: float) -> None:
    s, y = kept(*data)
    pairs = [(a > b) + 0.5 * (a == b) for a in s[y == 1] for b in s[y == 0]]
    assert auroc(*data) == pytest.approx(np.mean(pairs), abs=1e-12)
    plain = partial_auroc(*data, max_fpr=max_fpr, standardised=False)
    assert plain == pytest.approx(stepwise_area(s, y, max_fpr), abs=1e-12)
    low, high = max_fpr**2 / 2, max_fpr
    assert partial_auroc(*data, max_fpr=max_fpr) == pytest.approx((1 + (plain - low) / (high - low)) / 2, abs=1e-12)
    curve = roc(*data)
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 0, 1, 1)
    assert auroc(-data[0], data[1]) == pytest.approx(1 - auroc(*data), abs=1e-12)


@settings(max_examples=25)
@given(data=judged(), theta=st.floats(0.05, 0.95), preference=st.sampled_from(["alessi-detken", "sarlin"]))
def test_no_threshold_is_more_useful_than_the_best(
    data: tuple[np.ndarray, np.ndarray], theta: float, preference: str
) -> None:
    s, y = kept(*data)
    found = best_threshold(*data, theta=theta, preference=preference)  # type: ignore[arg-type]  # drawn as text
    gains = []
    for cut in [-np.inf, *np.unique(s)]:
        counted = confusion(*data, cut)
        signal = s > cut
        missed, alarms = (~signal & (y == 1)).sum(), (signal & (y == 0)).sum()
        n, ones, zeros = len(s), (y == 1).sum(), (y == 0).sum()
        assert (counted.missed, counted.false_alarms) == (missed, alarms)
        assert counted.hits + counted.missed == ones
        # By the loss itself: rates with Alessi and Detken, errors as shares of all quarters with Sarlin.
        if preference == "sarlin":
            loss, without = (theta * missed + (1 - theta) * alarms) / n, min(theta * ones, (1 - theta) * zeros) / n
        else:
            loss, without = theta * missed / ones + (1 - theta) * alarms / zeros, min(theta, 1 - theta)
        absolute, relative = counted.usefulness(theta, preference=preference)  # type: ignore[arg-type]  # as above
        assert absolute == pytest.approx(without - loss, abs=1e-12)
        assert relative == pytest.approx((without - loss) / without, abs=1e-10)
        gains.append(absolute)
    assert found.absolute == pytest.approx(max(gains), abs=1e-12)
    assert confusion(*data, found.threshold).usefulness(theta, preference=preference)[0] == pytest.approx(  # type: ignore[arg-type]  # as above
        found.absolute, abs=1e-12
    )


def test_known_counts() -> None:
    counts = Confusion(hits=6, false_alarms=20, missed=4, correct_silence=80)
    assert counts.tpr == 0.6
    assert counts.fpr == 0.2
    assert counts.noise_to_signal == pytest.approx(1 / 3)
    assert counts.usefulness(0.5) == pytest.approx((0.2, 0.4))
    # Sarlin: P1 = 10/110; without a model one loses min(.5 · 10, .5 · 100)/110, with it (.5 · 4 + .5 · 20)/110.
    assert counts.usefulness(0.5, preference="sarlin") == pytest.approx((-7 / 110, -7 / 5))
    assert np.isnan(Confusion(0, 1, 3, 5).noise_to_signal)


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), countries=st.integers(2, 6), cut=st.floats(-1, 1))
def test_the_bootstrap_is_the_measure_on_the_drawn_economies(seed: int, countries: int, cut: float) -> None:
    rng = np.random.default_rng(seed)
    n = 12 * countries
    names = np.repeat([f"c{k}" for k in range(countries)], 12)
    y = (rng.random(n) < 0.3).astype(float)
    y[:2] = 0.0, 1.0
    s = np.round(rng.normal(size=n) + y, 1)
    s[rng.random(n) < 0.05] = np.nan
    s[:2] = 0.0, 1.0
    blocks = Blocks(s, y, names, draws=20, seed=3)
    areas, parts = blocks.auroc(), blocks.partial_auroc(max_fpr=0.4)
    useful = blocks.usefulness(cut, theta=0.3, preference="sarlin")
    own = list(pd.unique(names[~np.isnan(s)]))
    for k, weights in enumerate(blocks.weights):
        assert weights.sum() == len(own)
        rows = np.concatenate([np.tile(np.flatnonzero(names == c), int(w)) for c, w in zip(own, weights, strict=True)])
        rows = rows[~np.isnan(s[rows])]
        if len(set(y[rows])) < 2:
            assert np.isnan([areas[k], parts[k], useful[k]]).all()
            continue
        assert areas[k] == pytest.approx(auroc(s[rows], y[rows]), abs=1e-12)
        assert parts[k] == pytest.approx(partial_auroc(s[rows], y[rows], max_fpr=0.4), abs=1e-12)
        expected = confusion(s[rows], y[rows], cut).usefulness(0.3, preference="sarlin")[1]
        assert useful[k] == pytest.approx(expected, abs=1e-10)
    again = Blocks(s, y, names, draws=20, seed=3)
    assert np.array_equal(areas, again.auroc(), equal_nan=True)


def test_quarters_of_one_economy_are_not_independent() -> None:
    """Each quarter forty times over: the interval stays as wide as that of the economies."""
    rng = np.random.default_rng(8)
    y, names = (rng.random(60) < 0.3).astype(float), np.repeat(np.arange(20), 3)
    s = rng.normal(size=60) + y
    once = interval(Blocks(s, y, names, draws=400).auroc())
    often = interval(Blocks(np.tile(s, 40), np.tile(y, 40), np.tile(names, 40), draws=400).auroc())
    assert once == pytest.approx(often, abs=1e-12)
    assert once[0] < auroc(s, y) < once[1]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), penalty=st.sampled_from([0.5, 3.0, 100.0]), k=st.integers(1, 4))
def test_the_logit_is_at_its_maximum(seed: int, penalty: float, k: int) -> None:
    """The gradient is zero and every step away is worse: the objective is concave, so this is the maximum."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(80, k)) * 10.0 ** rng.integers(-3, 4, k) + rng.normal(size=k)
    y = (rng.random(80) < 0.3).astype(float)
    y[:2] = 0.0, 1.0
    fit = fit_logit(x, y, penalty=penalty)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    residual = y - fit.predict(x)
    assert residual.sum() == pytest.approx(0.0, abs=1e-6)
    assert z.T @ residual == pytest.approx(penalty * fit.coefficients, abs=1e-5)


def test_the_logit_equals_statsmodels() -> None:
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 3)) * [1.0, 20.0, 0.1] + [0.0, 5.0, 1.0]
    y = (rng.random(300) < 1 / (1 + np.exp(2.0 - x[:, 0] - 0.05 * x[:, 1]))).astype(float)
    fit = fit_logit(x, y, names=["a", "b", "c"])
    peer = sm.Logit(y, sm.add_constant(x)).fit(disp=0, tol=1e-12)
    assert fit.to_frame()["per_unit"].to_numpy() == pytest.approx(peer.params[1:], rel=1e-8)
    assert fit.log_likelihood == pytest.approx(peer.llf, rel=1e-12)
    assert fit.predict(x) == pytest.approx(peer.predict(), rel=1e-8)
    z = sm.add_constant((x - x.mean(axis=0)) / x.std(axis=0))
    # statsmodels minimises the mean loss plus alpha/2 times the squares: alpha = penalty / rows.
    ridge = sm.GLM(y, z, sm.families.Binomial()).fit_regularized(
        alpha=np.array([0.0, 5.0, 5.0, 5.0]) / 300, L1_wt=0.0, maxiter=1000, cnvrg_tol=1e-12
    )
    assert fit_logit(x, y, penalty=5.0).coefficients == pytest.approx(ridge.params[1:], abs=1e-4)
    holed = np.vstack([x, [np.nan, 1.0, 1.0]])
    assert fit_logit(holed, np.append(y, 1.0)).coefficients == pytest.approx(fit.coefficients)
    assert np.isnan(fit.predict(holed)[-1])


def test_everything_equals_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed: brute force must do")
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    for _ in range(50):
        n = int(rng.integers(10, 400))
        y = (rng.random(n) < 0.2).astype(float)
        y[:2] = 0.0, 1.0
        s = np.round(rng.normal(size=n) + y, int(rng.integers(0, 4)))
        assert auroc(s, y) == pytest.approx(metrics.roc_auc_score(y, s), abs=1e-12)
        for cut in (0.1, 0.5):
            assert partial_auroc(s, y, max_fpr=cut) == pytest.approx(
                metrics.roc_auc_score(y, s, max_fpr=cut), abs=1e-12
            )
        fpr, tpr, _ = metrics.roc_curve(y, s, drop_intermediate=False)
        ours = roc(s, y)
        assert ours.fpr == pytest.approx(fpr, abs=1e-12)
        assert ours.tpr == pytest.approx(tpr, abs=1e-12)
        counts = confusion(s, y, 0.5)
        assert metrics.confusion_matrix(y, s > 0.5).ravel().tolist() == [
            counts.correct_silence, counts.false_alarms, counts.missed, counts.hits,
        ]  # fmt: skip
    x = rng.normal(size=(400, 3))
    y = (rng.random(400) < 1 / (1 + np.exp(1 - x[:, 0]))).astype(float)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    peer = linear.LogisticRegression(C=1 / 4.0, tol=1e-10, max_iter=1000).fit(z, y)
    assert fit_logit(x, y, penalty=4.0).coefficients == pytest.approx(peer.coef_[0], abs=1e-6)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(FitError, match="both quarters"):
        auroc([1.0, 2.0], [1.0, 1.0])
    with pytest.raises(UsageError, match="differ in shape"):
        auroc([1.0, 2.0], [1.0])
    with pytest.raises(UsageError, match="neither 0 nor 1"):
        auroc([1.0, 2.0], [0.0, 2.0])
    with pytest.raises(UsageError, match=r"\(0, 1\]"):
        partial_auroc([1.0, 2.0], [0.0, 1.0], max_fpr=0.0)
    for theta in (0.0, 1.0):
        with pytest.raises(UsageError, match="theta"):
            best_threshold([1.0, 2.0], [0.0, 1.0], theta=theta)
    with pytest.raises(UsageError, match="20 draws"):
        Blocks([1.0, 2.0], [0.0, 1.0], ["a", "b"], draws=5)
    separated = np.arange(20.0)[:, None]
    with pytest.raises(FitError, match="no finite solution"):
        fit_logit(separated, separated[:, 0] > 9)
    assert fit_logit(separated, separated[:, 0] > 9, penalty=1.0).coefficients[0] > 1.0
    collinear = np.random.default_rng(0).normal(size=(50, 1)) * [1.0, 2.0]
    with pytest.raises(FitError, match="no finite solution"):
        fit_logit(collinear, np.arange(50) % 3 == 0)
    with pytest.raises(FitError, match="does not vary"):
        fit_logit(np.ones((4, 1)), [0.0, 1.0, 0.0, 1.0])

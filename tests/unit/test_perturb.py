"""Cell-key noise: the published table, the same cell the same noise, its distribution, and differencing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import binomtest, chi2

from opsroom.base.errors import StoreError, UsageError
from opsroom.protect.perturb import PerturbationProfile, perturb_counts, perturb_magnitudes, record_keys
from opsroom.protect.ptable import make_ptable
from opsroom.room.perturbing import room_secret

SECRET = bytes(range(32))
PROFILE = PerturbationProfile()


# -- the table --------------------------------------------------------------------------------


def test_the_rows_that_the_ptable_package_prints() -> None:
    """T. Enderle (2023), Introduction to the ptable-Package, CRAN: ``str(create_cnt_ptable(D = 2, V = 1))``."""
    table = make_ptable(2, 1.0)
    printed = {0: [1.0], 1: [0.3665, 0.3665, 0.1676, 0.0995]}
    for count, row in printed.items():
        assert table.row(count)[1] == pytest.approx(row, abs=5e-5)
    noise, chances = table.row(2)
    assert noise.tolist() == [-2, -1, 0, 1, 2]
    assert chances[0] == pytest.approx(0.0638, abs=5e-5)
    assert chances[2] == pytest.approx(0.383, abs=5e-4)
    noise, chances = table.row(1)
    assert float(chances @ noise**2) == pytest.approx(0.932, abs=5e-4), "p_var"
    assert len(table.rows) == 3


@pytest.mark.parametrize(("deviation", "variance"), [(2, 1.0), (3, 2.0), (5, 3.0), (8, 3.5)])
def test_the_row_of_large_counts_is_a_discrete_normal(deviation: int, variance: float) -> None:
    """Without bounds at zero the maximum is p ∝ exp(-b v²), b chosen for the variance: a closed form."""
    v = np.arange(-deviation, deviation + 1)

    def spread(b: float) -> float:
        p = np.exp(-b * v**2)
        return float(p @ v**2 / p.sum()) - variance

    b = brentq(spread, 1e-9, 50)
    wanted = np.exp(-b * v**2) / np.exp(-b * v**2).sum()
    assert make_ptable(deviation, variance).row(10**6)[1] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("deviation", "variance", "threshold"), [(2, 1.05, 0), (5, 3.0, 2), (3, 1.5, 1), (5, 3.0, 0)])
def test_every_row_keeps_its_promises_at_the_most_entropy(deviation: int, variance: float, threshold: int) -> None:
    table = make_ptable(deviation, variance, threshold)
    rng = np.random.default_rng(1)
    for count, (noise, chances) in enumerate(table.rows):
        assert chances.sum() == pytest.approx(1, abs=1e-12)
        assert chances @ noise == pytest.approx(0, abs=1e-7)
        assert chances @ noise**2 <= variance + 1e-6
        assert np.abs(noise).max() <= deviation
        shown = count + noise[chances > 0]
        assert shown.min() >= 0
        assert not set(shown.tolist()) & set(range(1, threshold + 1))
        for side in (noise >= 0, noise <= 0):
            ordered = chances[side][np.argsort(np.abs(noise[side]))]
            assert (np.diff(ordered) <= 1e-7).all()
        # no feasible neighbour has more entropy: mix with random feasible distributions
        best = _entropy(chances)
        for _ in range(40):
            other = _feasible(noise, variance, rng)
            if other is not None:
                assert _entropy(0.99 * chances + 0.01 * other) <= best + 1e-8


def _entropy(p: np.ndarray) -> float:
    return float(-sum(x * math.log(x) for x in p if x > 0))


def _feasible(noise: np.ndarray, variance: float, rng: np.random.Generator) -> np.ndarray | None:
    """A random corner of what is allowed, found by a linear programme of the test's own."""
    from scipy.optimize import linprog

    rows, limits = [noise.astype(float) ** 2], [variance]
    for side in (sorted(np.flatnonzero(noise >= 0)), sorted(np.flatnonzero(noise <= 0), reverse=True)):
        for nearer, farther in itertools.pairwise(side):
            row = np.zeros(len(noise))
            row[farther], row[nearer] = 1, -1
            rows.append(row)
            limits.append(0)
    found = linprog(rng.normal(size=len(noise)), A_ub=rows, b_ub=limits, A_eq=[np.ones(len(noise)), noise], b_eq=[1, 0])
    return found.x if found.status == 0 else None


@pytest.mark.parametrize("wrong", [(0, 1.0, 0), (5, 0.0, 0), (5, 3.0, 5), (51, 3.0, 0), (2, 2.5, 0), (5, 1.0, 3)])
def test_what_cannot_be_is_told(wrong: tuple[int, float, int]) -> None:
    with pytest.raises(UsageError):
        make_ptable(*wrong)


# -- counts -----------------------------------------------------------------------------------


def companies(count: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "group": [f"g{k}" for k in range(count)],
            "region": rng.choice(["R1", "R2", "R3"], count),
            "section": rng.choice(["A", "B"], count),
            "sales": np.round(np.exp(rng.normal(9, 2, count))).astype(np.int64),
        }
    )


def counted(frame: pd.DataFrame, *by: str, **more: object) -> pd.Series:
    arguments = {"unit": "group", "profile": PROFILE, "secret": SECRET} | more
    return perturb_counts(frame, by=list(by), **arguments).set_index(list(by))["count"]  # type: ignore[arg-type]  # a test's shorthand


def summed(frame: pd.DataFrame, *by: str, **more: object) -> pd.Series:
    arguments = {"unit": "group", "measure": "sales", "profile": PROFILE, "secret": SECRET} | more
    return perturb_magnitudes(frame, by=list(by), **arguments).set_index(list(by))["sales"]  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize("make", [counted, summed])
def test_the_same_cell_is_the_same_in_every_table(make) -> None:
    frame = companies(400)
    table = make(frame, "region", "section")
    shuffled = make(frame.sample(frac=1, random_state=3), "region", "section")
    pd.testing.assert_series_equal(table, shuffled)
    turned = make(frame, "section", "region")
    for (region, section), value in table.items():
        assert turned[section, region] == value
    # by a filter, by another classification with the same members, as a total of a subset
    one = frame[frame["region"] == "R1"]
    assert make(one, "section")["_T"] == table["R1", "_T"] == make(frame, "region")["R1"]
    other = frame.assign(again=frame["region"].replace({"R1": "x", "R2": "y", "R3": "z"}))
    assert make(other, "again")["x"] == table["R1", "_T"]
    # several rows of one group count once, and sum
    half = frame.assign(sales=frame["sales"] // 2)
    twice = pd.concat([half, frame.assign(sales=frame["sales"] - half["sales"])])
    pd.testing.assert_series_equal(make(twice, "region", "section"), table)


def test_another_secret_and_another_measure_give_other_noise() -> None:
    frame = companies(2_000)
    frame["fine"] = np.arange(2_000) // 4
    frame["costs"] = frame["sales"]
    base = summed(frame, "fine")
    assert (base != summed(frame, "fine", secret=bytes(32))).mean() > 0.99
    costs = perturb_magnitudes(frame, by=["fine"], unit="group", measure="costs", profile=PROFILE, secret=SECRET)
    assert (base.to_numpy() != costs["costs"].to_numpy()).mean() > 0.99


@pytest.mark.parametrize("size", [1, 2, 3, 4, 20])
def test_the_noise_on_counts_is_distributed_as_the_table_says(size: int) -> None:
    """Chi-square over 20,000 cells of fixed keys; and unbiased with the variance of the row."""
    cells = 20_000
    frame = pd.DataFrame({"group": [f"c{k}" for k in range(cells * size)], "cell": np.arange(cells * size) // size})
    noise = (counted(frame, "cell", totals=False) - size).to_numpy()
    values, chances = PROFILE.ptable.row(size)
    seen = np.array([(noise == v).sum() for v in values])
    assert seen.sum() == cells
    likely = chances * cells > 5
    rest = cells - seen[likely].sum()
    wanted, got = chances[likely] * cells, seen[likely]
    if (left := cells - wanted.sum()) > 1e-6:
        wanted, got = np.append(wanted, left), np.append(got, rest)
    statistic = float(((got - wanted) ** 2 / wanted).sum())
    assert chi2.sf(statistic, len(wanted) - 1) > 1e-3
    deviation = math.sqrt(float(chances @ values**2))
    assert abs(noise.mean()) < 4 * deviation / math.sqrt(cells)
    assert noise.var() == pytest.approx(deviation**2, rel=0.08)


def test_small_counts_are_never_shown_and_nothing_is_negative() -> None:
    frame = companies(3_000)
    frame["cell"] = np.random.default_rng(5).zipf(1.5, 3_000) % 900
    shown = counted(frame, "cell", "region")
    assert not set(shown) & {1, 2}
    assert shown.min() >= 0


def test_two_tables_that_differ_by_one_company_do_not_show_it() -> None:
    """The attacker asks with and without a company, for 3,000 companies, and guesses whether it is in the cell."""
    cells, size = 3_000, 12
    frame = pd.DataFrame({"group": [f"d{k}" for k in range(cells * size)], "cell": np.arange(cells * size) // size})
    without = frame[frame.groupby("cell").cumcount() > 0]
    difference = (counted(frame, "cell", totals=False) - counted(without, "cell", totals=False)).to_numpy()
    assert difference.mean() == pytest.approx(1, abs=0.2)
    assert (difference == 1).mean() < 0.2, "as often as two draws of variance 3 coincide, and no more"
    # the noises of the two cells are unrelated: their difference has twice the variance
    assert difference.var() == pytest.approx(6.0, rel=0.1)


# -- magnitudes -------------------------------------------------------------------------------


def test_magnitudes_are_unbiased_with_the_variance_of_the_formula() -> None:
    """A cell that is not sensitive, under 20,000 secrets' worth of keys: mean zero, variance Σ (w m x)² / 3."""
    cells, values = 20_000, [100.0, 90.0, 50.0, 40.0]
    profile = PerturbationProfile(small=0.3, large=0.1, flex=60.0, weights=(1.0, 0.5))
    frame = pd.DataFrame({"group": [f"m{k}" for k in range(cells * 4)], "cell": np.arange(cells * 4) // 4})
    frame["sales"] = np.tile(values, cells)
    noise = (summed(frame, "cell", totals=False, profile=profile) - sum(values)).to_numpy()
    reach = [w * (0.1 + 0.2 * min(1, 60 / x)) * x for w, x in zip((1.0, 0.5), values, strict=False)]
    variance = sum(r**2 for r in reach) / 3
    assert abs(noise.mean()) < 4 * math.sqrt(variance / cells)
    assert noise.var() == pytest.approx(variance, rel=0.03)
    assert np.abs(noise).max() <= sum(reach)


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 10**6), min_size=1, max_size=6),
    signs=st.lists(st.booleans(), min_size=6, max_size=6),
    percent=st.sampled_from([5.0, 10.0, 15.0]),
    names=st.integers(0, 10**9),
)
def test_the_second_largest_who_takes_its_own_off_misses_the_largest(
    sizes: list[int], signs: list[bool], percent: float, names: int
) -> None:
    """In a sensitive cell by p % at least: it knows most of those who would know."""
    profile = PerturbationProfile(p_percent=percent, small=0.2, large=0.05, flex=1000.0)
    values = [size if plus else -size for size, plus in zip(sizes, signs, strict=False)]
    frame = pd.DataFrame({"group": [f"{names}/{k}" for k in range(len(values))], "cell": "c", "sales": values})
    shown = int(summed(frame, "cell", totals=False, profile=profile)["c"])
    if not any(values):
        assert shown == 0
        return
    largest, *others = sorted((abs(v) for v in values), reverse=True)
    rest = sum(others[1:])
    if rest >= percent / 100 * largest:
        assert abs(shown - sum(values)) <= profile.small * sum(profile.weights) * largest + 1
        return
    noise = shown - sum(values)
    assert abs(noise) >= percent / 100 * largest + rest - 1e-6 * largest
    if all(v >= 0 for v in values):
        assert shown >= 0
        second = others[0] if others else 0
        assert abs(shown - second - largest) >= percent / 100 * largest - 1e-6 * largest


def test_the_direction_of_a_sensitive_cell_is_a_fair_coin() -> None:
    cells = 20_000
    frame = pd.DataFrame({"group": [f"s{k}" for k in range(cells)], "cell": np.arange(cells), "sales": 1_000_000})
    noise = (summed(frame, "cell", totals=False) - 1_000_000).to_numpy()
    assert binomtest(int((noise > 0).sum()), cells).pvalue > 1e-3
    assert np.abs(noise).min() >= 150_000
    assert abs(noise.mean()) < 4 * noise.std() / math.sqrt(cells)


def test_the_difference_of_two_sums_does_not_show_the_company_between_them() -> None:
    cells, size = 2_000, 10
    rng = np.random.default_rng(11)
    frame = pd.DataFrame({"group": [f"e{k}" for k in range(cells * size)], "cell": np.arange(cells * size) // size})
    frame["sales"] = np.round(np.exp(rng.normal(10, 1, len(frame)))).astype(np.int64)
    first = frame.groupby("cell").cumcount() == 0
    target = frame.loc[first, "sales"].to_numpy()
    estimate = (summed(frame, "cell", totals=False) - summed(frame[~first], "cell", totals=False)).to_numpy()
    miss = np.abs(estimate - target) / target
    assert (miss < 0.01).mean() < 0.05
    assert np.median(miss) > 0.1


def test_tables_are_not_made_additive() -> None:
    shown = counted(companies(400), "region")
    assert sum(shown[r] for r in ("R1", "R2", "R3")) != shown["_T"]


@pytest.mark.parametrize(
    "change",
    [
        {"weights": (0.5,)},
        {"weights": (1.0, 2.0)},
        {"weights": ()},
        {"large": 0.5},
        {"large": 0.0},
        {"p_percent": 0.0},
        {"p_percent": 40.0},
        {"flex": -1.0},
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        PerturbationProfile(**change)  # type: ignore[arg-type]  # wrong on purpose


def test_what_is_missing_is_told() -> None:
    frame = companies(10)
    for wrong in (
        lambda: counted(frame, "nothing"),
        lambda: counted(frame),
        lambda: counted(frame.assign(region=None), "region"),
        lambda: counted(frame, "region", secret=b"short"),
    ):
        with pytest.raises(UsageError):
            wrong()


def test_record_keys_are_those_of_hmac() -> None:
    import hashlib
    import hmac

    wanted = int.from_bytes(hmac.new(SECRET, b"record key\0g1", hashlib.sha256).digest()[:8], "big")
    assert record_keys(["g1"], SECRET).tolist() == [wanted]


def test_the_rooms_secret_is_made_once_and_kept_to_its_owner(tmp_path) -> None:
    secret = room_secret(tmp_path)
    assert room_secret(tmp_path) == secret
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert len(secret) == 32
    file.write_bytes(b"x")
    with pytest.raises(StoreError):
        room_secret(tmp_path)


def test_what_the_manual_does_not_promise_is_so() -> None:
    """Many overlapping questions average the noise away: the manual says how many."""
    pairs = 100
    others = [[f"h{k}/{i}" for i in range(12)] for k in range(pairs)]
    rows = [(g, k) for k, groups in enumerate(others) for g in [*groups, "target"]]
    frame = pd.DataFrame(rows, columns=["group", "cell"])
    without = frame[frame["group"] != "target"]
    difference = counted(frame, "cell", totals=False) - counted(without, "cell", totals=False)
    assert difference.mean() == pytest.approx(1, abs=4 * math.sqrt(6 / pairs))
    assert difference.std() / math.sqrt(pairs) == pytest.approx(0.24, abs=0.06)


def test_a_group_has_one_key_whatever_column_its_id_stands_in() -> None:
    """Once an id is missing somewhere pandas makes all of them floats: 7 and 7.0 had two keys, and two noises."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"group": rng.integers(1, 90, 300), "region": rng.choice(["R1", "R2"], 300), "sales": 10})
    options = {"by": ["region"], "unit": "group", "profile": PROFILE, "secret": SECRET}
    counts = perturb_counts(frame, **options)
    sums = perturb_magnitudes(frame, measure="sales", **options)
    for dtype in ("float64", "Int64", "category", "object", "int64[pyarrow]", "str"):
        other = frame.astype({"group": dtype})
        pd.testing.assert_frame_equal(perturb_counts(other, **options), counts, obj=dtype)
        pd.testing.assert_frame_equal(perturb_magnitudes(other, measure="sales", **options), sums, obj=dtype)


@pytest.mark.parametrize(
    ("change", "options", "code"),
    [
        ({"region": "_T"}, {}, "OPS-U391"),
        ({"sales": 2**60}, {}, "OPS-U391"),
        ({}, {"by": ["region", "region"]}, "OPS-U136"),
        ({}, {"by": ["group"]}, "OPS-U136"),
        ({}, {"measure": "region"}, "OPS-U136"),
        ({"sales": "5"}, {}, "OPS-U382"),
        ({"sales": np.inf}, {}, "OPS-U001"),
        ({}, {"secret": "text" * 8}, "OPS-U135"),
    ],
)
def test_what_makes_no_perturbed_table_is_said(change: dict, options: dict, code: str) -> None:
    frame = pd.DataFrame({"group": range(40), "region": ["R1", "R2"] * 20, "sales": 10}).assign(**change)
    given_ = {"by": ["region"], "unit": "group", "measure": "sales", "profile": PROFILE, "secret": SECRET} | options
    with pytest.raises(UsageError) as caught:
        perturb_magnitudes(frame, **given_)
    assert caught.value.code == code


def test_a_dimension_called_count_is_not_overwritten() -> None:
    frame = pd.DataFrame({"group": range(40), "count": ["R1", "R2"] * 20})
    with pytest.raises(UsageError, match="OPS-U391"):
        perturb_counts(frame, by=["count"], unit="group", profile=PROFILE, secret=SECRET)

"""Parts of cells from weights and facts are those of the products laid out, and those of plain sums."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opsroom.base.cells import Cube, _hash_groups, _nonzero, parts_from_panel, parts_from_units
from opsroom.base.errors import UsageError
from opsroom.base.weighted import Weighted

PERIODS = ["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04", "2020-01-05"]


def _units(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "region": rng.choice(["R1", "R2", "R3"], n),
            "size": rng.choice(["large", "small"], n, p=[0.05, 0.95]),
            "group": rng.integers(0, max(n // 2, 1), n),
        }
    )


def _both(units: pd.DataFrame, panel: dict[str, Weighted], shares: dict[str, str]) -> list[pd.DataFrame]:
    shape = (len(units), len(PERIODS))
    laid_out = {name: np.broadcast_to(part.laid_out(), shape).copy() for name, part in panel.items()}
    given = {"periods": PERIODS, "period": "date", "dimensions": ["region", "size"], "group": "group", "shares": shares}
    cube = Cube(units, ["region", "size"], "group")
    return [parts_from_panel(units, p, **given, cube=c) for p in (panel, laid_out) for c in (None, cube)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 7, 400])
def test_products_count_as_what_they_are(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    units = _units(rng, n)
    weight = rng.integers(0, 10**12, n)
    fact = rng.random((n, len(PERIODS))) < rng.uniform(0, 1)
    one = np.ones((n, 1), dtype=np.bool_)
    panel = {
        "on": Weighted(weight, fact),
        "all": Weighted(weight, one),
        "used": Weighted(weight, rng.integers(0, 1000, fact.shape)),
        "moved": Weighted(weight, rng.integers(-3, 4, fact.shape)),
        "n": Weighted(np.ones(n, dtype=np.int64), one),
    }
    first, *others = _both(units, panel, {"on": "all"})
    for other in others:
        pd.testing.assert_frame_equal(first, other, check_exact=True)

    # by hand, cell by cell
    for row in first.to_dict("records"):
        t = PERIODS.index(row["date"])
        inside = np.ones(n, dtype=bool)
        for name in ("region", "size"):
            inside &= (units[name] == row[name]).to_numpy() | (row[name] == "_T")
        for name, part in panel.items():
            own = np.broadcast_to(part.laid_out(), fact.shape)[inside, t]
            by_group = pd.Series(own).groupby(units["group"].to_numpy()[inside]).sum()
            largest = np.sort(by_group.abs().to_numpy())[::-1]
            assert row[name] == own.sum()
            assert row[f"{name}__groups"] == (by_group != 0).sum()
            assert [row[f"{name}__top{k}"] for k in (1, 2, 3)] == [*largest[:3].tolist(), 0, 0, 0][:3]
            coded = dict(zip(_nonzero(_hash_groups(by_group.index).view(np.int64)).tolist(), by_group, strict=True))
            holders = [row[f"{name}__who{k}"] for k in (1, 2, 3)]
            assert len({h for h in holders if h}) == min(3, (by_group != 0).sum())
            assert [abs(coded.get(h, 0)) for h in holders] == [*largest[:3].tolist(), 0, 0, 0][:3]


def test_a_numerator_beyond_its_denominator_is_refused_in_either_form() -> None:
    units = _units(np.random.default_rng(1), 6)
    weight = np.arange(6)
    whole = Weighted(weight, np.ones((6, 1), dtype=np.bool_))
    more = Weighted(weight, np.full((6, 5), 2))
    negative = Weighted(weight, np.full((6, 5), -1))
    other = Weighted(weight + 1, np.ones((6, 5), dtype=np.bool_))
    for part in (more, negative, other):
        with pytest.raises(UsageError):
            _both(units, {"on": part, "all": whole}, {"on": "all"})
    nothing = Weighted(np.zeros(6, dtype=np.int64), np.full((6, 5), 2))  # twice nothing is nothing
    _both(units, {"on": nothing, "all": Weighted(nothing.weight, np.ones((6, 1), dtype=np.bool_))}, {"on": "all"})


def test_a_shape_that_does_not_fit_is_refused() -> None:
    units = _units(np.random.default_rng(1), 6)
    for fact in (np.ones((6, 4)), np.ones((5, 5)), np.ones((5, 1))):
        with pytest.raises(UsageError):
            parts_from_panel(
                units, {"x": Weighted(np.ones(6, dtype=np.int64), fact)}, periods=PERIODS, period="date",
                dimensions=["region"], group="group",
            )  # fmt: skip


def test_a_cube_from_an_earlier_call_gives_the_same_parts() -> None:
    rng = np.random.default_rng(2)
    units = _units(rng, 300)
    cube = Cube(units, ["region"], "group")
    for _ in range(3):
        values = units.assign(a=rng.integers(-5, 9, 300), b=rng.lognormal(size=300))
        given = {"dimensions": ["region"], "group": "group", "values": {"a": "a", "b": "b"}}
        pd.testing.assert_frame_equal(
            parts_from_units(values, **given, cube=cube), parts_from_units(values, **given), check_exact=True
        )

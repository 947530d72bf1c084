"""How often the tests reject where there is nothing to find: volatility that changes, steps with memory."""

from __future__ import annotations

import pytest
from bench import bsadf_size


@pytest.mark.long
def test_the_wild_bootstrap_rejects_as_often_as_it_says() -> None:
    """Nominal 5 %: 3 to 7 % of 600 series a row, with up to 0.9 points for the error of counting 600."""
    table = bsadf_size.size_table(600)
    wild = {name: share for name, share in table.items() if name.endswith("wild_bootstrap")}
    assert len(wild) == len(bsadf_size.WORLDS) * len(bsadf_size.VOLATILITIES)
    print("\n".join(f"{name}: {share}" for name, share in table.items()))  # noqa: T201  # the table is the evidence
    assert {name: share for name, share in wild.items() if not 2.1 <= share <= 7.9} == {}
    signs = [share for name, share in table.items() if name.endswith("signs")]
    assert min(signs) > 2.0
    assert max(signs) < 8.0
    # and the values for equal variance do not: the reason for the bootstrap
    assert table["size memory 0 lags 0 late up: monte_carlo"] > 20.0


@pytest.mark.long
def test_power_grows_with_the_root() -> None:
    table = bsadf_size.power_table(200)
    for lags in (0, 1):
        found = [table[f"power lags {lags} root {root}: wild_bootstrap"] for root in (1.02, 1.04, 1.06)]
        assert found == sorted(found)
        assert found[-1] > 45.0

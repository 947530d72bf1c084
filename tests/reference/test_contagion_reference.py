"""DebtRank on the network of greatest entropy equals NetworkRiskMeasures 0.1.4 (R) on 125 banks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opsroom.warn.contagion import Links, Network, debtrank, exposure_network, maximum_entropy

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def banks(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "risk" / "interbank_margins_125_banks.csv")


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "risk" / "debtrank_golden_maxent_10_shocks.csv").set_index("scenario")


def interbank(banks: pd.DataFrame) -> Network:
    nodes = pd.DataFrame({"id": banks["bank"], "buffer": banks["buffer"], "weight": banks["weights"]})
    links = maximum_entropy(banks["assets"], banks["liabilities"])
    return exposure_network(nodes.assign(kind="bank")).with_layer("interbank", links)


def test_margins_of_125_banks_are_met(banks: pd.DataFrame) -> None:
    links = interbank(banks).links()
    np.testing.assert_allclose(links.lent, banks["assets"], atol=1e-10, rtol=0)
    np.testing.assert_allclose(links.borrowed, banks["liabilities"], atol=1e-10, rtol=0)
    assert not links.dense().diagonal().any()


@pytest.mark.parametrize("written_out", [False, True])
def test_debtrank_equals_r(banks: pd.DataFrame, golden: pd.DataFrame, written_out: bool) -> None:
    network = interbank(banks)
    if written_out:  # the same claims as known links: the sparse path
        import scipy.sparse as sp

        network = network.with_layer("interbank", Links.of(sp.csr_array(network.links().dense())))
    for bank, row in golden.iterrows():
        found = debtrank(network, [bank])
        assert found.original == pytest.approx(row["original_stress"], abs=1e-12)
        assert found.additional == pytest.approx(row["additional_stress"], abs=1e-9)
        # R's losses are its stress before the cap times the buffer, so the claims written down; it stops at 1e-10.
        assert found.written_down.sum() == pytest.approx(row["additional_losses"], rel=1e-8)
        assert found.defaults.sum() == row["additional_defaults"]
        assert found.converged

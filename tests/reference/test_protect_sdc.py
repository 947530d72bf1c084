"""The gate's count rule and suppression against GaussSuppression (R), on a table both were given; and an attacker.

The reference (Langsrud and Lupp, GaussSuppression 1.2.3, ``SuppressFewContributors`` with ``maxN=1`` on the data
``magnitude1`` of SSBtools): every row of the microdata is a contributor, cells with one are primary, and
suppression is complementary over both margins. Its dominance and p% rules are not among the outputs kept.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from opsroom.base.cells import parts_from_units
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.protect.attack import attack, attack_insiders
from opsroom.protect.judge import judge
from opsroom.protect.rules import Attackers, Rules
from opsroom.protect.table import protect_table

pytestmark = pytest.mark.shared_data

KEY = ["sector4", "geo"]


@pytest.fixture
def micro(shared_data: Path) -> pd.DataFrame:
    """The microdata, in tenths so that sums are exact, one contributor a row."""
    frame = pd.read_csv(shared_data / "hub" / "sdc" / "magnitude1_micro.csv")
    return frame.assign(contributor=range(len(frame)), value=(frame["value"] * 10).round().astype("int64"))


@pytest.fixture
def golden(shared_data: Path) -> pd.DataFrame:
    """What the reference found, by cell."""
    frame = pd.read_csv(shared_data / "hub" / "sdc" / "golden_gauss_magnitude1_sector4_geo_maxN1.csv")
    return frame.replace({"Total": TOTAL}).set_index(KEY).sort_index()


def test_counts_primaries_and_pattern_are_those_of_the_reference(micro: pd.DataFrame, golden: pd.DataFrame) -> None:
    frame = parts_from_units(micro, dimensions=KEY, group="contributor", values={"value": "value"})
    cells = Cells(
        name="table.magnitude",
        dimensions=tuple(KEY),
        measures=(Measure("value", "sum", "", ("value",), decimals=0),),
        parts=(Part("value", ""),),
        additive=tuple(KEY),
        frame=frame,
    )
    verdict = judge(cells, Rules(min_contributors=2, dominance=(), attackers="outsider"), [], entry=1)
    ours = frame.set_index(KEY)
    assert (golden.loc[golden.index.difference(ours.index), "value"] == 0).all(), "we leave out empty cells only"
    shared = golden.loc[ours.index]
    assert (ours["value"] / 10).tolist() == shared["value"].tolist()
    assert ours["value__groups"].tolist() == shared["nRule"].tolist()
    keys = ours.index.tolist()
    assert {keys[row] for row, _ in verdict.primary} == set(golden.index[golden["primary"]])
    hidden = {keys[row] for row, _ in verdict.hidden}
    theirs = set(golden.index[golden["suppressed"]]) & set(keys)
    assert len(hidden) <= len(theirs)
    assert golden.loc[sorted(hidden), "value"].sum() <= golden.loc[sorted(theirs), "value"].sum()


def test_by_company_fewer_stand_behind_a_cell_than_by_row(micro: pd.DataFrame, golden: pd.DataFrame) -> None:
    """The four companies report in several cells: counted once each, a total has at most four of them."""
    frame = parts_from_units(micro, dimensions=KEY, group="company", values={"value": "value"}).set_index(KEY)
    assert frame.loc[(TOTAL, TOTAL), "value__groups"] == micro["company"].nunique() == 4
    assert (frame["value__groups"] <= golden.loc[frame.index, "nRule"]).all()


ONE = Rules(min_contributors=2, dominance=(), interval=20.0, attackers="outsider")


def test_the_reference_stops_recomputation_and_not_every_estimate(micro: pd.DataFrame, golden: pd.DataFrame) -> None:
    """Its pattern has no exact leak, but bounds a lone contributor of 168 by 262; ours keeps any interval asked for."""
    wide = replace(ONE, interval=100.0)
    for rules, theirs_inside in ((ONE, 0), (wide, 1)):
        table = protect_table(micro, dimensions=KEY, measure="value", unit="tenths", rules=rules)
        keys = pd.MultiIndex.from_tuples(table.tabulation.keys(), names=KEY)
        assert table.sensitive.tolist() == golden.loc[keys, "primary"].tolist()
        assert attack(table, rules=rules).inside == 0
        theirs = attack(replace(table, hidden=golden.loc[keys, "suppressed"].to_numpy()), rules=rules)
        assert not theirs.to_frame()["exact"].any()
        assert theirs.inside == theirs_inside
    assert theirs.worst(1)[[*KEY, "upper"]].to_numpy().tolist() == [["Entertainment", "Iceland", pytest.approx(262)]]


TABLES: list[list[str] | list[list[str]]] = [KEY, ["sector2", "eu"], [["sector4", "eu"], ["sector4", "sector2"]]]


@pytest.mark.parametrize("attackers", ["outsider", "contributor", "coalition"])
@pytest.mark.parametrize("group", [None, "company"])
@pytest.mark.parametrize("dimensions", TABLES)
def test_no_attacker_gets_inside_protection(
    micro: pd.DataFrame, dimensions: list[str], group: str | None, attackers: Attackers
) -> None:
    rules = replace(ONE, min_contributors=3, dominance=((2, 85.0),), p_percent=15.0, attackers=attackers, group=group)
    hierarchies = {"geo": {"Portugal": "EU", "Spain": "EU"}}
    table = protect_table(
        micro, dimensions=dimensions, measure="value", unit="tenths", hierarchies=hierarchies, rules=rules
    )
    assert table.sensitive.any()
    assert attack(table, rules=rules, bounds="exact").inside == 0
    assert attack(table, rules=rules, bounds="protection").inside == 0
    assert attack_insiders(table).successes == 0
    bare = replace(table, hidden=table.sensitive)
    if (table.hidden & ~table.sensitive).any():
        assert attack(bare, rules=rules).inside + attack_insiders(bare).successes > 0

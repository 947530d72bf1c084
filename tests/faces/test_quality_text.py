"""A quality report in full names every part of it, for people and not in JSON alone."""

from __future__ import annotations

from dataclasses import asdict

from opsroom.faces.quality_text import FIELD, full_text
from opsroom.observe.measuring import FieldMeasure

MEASURES = {
    "rows": {
        "read": 335,
        "accepted": 5,
        "contradictory": 2,
        "known_already": 330,
        "files": {"a.csv": 300, "b.csv": 35},
    },
    "arrived": ["2015-01-01", "2020-07-01"],
    "completeness": {"series_expected": 5, "periods": 1, "expected": 5, "present": 4, "missing_from_newest": 1},
    "timeliness": {"lag": 10, "allowed": 13.0, "promised": False, "late": 0.0},
    "revisions": {"share_of_known_keys": 0.25, "value": {"changed": 3, "signs": 1, "relative": 0.125}},
    "sample": 0.5,
    "fields": {"value": asdict(FieldMeasure(outliers=1, slips={"10^3": 1}, whole=3, psi=0.125, benford=0.01))},
    "rules": {"never_falls": 2},
}


def test_every_part_is_told() -> None:
    told = "\n".join(full_text(MEASURES))
    for part in (
        "contradictory 2", "a.csv 300, b.csv 35", "2015-01-01 to 2020-07-01", "present 4", "missing from newest 1",
        "10 days after the period's end, 13 allowed", "25.00% of the known keys revised", "relative 0.125",
        "50.0% of the series", "outliers 1", "unit slips 1 by 10^3", "shifted by 10^3", "drift: PSI 0.125",
        "drift: Kolmogorov not apt", "Benford deviation 0.01", "never_falls 2",
    ):  # fmt: skip
        assert part in told
    assert set(FIELD) | {"whole", "scale"} == set(asdict(FieldMeasure())), "a new measure is told, too"


def test_a_report_without_measures_is_short() -> None:
    assert full_text({"partial": True, "rows": {"read": 1, "files": {}}, "arrived": [None, None]}) == ["rows: read 1"]

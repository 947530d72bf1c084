"""A quality report in full, as lines of text: rows, what came and when, revisions, and each watched field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FIELD = {
    "values": "values", "empty": "empty", "zero": "zero", "negative": "negative", "compared": "series compared",
    "outliers": "outliers", "slips": "unit slips", "frozen": "share frozen", "shift": "shift in decades",
    "psi": "drift: PSI", "ks": "drift: Kolmogorov", "benford": "Benford deviation",
}  # fmt: skip
"""Measure of a field → how it is called."""


def full_text(measures: Mapping[str, Any]) -> list[str]:
    """Return the measures of a report as lines; what does not apply is said to be not apt.

    Parameters
    ----------
    measures
        As `QualityReport.measures` has them.
    """
    return list(_lines(measures))


def _lines(measures: Mapping[str, Any]) -> Iterator[str]:
    rows = dict(measures.get("rows", {}))
    files = rows.pop("files", {})
    yield "rows: " + _pairs({name.replace("_", " "): count for name, count in rows.items()})
    if len(files) > 1:
        yield "rows by file: " + _pairs(files)
    start, end = measures.get("arrived", (None, None))
    if start is not None:
        yield f"periods: {start} to {end}"
    if "completeness" in measures:
        yield "completeness: " + _pairs({k.replace("_", " "): v for k, v in measures["completeness"].items()})
    late = measures.get("timeliness")
    if late is not None:
        allowed = "no habit yet" if late["allowed"] is None else f"{late['allowed']:.0f} allowed"
        yield f"timeliness: {late['lag']} days after the period's end, {allowed}"
    revisions = dict(measures.get("revisions", {}))
    share = revisions.pop("share_of_known_keys", None)
    if share is not None:
        yield f"coherence: {share:.2%} of the known keys revised"
        for name, one in revisions.items():
            yield f"  {name}: " + _pairs(one)
    if measures.get("sample", 1.0) < 1.0:
        yield f"sample: {measures['sample']:.1%} of the series"
    for name, one in measures.get("fields", {}).items():
        yield f"field {name}: " + _pairs({words: one.get(key) for key, words in FIELD.items()})
        if one.get("whole"):
            yield f"field {name}: the whole delivery is shifted by 10^{one['whole']}"
    if measures.get("rules"):
        yield "rules broken: " + _pairs(measures["rules"])


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_told(value)}" for name, value in values.items())


def _told(value: Any) -> str:
    if value is None:
        return "not apt"
    if isinstance(value, Mapping):
        return " and ".join(f"{count} by {power}" for power, count in value.items()) or "none"
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

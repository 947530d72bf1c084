"""What the story has no number for: where a figure is withheld, the story says so instead of passing over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opsroom.faces import words as w
from opsroom.faces.reader import Desk, number, records, strongest
from opsroom.faces.words_record import Part

NEWEST, CHOSEN = "<newest>", "<chosen>"
"""Stand for the last code of a dimension in time, and for the option that the story tells of."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A number, or several, of which the story tells: where they stand, and what they are called."""

    word: str
    series: str
    where: Mapping[str, str]
    measures: tuple[str, ...]


_OPTION = {"option": CHOSEN, "month": "all", "section": "_T"}
_SHORT = {"month": NEWEST, "section": "_T", "size": "_T"}
_NONE = {"option": "none", "month": NEWEST, "section": "_T"}
_LOSSES = ("expected_loss_bank", "expected_loss_state", "expected_loss_other")
_TOLD: Mapping[str, tuple[_Told, ...]] = {
    "work": (
        _Told("at_work", "resumption.national", {"date": NEWEST, "weight": "count", "size": "_T"}, ("resumed",)),
        _Told("sme", "resumption.national", {"date": NEWEST, "weight": "count", "size": "sme"}, ("resumed",)),
        _Told("jobs", "resumption.national", {"date": NEWEST, "weight": "jobs", "size": "_T"}, ("resumed",)),
        _Told("sales", "resumption.national", {"date": NEWEST, "weight": "sales", "size": "_T"}, ("resumed",)),
        _Told("capacity", "resumption.national", {"date": NEWEST, "weight": "count", "size": "_T"}, ("capacity",)),
        _Told("coverage", "resumption.national", {"date": NEWEST, "weight": "count", "size": "_T"}, ("coverage",)),
        _Told("change", "resumption.change", {"date": NEWEST, "weight": "count"}, ("value",)),
    ),
    "credit": (
        _Told("arrears", "loans.section", {"month": NEWEST, "section": "_T"}, ("delinquent", "forborne")),
        _Told("liquidity", "liquidity.section", _SHORT, ("jobs_under_30_days",)),
    ),
    "options": (
        _Told("none", "relief.options", _NONE, ("illiquid_companies", "jobs_at_risk")),
        _Told("classes", "relief.options", _OPTION, ("decisive", "windfall", "futile", "cliff")),
        _Told("deferred", "relief.options", _OPTION, ("deferred", "outlay")),
        _Told("losses", "relief.options", _OPTION, _LOSSES),
        _Told("contingent", "relief.options", _OPTION, ("contingent",)),
    ),
}  # fmt: skip


def withheld(desk: Desk, topic: str) -> Iterator[Part]:
    """Say of which figures of a topic the gate lets nothing out on this day."""
    found: list[str] = []
    used: dict[str, Any] = {}
    for told in _TOLD.get(topic, ()):
        release = desk.get(told.series)
        if release is not None and _is_withheld(release, told):
            found.append(w.say(f"words.withheld_{told.word}"))
            used[release.id] = release
    if found:
        yield "story.withheld", {"figures": w.listing(found)}, tuple(used.values())


def _is_withheld(release: Any, told: _Told) -> bool:
    """Say whether the rows are there, and a number of theirs is suppressed."""
    where = dict(told.where)
    for name, code in told.where.items():
        if code == NEWEST:
            where[name] = max((code for r in records(release) if (code := str(r.get(name, ""))) != "all"), default="")
        elif code == CHOSEN:
            where[name] = strongest(release) or ""
    rows = records(release, **where)
    if where.get("option") == "":  # for no option it is known whom it saves
        del where["option"]
        rows = [r for r in records(release, **where) if r["option"] != "none"]
    return any(
        r.get("status") == "suppressed" and any(m in r and number(r, m) is None for m in told.measures) for r in rows
    )

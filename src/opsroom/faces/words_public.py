"""The part of the story that public series tell: activity against normal, growth, the credit gap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opsroom.faces import words as w
from opsroom.faces.codes import country_name, name_code, title_of, title_of_one
from opsroom.faces.reader import Desk, bounds, by_series, measures_of, number, records
from opsroom.faces.words_record import Part

MOST_TOLD = 2
"""Of an index by class of customer, the first are told."""


def activity(desk: Desk, release: Any) -> Iterator[Part]:
    """Tell how far activity is from normal, today and at its lowest."""
    known = {code: [r for r in rows if bounds(r, "gap")] for code, rows in by_series(release, "gap").items()}
    known = {code: rows for code, rows in known.items() if rows}
    for code, rows in list(known.items())[:MOST_TOLD]:
        last = rows[-1]
        gap, weeks = float(last["gap"]), "-W" in str(last["date"])
        low, high = bounds(last, "gap") or (gap, gap)
        yield (
            "story.activity_week" if weeks else "story.activity",
            {
                "title": title_of_one(desk, release, code, several=len(known) > 1),
                "gap": w.percent(abs(gap)),
                "sense": w.say("words.above" if gap >= 0 else "words.below"),
                "at": w.at(str(last["date"])),
                "interval": w.interval(low, high),
            },
            (release,),
        )
        span = _span(rows, 4 if weeks else 28)
        if span is not None and code == next(iter(known)):  # of the other classes, today's figure is enough
            values = {"gap": w.signed(span[0]), "start": w.period(span[1]), "end": w.period(span[2])}
            yield "story.activity_span_weeks" if weeks else "story.activity_span", values, (release,)
    if not known:
        return
    if release.facts.get("weather") is False:
        yield "story.activity_weather", {}, (release,)


def _span(rows: list[dict[str, Any]], days: int) -> tuple[float, str, str] | None:
    """Return the mean gap of the four weeks that lay furthest below normal, with their first and last day."""
    gaps = [float(r["gap"]) for r in rows]
    if len(gaps) < 2 * days:
        return None
    means = [sum(gaps[k : k + days]) / days for k in range(len(gaps) - days + 1)]
    start = min(range(len(means)), key=means.__getitem__)
    return means[start], str(rows[start]["date"]), str(rows[start + days - 1]["date"])


def growth(desk: Desk) -> Iterator[Part]:
    """Tell how fast published prices have grown."""
    release = desk.get("prices.growth")
    latest: dict[str, dict[str, Any]] = {}
    for row in records(release):
        if number(row, "value") is not None:
            latest[str(row["series"])] = row
    if release is None or len(latest) < 2:
        return
    ranked = sorted(latest.values(), key=lambda row: float(row["value"]))
    low, high = ranked[0], ranked[-1]
    yield (
        "story.growth",
        {
            "period": w.period(str(high["date"])),
            "title": w.lower_first(str(release.facts.get("title") or w.say("words.values"))).partition(",")[0],
            "rising": str(sum(float(row["value"]) > 0 for row in ranked)),
            "all": str(len(ranked)),
            "high": country_name(str(high["series"]).upper()),
            "high_value": w.signed(float(high["value"])),
            "low": country_name(str(low["series"]).upper()),
            "low_value": w.signed(float(low["value"])),
        },
        (release,),
    )


def gaps(release: Any) -> Iterator[Part]:
    """Tell the latest credit gaps."""
    latest: dict[str, dict[str, Any]] = {}
    for row in records(release):
        if number(row, "gap") is not None:
            latest[str(row.get("country", ""))] = row
    if len(latest) > 1:  # of a single one its own gap tells all
        gaps = [float(row["gap"]) for row in latest.values()]
        wide = sum(g > 10 for g in gaps)
        values = {
            "all": str(len(gaps)),
            "two": str(sum(g > 2 for g in gaps)),
            "ten": str(wide) if wide else w.say("words.none_of"),
        }
        yield "story.credit_gaps", values, (release,)
    for code, row in sorted(latest.items(), key=lambda item: -float(item[1]["gap"]))[:3]:
        values = {
            "country": country_name(code),
            "gap": w.signed(float(row["gap"])),
            "quarter": w.period(str(row["quarter"])),
        }
        if (buffer := number(row, "buffer")) is not None:
            yield "story.credit_gap", {**values, "buffer": w.percent(buffer, 2)}, (release,)
        else:
            yield "story.credit_gap_plain", values, (release,)


def levels(desk: Desk) -> Iterator[Part]:
    """Tell where published series stand and how they compare with a year earlier; the largest of each release."""
    for name in desk.names():
        release = desk.get(name)
        if release is None or not name.endswith(".levels") or len(release.dimensions) > 2:
            continue
        main, time, rest = measures_of(release)[0], release.dimensions[0], release.dimensions[1:]
        lines: dict[str, dict[str, float]] = {}
        for row in records(release):
            value = number(row, main.name)
            if value is not None:
                lines.setdefault(str(row[rest[0]]) if rest else "", {})[str(row[time])] = value
        unit = main.unit
        for code in sorted(lines, key=lambda c: (-abs(lines[c][max(lines[c])]), c))[:3]:
            line = lines[code]
            at = max(line)
            said = {
                "title": title_of(desk, release),
                "name": name_code(desk, rest[0], code) if rest else main.name.replace("_", " "),
                "value": w.with_unit(line[at], unit, main.decimals),
                "at": w.at(at),
            }
            before = line.get(f"{int(at[:4]) - 1}{at[4:]}") if at[:4].isdigit() else None
            if before is None or before <= 0 or unit.startswith("%"):
                yield "story.levels", said, (release,)
            else:
                yield "story.levels_change", {**said, "change": w.signed(100 * (line[at] / before - 1))}, (release,)


def restrictions(desk: Desk) -> Iterator[Part]:
    """Say how strict measures are, how strict they were at most, and where they differ."""
    release = desk.get("restriction.index")
    if release is None:
        return
    name = main_index(release)
    rows = [r for r in records(release, region="_T") if number(r, name) is not None]
    if not rows:
        return
    last, most = rows[-1], max(rows, key=lambda r: float(r[name]))
    values = {
        "index": w.label("restriction", name), "value": w.number(float(last[name])), "at": w.at(str(last["week"])),
        "most": w.number(float(most[name])), "when": w.at(str(most["week"])),
    }  # fmt: skip
    yield "story.restriction", values, (release,)
    low, high = (number(last, f"{name}_{end}") for end in ("lowest", "highest"))
    if low is not None and high is not None and high - low >= 1:
        yield "story.restriction_range", {"low": w.number(low), "high": w.number(high)}, (release,)


def main_index(release: Any) -> str:
    """Return the index that is told of: stringency where it is published, else the first."""
    names = [m.name for m in measures_of(release)]
    return "stringency" if "stringency" in names else names[0]


def late(desk: Desk) -> Iterator[Part]:
    """Say of which newest counts reports are still to come, and how many are expected."""
    for name in desk.names():
        release = desk.get(name)
        if not name.startswith("delays.") or release is None:
            continue
        last = newest_count(release)
        if last is not None and last["complete"] == "no":
            yield "story.delays", {"title": title_of(desk, release), **count_words(last)}, (release,)


def newest_count(release: Any) -> dict[str, Any] | None:
    """Return the newest period of a delay nowcast, all sectors together; None where it is not published."""
    rows = [r for r in records(release, sector="_T") if number(r, "expected") is not None]
    return max(rows, key=lambda r: str(r["period"])) if rows else None


def count_words(row: dict[str, Any]) -> dict[str, str]:
    """Return the words of a period's count: reported, expected with its interval, the share that is in."""
    return {
        "reported": w.number(float(row["reported"])), "expected": w.number(float(row["expected"])),
        "low": w.number(float(row["lower"])), "high": w.number(float(row["upper"])), "at": w.at(str(row["period"])),
        "share": w.percent(float(row["share"]), 0),
    }  # fmt: skip

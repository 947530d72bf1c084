"""Figures of the four flows."""

from __future__ import annotations

from typing import Any

from opsroom.base.charts import Caption
from opsroom.faces import words as w
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, day_of, number, records


def _titles(release: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in (release.facts.get("titles") or {}).items()}


def gaps(desk: Desk) -> Figure | None:
    """The gap of each flow to its own normal path, by week."""
    release = desk.get("flows.weekly")
    found = [r for r in records(release) if number(r, "gap") is not None]
    if release is None or not found:
        return None
    titles = _titles(release)
    wide: dict[str, dict[str, Any]] = {}
    for row in found:
        wide.setdefault(str(row["week"]), {"week": row["week"]})[str(row["flow"])] = row["gap"]
    rows = [wide[week] for week in sorted(wide)]
    columns = tuple(c for c in release.columns if c != "status")
    last = rows[-1]
    present = {name: float(last[name]) for name in titles if last.get(name) is not None}
    if not present:
        return None
    worst = min(present, key=lambda name: present[name])
    value = present[worst]
    caption = Caption(
        w.say(
            "fig.flows.finding", title=titles[worst], gap=w.percent(abs(value), 0),
            sense=w.say("words.above" if value >= 0 else "words.below"), at=w.at(str(last["week"])),
        ),
        w.say("fig.flows.unit"), source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        return line_band(rows, x="week", lines={name: titles[name] for name in present}, caption=caption, rule=0.0)

    return Figure("flows.weekly", "output", caption, columns, table(found, columns), (release,), draw, how="how.flows")


def resilience(desk: Desk) -> Figure | None:
    """How deep each flow fell, for how long, and how fast it came back."""
    release = desk.get("flows.resilience")
    if release is None:
        return None
    titles = _titles(release)
    rows = []
    for row in records(release):
        why = str(row["reason"] or ("censored" if row["censored"] == "yes" else "none"))
        rows.append(
            {
                "flow": titles.get(str(row["flow"]), row["flow"]),
                "measure": w.label("flow_measure", str(row["measure"])),
                "value": number(row, "value"), "lower": number(row, "lower"), "upper": number(row, "upper"),
                "unit": row["unit"], "remark": w.label("flow_remark", why),
            }
        )  # fmt: skip
    if not rows:
        return None
    columns = ("flow", "measure", "value", "lower", "upper", "unit", "remark")
    caption = Caption(
        w.say("fig.resilience.finding"),
        w.say("fig.resilience.unit"),
        source_of(release),
        day_of(release.day).isoformat(),
    )
    return Figure("flows.resilience", "output", caption, columns, table(rows, columns), (release,), how="how.flows")

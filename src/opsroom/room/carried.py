"""What a published warning carries: its rule's levers and cost, and how often the indicator was right before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opsroom.base.proportions import share_interval

RULE = (
    "title",
    "series",
    "measure",
    "unit",
    "direction",
    "levers",
    "false_alarm_cost",
    "within_days",
    "event",
    "track",
)
"""Facts of the rule that go with each of its warnings; the figure of the series is the warning's evidence."""


def carried(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], facts: Mapping[str, Any]
) -> list[dict[str, Any]]:  # rows and facts of a release: plain JSON
    """Return the warnings of an inbox as records, each with what stands beside its rule.

    Parameters
    ----------
    columns, rows, facts
        Of the release ``warnings.inbox``.
    """
    rules = {str(rule["rule"]): rule for rule in facts.get("rules") or ()}
    out = []
    for row in rows:
        one = dict(zip(columns, row, strict=True))
        rule = rules.get(str(one.get("rule")), {})
        out.append({**one, **{name: rule[name] for name in RULE if name in rule}})
    return out


def record_in_short(one: Mapping[str, Any]) -> str:
    """Return a warning's record in a line for a table: its track record, or what followed in this room; else a dash.

    Parameters
    ----------
    one
        From `carried`.

    Examples
    --------
    >>> track = {"n_crises": 2, "warned": 1, "median_lead_time": 9.0, "false_alarms": 3, "correct_silence": 97}
    >>> track |= {"warned_interval": [0.0253, 0.9747], "level": 0.9}
    >>> record_in_short({"track": track})
    '1 of 2 events (3 to 97 %), 9 quarters ahead; 3 % false'
    """
    track = one.get("track")
    if not track:
        if "within_days" not in one or one.get("raised") is None:
            return "-"
        low, high = share_interval(int(one["followed"]), int(one["followed"] + one["false"]))
        spread = "" if math.isnan(low) else f" ({100 * low:.0f} to {100 * high:.0f} %)"
        still = f", {one['open']:g} undecided" if one.get("open") else ""
        return f"{one['followed']:g} of {one['raised']:g} followed{spread}, {one['false']:g} false{still}"
    calm = int(track["false_alarms"]) + int(track["correct_silence"])
    false = f"{100 * int(track['false_alarms']) / calm:.0f} % false" if calm else "no calm quarter"
    if not track["n_crises"]:
        return f"no event yet; {false}"
    lead = track.get("median_lead_time")
    ahead = "" if lead is None else f", {lead:g} quarters ahead"
    ends = track.get("warned_interval")  # releases before there was one have none
    spread = "" if not ends or None in ends else f" ({100 * ends[0]:.0f} to {100 * ends[1]:.0f} %)"
    return f"{track['warned']} of {track['n_crises']} events{spread}{ahead}; {false}"

"""The inbox of warnings as of a day: which stand, under which rule, with what record; those that are asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsroom.base.errors import UsageError
from opsroom.base.proportions import share_interval
from opsroom.faces import words as w
from opsroom.faces.codes import name_code
from opsroom.faces.figures import Figure, attempt
from opsroom.faces.reader import Desk, number, records
from opsroom.room.carried import carried

INBOX = "warnings.inbox"
FEW = 10
"""Events below which a record says first of all on how few it rests."""
LEVEL = 0.9
"""Of the interval of how many warnings were followed by their event."""
STATES = ("open", "new", "standing", "ended", "all")
"""What a reader may ask for; ``open`` is all that have not ended, and what is shown where nothing is asked."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for.

    Attributes
    ----------
    state
        One of `STATES`.
    rule, about
        A rule's name and a code; empty: all.
    unread
        Only those of which nobody has taken note.
    """

    state: str = "open"
    rule: str = ""
    about: str = ""
    unread: bool = False

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Filters:
        """Read the filters of an address.

        Raises
        ------
        UsageError
            A state that there is not.
        """
        state = asked.get("state") or "open"
        if state not in STATES:
            raise UsageError("state is none that a warning can be in.", remedy=f"Use {', '.join(STATES)}.")
        return cls(state, asked.get("rule") or "", asked.get("about") or "", asked.get("unread", "") == "yes")

    def keep(self, warning: Mapping[str, Any]) -> bool:
        """Whether a warning is asked for."""
        state = str(warning["state"])
        return (
            (self.state == "all" or (state != "ended" if self.state == "open" else state == self.state))
            and self.rule in ("", str(warning["rule"]))
            and self.about in ("", str(warning["about"]))
            and not (self.unread and warning.get("acknowledged_by"))
        )


@dataclass(frozen=True, slots=True)
class Group:
    """The warnings of one rule that are asked for, with all that must stand beside them."""

    title: str
    says: str
    event: str
    record: str
    track: str
    cost: str
    levers: tuple[str, ...]
    warnings: tuple[Mapping[str, str], ...]
    evidence: Figure | None


def warnings(desk: Desk, filters: Filters | None = None) -> list[dict[str, Any]]:
    """Return the published warnings that are asked for, each with its rule's levers, cost and track record."""
    filters = filters or Filters(state="all")
    release = desk.get(INBOX)
    if release is None:
        return []
    return [one for one in carried(release.columns, release.rows, release.facts) if filters.keep(one)]


def choices(desk: Desk) -> dict[str, list[tuple[str, str]]]:
    """Return what may be chosen: codes and words of rules, and of what warnings are about."""
    rules = {str(rule["rule"]): str(rule["title"]) for rule in _rules(desk)}
    about = {str(one["about"]): _name(desk, one) for one in records(desk.get(INBOX))}
    return {
        "state": [(state, w.say(f"inbox.{state}")) for state in STATES],
        "rule": list(rules.items()),
        "about": sorted(about.items(), key=lambda pair: pair[1]),
    }


def groups(desk: Desk, filters: Filters) -> list[Group]:
    """Return the warnings that are asked for, by rule, in the order of the room's settings."""
    found = warnings(desk, filters)
    out = []
    for rule in _rules(desk):
        own = [one for one in found if one["rule"] == rule["rule"]]
        if own:
            out.append(_group(desk, rule, own))
    return out


def quiet(desk: Desk, filters: Filters) -> list[Group]:
    """Return the rules under which no warning is shown, where nothing but a state is asked for: they watch, too."""
    if filters.rule or filters.about or filters.unread:
        return []
    shown = {str(one["rule"]) for one in warnings(desk, filters)}
    return [_group(desk, rule, []) for rule in _rules(desk) if str(rule["rule"]) not in shown]


def standing(desk: Desk) -> str:
    """Return how many warnings stand, in a sentence; empty where none does."""
    found = warnings(desk, Filters())
    unread = sum(not one.get("acknowledged_by") for one in found)
    if not found:
        return ""
    count = w.say("inbox.count.one") if len(found) == 1 else w.say("inbox.count", n=len(found))
    return f"{count} {w.say('inbox.unread', n=unread) if unread else w.say('inbox.all_read')}"


def _rules(desk: Desk) -> Sequence[Mapping[str, Any]]:
    release = desk.get(INBOX)
    return list(release.facts.get("rules") or []) if release is not None else []


def _group(desk: Desk, rule: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> Group:
    unit = str(rule.get("unit") or "")
    low = rule["direction"] == "below"
    says = w.say(
        "inbox.below" if low else "inbox.above", raise_at=_quantity(rule["raise_at"], unit),
        clear_at=_quantity(rule["clear_at"], unit),
    )  # fmt: skip
    return Group(
        title=str(rule["title"]),
        says=says,
        event=_event(rule),
        record=_record(rule),
        track=_track(rule),
        cost=str(rule.get("false_alarm_cost") or ""),
        levers=tuple(str(one) for one in rule.get("levers") or ()),
        warnings=tuple(_facts(desk, one, unit) for one in found),
        evidence=attempt(desk, str(rule["series"])) if str(rule["series"]) in desk.names() else None,
    )


def _track(rule: Mapping[str, Any]) -> str:
    """Return how the indicator did at this threshold over the history that is out; empty where nothing judges it."""
    track = rule.get("track")
    if not track:
        return ""
    calm = int(track["false_alarms"]) + int(track["correct_silence"])
    sample, horizon = track["sample"], track["rule"]["horizon"]
    known = {
        "false": int(track["false_alarms"]), "calm": calm, "last": w.period(str(track["last_label"])),
        "areas": int(sample["countries"]), "timing": w.say(f"inbox.{track['timing']}"),
    }  # fmt: skip
    if not track["n_crises"]:
        return w.say("inbox.untried", **known)
    lead = track["median_lead_time"]
    return " ".join(
        [
            w.say(
                "inbox.tried", crises=int(track["n_crises"]), warned=int(track["warned"]), first=int(horizon[0]),
                until=int(horizon[1]), hits=int(track["hits"]), before=int(track["hits"]) + int(track["missed"]),
                **known,
            ),
            "" if lead is None else w.say("inbox.lead", lead=w.number(float(lead), 0)),
            _by_chance(track),
            _use(track),
        ]
    ).replace("  ", " ")  # fmt: skip


def _use(track: Mapping[str, Any]) -> str:
    """Return the usefulness with its interval; empty where there were no calm quarters to be useful in."""
    low, high = track["interval"]
    if track["usefulness"] is None:
        return ""
    use = w.number(float(track["usefulness"]), 2)
    if low is None or high is None:  # of a single area
        return w.say("inbox.use_alone", use=use)
    return w.say(
        "inbox.use", use=use, low=w.number(float(low), 2), high=w.number(float(high), 2),
        level=round(100 * float(track["level"])),
    )  # fmt: skip


def _by_chance(track: Mapping[str, Any]) -> str:
    """Return how sure the share of events warned of is; empty for a release from before it was told."""
    low, high = track.get("warned_interval") or (None, None)
    if low is None or high is None:
        return ""
    crises = int(track["n_crises"])
    key = "inbox.share" if crises >= FEW else "inbox.few.one" if crises == 1 else "inbox.few"
    return w.say(
        key, crises=crises, low=w.number(100 * float(low), 0), high=w.number(100 * float(high), 0),
        level=round(100 * float(track["level"])),
    )  # fmt: skip


def _record(rule: Mapping[str, Any]) -> str:
    """Return the rule's record over the room's own life; without an event to come before there is none."""
    if rule.get("last_read") == "":  # a release from before this was told has no such fact
        return w.say("inbox.unread_yet")
    if "within_days" not in rule:
        return "" if rule.get("track") else w.say("inbox.no_record")
    followed, false = int(rule["followed"]), int(rule["false"])
    raised = int(rule["raised"])
    counts = w.say(
        "inbox.record.one" if raised == 1 else "inbox.record", raised=raised, followed=followed, false=false,
        open=int(rule["open"]), missed=int(rule["missed"]), days=int(rule["within_days"]),
    )  # fmt: skip
    low, high = share_interval(followed, followed + false, level=LEVEL)
    if math.isnan(low):
        return counts
    spread = w.say(
        "inbox.record_spread", low=w.number(100 * low, 0), high=w.number(100 * high, 0), level=round(100 * LEVEL)
    )
    return f"{counts} {spread}"


def _event(rule: Mapping[str, Any]) -> str:
    """Return in words what the rule's warnings are to come before; empty where the room does not say."""
    return w.say("inbox.event", event=str(rule["event"])) if rule.get("event") else ""


def _facts(desk: Desk, one: Mapping[str, Any], unit: str) -> dict[str, str]:
    value, peak = number(dict(one), "value"), number(dict(one), "peak")
    said = [w.say("inbox.value", value=_quantity(value, unit), period=w.period(str(one["period"] or one["since"])))]
    said.append(w.say("inbox.since", day=w.day(str(one["since"])), peak=_quantity(peak, unit)))
    if one["state"] == "ended":
        said.append(w.say("inbox.ended_on", day=w.day(str(one["ended"]))))
    elif one["silent"] == "yes":
        said.append(w.say("inbox.silent"))
    taken = one.get("acknowledged_by")
    if taken:
        said.append(w.say("inbox.taken", who=str(taken), day=w.day(str(one["acknowledged_on"]))))
    else:
        said.append(w.say("inbox.not_taken"))
    if one.get("words"):
        said.append(str(one["words"]))
    return {
        "id": str(one["warning"]),
        "name": _name(desk, one),
        "state": w.say(f"inbox.{one['state']}"),
        "code": str(one["state"]),
        "text": " ".join(said),
    }


def _name(desk: Desk, one: Mapping[str, Any]) -> str:
    """Return what a warning is about, in words."""
    rule = next((rule for rule in _rules(desk) if rule["rule"] == one["rule"]), {})
    by, codes = list(rule.get("by") or []), str(one["about"]).split("/")
    if codes == ["_T"]:
        return w.say("inbox.whole")
    if len(codes) != len(by):
        return str(one["about"])
    watched = desk.get(str(rule.get("series")))
    titles = (watched.facts.get("titles") or {}) if watched is not None else {}
    return ", ".join(str(titles.get(c) or name_code(desk, d, c)) for d, c in zip(by, codes, strict=True))


def _quantity(value: Any, unit: str) -> str:
    if value is None:
        return w.say("page.withheld")
    text = w.number(float(value), 0 if float(value).is_integer() else 1)
    return f"{text}\u00a0{unit}" if unit else text

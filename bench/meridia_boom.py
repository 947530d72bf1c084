"""Meridia's booms, judged against truth: does the room warn of the bad one before its bust, and of nothing else?

The rules are those of Meridia's room, read by the same methods as its desks, on the vintages of each day and nothing
later; the truth (which boom was bad, when it peaked) is looked at afterwards. Only the national series are generated,
no company, so that a hundred economies take a minute. Three questions, ``--size`` economies each (default 100):

- *coast*, the bad boom (peak 2017-12, bust 2018-19): warned before the peak? How long before? And how long before the
  fall of house prices by a tenth was known?
- *valley*, a boom that incomes carry: called a boom?
- no boom at all: how often is there a warning? Regions without a boom in the first economies count, too.

Beside them stand the sections that fail in the shock, of a few economies with companies (`bench.meridia_shock`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench.meridia_shock import SEEDS, shock
from opsroom.economy.scenario import Scenario
from opsroom.economy.world import meridia
from opsroom.room.desks.areas import NATION, by_area
from opsroom.warn.credit_gap import watch_credit
from opsroom.warn.exuberance import watch_ratios
from opsroom.warn.watch import Reading, Rule, Warning, watch

LAST = dt.date(2020, 1, 22)
"""The first day on which the room publishes: the shock plays no part."""

FALL = 0.10
RULES = ("exuberance-rents", "exuberance-incomes", "credit-boom")


def rules_of_meridia() -> dict[str, Rule]:
    """Return the rules on booms of Meridia's own room."""
    desks = tomllib.loads(meridia(100).room_settings())["desks"]
    tables = [t for d in desks if d["kind"] == "warnings" for t in d["rules"] if t["name"] in RULES]
    return {
        t["name"]: Rule(t["name"], t["raise_at"], t["clear_at"], direction=t.get("direction", "above"))
        for t in tables
    }  # fmt: skip


def indicators(seed: int, scenario: Scenario) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Return, by rule, what the room's desks would have read on each day, and when each fall of prices was known."""
    figures = meridia(100, seed=seed, scenario=scenario).workshop.official.releases("macro_q")
    known = figures[figures["vintage"] <= LAST].rename(columns={"quarter": "period", "vintage": "known_at"})
    price = by_area(known, "house_price")
    ratios = {name: watch_ratios(price, by_area(known, name), families=2).frame for name in ("rent", "income")}
    credit = watch_credit(by_area(known, "credit"), by_area(known, "income", nation="gdp_nominal")).frame
    read = {f"exuberance-{n}s": f.assign(value=100.0 * f["doubt_boom"]) for n, f in ratios.items()}
    read["credit-boom"] = credit.assign(value=credit["by_credit"])
    return read, ratios["rent"][["area", "period", "known_at", "fall"]]


def warnings_of(read: Mapping[str, pd.DataFrame], rules: Mapping[str, Rule]) -> list[Warning]:
    """Return all warnings that the room would have raised."""
    found = []
    for name, frame in read.items():
        said = (
            Reading(row.known_at.date(), (("region", row.area),), f"{row.period.year}-Q{row.period.quarter}", row.value)
            for row in frame.itertuples()
        )
        found += watch(rules[name], said, LAST)
    return found


def _years(days: float) -> float:
    return round(days / 365.25, 2)


def _middle(days: list[float]) -> float | None:
    return _years(float(np.median(days))) if days else None


def with_booms(seeds: int, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Return how the rules do in economies with both booms."""
    scenario = Scenario.load()
    kinds = {region: boom for boom in scenario.booms for region in boom.regions}
    lead: dict[str, list[float]] = defaultdict(list)
    to_bust: dict[str, list[float]] = defaultdict(list)
    warned: Counter[tuple[str, str]] = Counter()
    elsewhere: Counter[str] = Counter()
    late: Counter[str] = Counter()
    busts = Counter[str]()
    for seed in range(seeds):
        read, fall = indicators(seed, scenario)
        first = fall[fall["fall"] >= FALL].groupby("area")["known_at"].min().dt.date
        busts.update(kinds[a].kind if a in kinds else "elsewhere" for a in first.index if a != NATION)
        for one in warnings_of(read, rules):
            region, name = one.about[0][1], one.rule.name
            if region == NATION:
                continue
            boom = kinds.get(region)
            if boom is None:
                elsewhere[name] += 1
            elif one.since > boom.peak:
                late[name] += 1
            elif (own := (name, f"{seed} {region}")) not in warned:
                warned[own] += 1
                if boom.kind == "bad":
                    lead[name].append((boom.peak - one.since).days)
                    if region in first.index:
                        to_bust[name].append((first[region] - one.since).days)
    bad = [r for r, b in kinds.items() if b.kind == "bad"]
    benign = [r for r, b in kinds.items() if b.kind == "benign"]
    out: dict[str, Any] = {"busts known (regions)": dict(busts)}
    for name in rules:
        own = [key.split()[1] for rule, key in warned if rule == name]
        out[name] = {
            "bad regions warned before the peak": f"{sum(r in bad for r in own)} of {seeds * len(bad)}",
            "median years before the peak": _middle(lead[name]),
            "least years before the peak": _years(min(lead[name])) if lead[name] else None,
            "median years before the bust was known": _middle(to_bust[name]),
            "benign regions warned": f"{sum(r in benign for r in own)} of {seeds * len(benign)}",
            "warnings in other regions": elsewhere[name], "warnings after the peak": late[name],
        }  # fmt: skip
    return out


def without_booms(seeds: int, rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Return how often the rules warn in economies in which nothing booms."""
    scenario = dataclasses.replace(Scenario.load(), booms=())
    count: Counter[str] = Counter()
    economies: dict[str, set[int]] = defaultdict(set)
    years = 0.0
    for seed in range(seeds):
        read, _ = indicators(seed, scenario)
        days = pd.concat([frame["known_at"] for frame in read.values()])
        years += (pd.Timestamp(LAST) - days.min()).days / 365.25
        for one in warnings_of(read, rules):
            count[one.rule.name] += 1
            economies[one.rule.name].add(seed)
    found = {
        name: {"warnings": count[name], "economies with any": len(economies[name])} for name in rules
    }  # fmt: skip
    any_one = len(set().union(*economies.values())) if economies else 0
    return {"economy-years": round(years), **found, "economies with any": any_one}


def run(size: int | None = None) -> dict[str, Any]:
    """Print how Meridia's rules on booms do, over `size` economies (100)."""
    seeds, rules = size or 100, rules_of_meridia()
    begun = time.process_time()
    out: dict[str, Any] = {"case": "meridia_boom", "size": seeds, "peer": "truth", "peer_s": None, "ratio": None}
    found = {"with booms": with_booms(seeds, rules), "without booms": without_booms(seeds, rules)}
    found["failing sections in the shock"] = shock(min(seeds, SEEDS))
    return out | {"ours_s": round(time.process_time() - begun, 1), "max_abs_diff": None} | found

"""Failing sections in Meridia's shock against truth: which did the room warn of, how long before, which wrongly?

A room with the desks on loans, cash and contagion lives through the shock on the tables that these read, as they
arrive, and publishes once a month through the gate: what is withheld cannot warn. No meters, so the desk on cash knows
activity from accounts and reports alone, later than the full room. Truth is looked at afterwards: a section *fails* of
whose companies at least twice the country's share has failed by the end of the run, and five at least. A warning counts
if it is raised before the median of these failures.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opsroom.economy.world import World, meridia
from opsroom.room import Room

SEEDS = 5
COMPANIES = 2_000
DATASETS = ("register", "accounts", "loans", "firm_months", "collections", "links", "lenders")
KINDS = ("loans", "contagion", "relief", "warnings")
RULES = ("cash", "loans")
"""Rules of Meridia's room that name a section."""
DAYS = tuple(dt.date(2020, m, d) for m, d in ((1, 22), (2, 5), (3, 4), (4, 1), (5, 6), (6, 3)))
"""First publication of each month: the series behind the rules come out monthly."""
TIMES, LEAST = 2.0, 5


def settings_of(world: World) -> str:
    """Return Meridia's own settings with only the desks that the rules rest on."""
    head, *desks = world.room_settings().split("[[desks]]\n")
    kept = [text for text in desks if any(f'kind = "{kind}"' in text.partition("\n")[0] for kind in KINDS)]
    return head + "".join("[[desks]]\n" + text for text in kept)


def warnings_of(world: World, folder: Path) -> dict[str, dict[str, dt.date]]:
    """Return, by rule, the sections that the room warned of and on which day first."""
    specs = world.specs()
    with Room.create(folder, settings=settings_of(world), specs=[specs[name] for name in DATASETS]) as room:
        due = list(DAYS)
        for delivery in world.deliveries(until=DAYS[-1]):
            while due and delivery.known_at > room.moment(due[0]):
                room.publish(due.pop(0))
            if delivery.dataset in DATASETS:
                room.ingest(delivery.dataset, delivery.source, delivery.known_at)
        for day in due:
            room.publish(day)
        first: dict[str, dict[str, dt.date]] = {name: {} for name in (*RULES, "contagion")}
        for day in DAYS:
            inbox = room.releases().get("warnings.inbox", day)
            if inbox is None:
                continue
            for row in (dict(zip(inbox.columns, r, strict=True)) for r in inbox.rows):
                if row["rule"] in first:
                    since = dt.date.fromisoformat(str(row["since"]))
                    first[row["rule"]].setdefault(str(row["about"]), since)
    return first


def failing(world: World) -> pd.DataFrame:
    """Return by section the companies, how many failed, the share, the median day, and whether it is a failing one."""
    truth = world.truth.failures()
    truth = truth[truth["legal_form"] != "SOLE"] if "legal_form" in truth else truth
    failed = pd.to_datetime(truth["failed"])
    late = failed >= pd.Timestamp(DAYS[0])
    table = pd.DataFrame({"section": truth["section"], "failed": late, "day": failed.where(late)})
    by = table.groupby("section")
    out = pd.DataFrame({"companies": by.size(), "failed": by["failed"].sum(), "median": by["day"].median()})
    out["share"] = out["failed"] / out["companies"]
    out["failing"] = (out["share"] >= TIMES * late.mean()) & (out["failed"] >= LEAST)
    return out


def shock(seeds: int = SEEDS, companies: int = COMPANIES) -> dict[str, Any]:
    """Return how the rules do on failing sections, over some draws of the economy."""
    hits: dict[str, list[int]] = {name: [] for name in (*RULES, "any")}
    missed, false, sections, leads, system = dict.fromkeys(hits, 0), dict.fromkeys(hits, 0), 0, [], []
    which = []
    for seed in range(seeds):
        world = meridia(companies, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            told = warnings_of(world, Path(folder) / "room")
        truth = failing(world)
        bad = truth[truth["failing"]]
        sections += len(bad)
        system += list(told["contagion"].values())
        every = {rule: {s: d for s, d in told[rule].items() if s != "_T"} for rule in RULES}
        every["any"] = {}
        for rule in RULES:
            for section, day in every[rule].items():
                every["any"][section] = min(day, every["any"].get(section, day))
        for rule, warned in every.items():
            early = {s: (bad.loc[s, "median"].date() - d).days for s, d in warned.items() if s in bad.index}
            early = {s: days for s, days in early.items() if days > 0}
            hits[rule] += early.values()
            missed[rule] += len(bad) - len(early)
            false[rule] += len(set(warned) - set(bad.index))
        which.append(
            {
                "failing": {str(s): round(100 * float(r["share"]), 1) for s, r in bad.iterrows()},
                "warned": {s: d.isoformat() for s, d in sorted(every["any"].items())},
            }
        )
        leads.append(len(every["any"]))
    return {
        "economies": seeds, "companies": companies, "failing sections": sections,
        **{
            f"rule {rule}": {
                "warned before the median failure": f"{len(hits[rule])} of {sections}",
                "median days before it": float(np.median(hits[rule])) if hits[rule] else None,
                "missed, or withheld": missed[rule], "other sections warned": false[rule],
            }
            for rule in hits
        },
        "economies with a warning of contagion": len(system),
        "by economy": which,
    }  # fmt: skip


def run(size: int | None = None) -> dict[str, Any]:
    """Print how Meridia's rules on cash and loans do in the shock, over `size` economies (5)."""
    begun = time.process_time()
    found = shock(size or SEEDS)
    out: dict[str, Any] = {"case": "meridia_shock", "size": found["economies"], "peer": "truth", "peer_s": None}
    return out | {"ratio": None, "ours_s": round(time.process_time() - begun, 1), "max_abs_diff": None} | found

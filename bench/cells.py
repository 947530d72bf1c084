"""Cell suppression of company tables: time, what is hidden, and which attacks succeed, beside pytauargus.

Companies with log-normal turnover in two hierarchical dimensions; rules (2, 85 %) dominance and fewer than three with
an interval of 20 %. The same independent attacker is held against every pattern, as the public, as each contributor,
and as coalitions. The peer (EUPL) is run only where its interpreter is named: ``--peer PYTHON``, or the environment
variable ``OPSROOM_BENCH_PEER``.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from opsroom.protect.attack import attack, attack_insiders
from opsroom.protect.rules import Attackers, Rules
from opsroom.protect.table import ProtectedTable, protect_table

PEER = Path(__file__).with_name("_cells_peer.py")
RULES = Rules(min_contributors=3, dominance=((2, 85.0),), interval=20.0)
NARROW = 100 * (100 / 85 - 1)
"""Per cent that dominance alone asks of cells with fewer than three: the peer protects these so far and no further."""

LEVELS: tuple[Attackers, ...] = ("outsider", "contributor", "coalition")
SIZES = {"small": (3_000, (4, 5), (4, 6)), "middle": (20_000, (9, 7), (8, 7)), "large": (400_000, (25, 22), (12, 22))}
"""Companies, (sections, divisions of each), (regions, districts of each)."""

PATIENCE = 3_600
"""Seconds after which the peer is given up."""

Case = tuple[pd.DataFrame, dict[str, pd.DataFrame]]


def companies(name: str, *, seed: int = 1) -> Case:
    """Make companies, and the hierarchies of their table."""
    n, (sections, divisions), (regions, districts) = SIZES[name]
    rng = np.random.default_rng(seed)
    nace_share = rng.dirichlet(np.full(sections * divisions, 0.8))
    region_share = rng.dirichlet(np.full(regions * districts, 1.0))
    nace, region = rng.choice(len(nace_share), n, p=nace_share), rng.choice(len(region_share), n, p=region_share)
    frame = pd.DataFrame(
        {
            "nace": [f"{chr(65 + k // divisions)}{k % divisions:02d}" for k in nace],
            "region": [f"R{chr(65 + k // districts)}{chr(97 + k % districts)}" for k in region],
            "turnover": np.maximum(1, np.round(np.exp(rng.normal(4.0, 1.6, n)))).astype(np.int64),
        }
    )
    hierarchies = {}
    for column, length in (("nace", 1), ("region", 2)):
        codes = pd.Series(sorted(frame[column].unique()))
        hierarchies[column] = pd.DataFrame({"code": codes, "parent": codes.str[:length]})
    return frame, hierarchies


def run(size: int | None = None, *, large: bool = False, peer: str | None = None) -> dict[str, Any]:
    """Protect the tables against each kind of attacker, and attack each pattern.

    Parameters
    ----------
    size
        Seed of the companies.
    large
        Also about 100,000 cells.
    peer
        Interpreter in which pytauargus is installed.

    Returns
    -------
    dict
        By table and protector: wall and processor seconds to protect (with the certificate), number and value of the
        cells hidden besides, sensitive cells inside protection for the public (also inside the narrower interval that
        dominance alone asks for, to which the peer keeps), and attacks of contributors and of coalitions that succeed.
        ``ours_s`` and ``peer_s``: processor seconds on the small table, outsiders, MOD; both once code is loaded, which
        ``first call`` tells apart.
    """
    interpreter = peer or os.environ.get("OPSROOM_BENCH_PEER")
    found: dict[str, Any] = {}
    # The peer's clock starts once its code is loaded; ours is loaded by the first table.
    small, trees = companies("small", seed=size or 1)
    _, first_call = timed((small.head(200), trees), RULES)
    found["first call, 200 companies"] = first_call
    for name in SIZES if large else ("small", "middle"):
        case = companies(name, seed=size or 1)
        first: ProtectedTable | None = None
        for attackers in LEVELS:
            rules = replace(RULES, attackers=attackers)
            table, took = timed(case, rules)
            first = first or table
            found[f"{name}: {attackers}"] = took | outcome(table)
            if name == "small" and attackers != "coalition":
                table, took = timed(case, rules, method="exact")
                found[f"{name}: {attackers}, exact"] = took | outcome(table) | {"gap": round(table.gap, 6)}
        table, took = timed(case, replace(RULES, attackers="outsider", interval=NARROW))
        found[f"{name}: outsider, narrow"] = took | outcome(table)
        for method in ("MOD(1)", "OPT(1)") if interpreter and name == "small" else ("MOD(1)",) if interpreter else ():
            if interpreter and first is not None:
                found[f"{name}: pytauargus {method}"] = against_peer(case, first, interpreter, method)
    ours = found["small: outsider"]
    theirs = found.get("small: pytauargus MOD(1)")
    return {
        "case": "cells",
        "size": size or 1,
        "ours_s": ours["cpu_s"],
        "peer": "pytauargus MOD(1)" if theirs and "cpu_s" in theirs else "pytauargus is absent or failed",
        "peer_s": theirs.get("cpu_s") if theirs else None,
        "ratio": round(theirs["cpu_s"] / ours["cpu_s"], 3) if theirs and "cpu_s" in theirs else None,
        "max_abs_diff": None,
        **found,
    }


def timed(
    case: Case, rules: Rules, *, method: Literal["fast", "exact"] = "fast"
) -> tuple[ProtectedTable, dict[str, Any]]:
    """Protect the table of a case; return it and how long it took."""
    micro, hierarchies = case
    wall, cpu = time.perf_counter(), time.process_time()
    made = protect_table(
        micro,
        dimensions=["nace", "region"],
        measure="turnover",
        unit="EUR",
        hierarchies=hierarchies,
        rules=rules,
        method=method,
    )
    return made, {"s": round(time.perf_counter() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2)}


def outcome(table: ProtectedTable) -> dict[str, Any]:
    """Say what is hidden, and hold every attacker against the pattern."""
    cpu = time.process_time()
    second = table.hidden & ~table.sensitive
    public = attack(table, rules=table.rules, bounds="protection")
    narrow = attack(table, rules=replace(table.rules, interval=NARROW), bounds="protection")
    insiders = attack_insiders(table, rules=replace(table.rules, attackers="coalition"))
    members = insiders.to_frame()["attackers"].map(len)
    return {
        "cells": len(table.hidden),
        "sensitive": int(table.sensitive.sum()),
        "secondary": int(second.sum()),
        "unsettled": table.unsettled,
        "hidden_value": round(float(np.abs(table.tabulation.value[second]).sum())),
        "inside_public": public.inside,
        "inside_public_narrow": narrow.inside,
        "attacks_contributor": int((members == 1).sum()),
        "attacks_coalition": int((members > 1).sum()),
        "attack_cpu_s": round(time.process_time() - cpu, 2),
    }


def against_peer(case: Case, table: ProtectedTable, interpreter: str, method: str) -> dict[str, Any]:
    """Have the peer protect the same table, and attack its pattern with the same attackers."""
    micro, hierarchies = case
    with tempfile.TemporaryDirectory() as folder:
        micro.to_csv(Path(folder) / "micro.csv", index=False)
        for name, tree in hierarchies.items():
            lines = [
                line for up, part in tree.groupby("parent") for line in (str(up), *(f"@{c}" for c in part["code"]))
            ]
            (Path(folder) / f"{name}.hrc").write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [interpreter, str(PEER), folder, method]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return {"failed": f"not done after {PATIENCE} s"}
        if done.returncode:
            return {"failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no message"}
        took = json.loads(done.stdout.strip().splitlines()[-1])
        pattern = pd.read_csv(Path(folder) / "pattern.csv", dtype=str).set_index(["nace", "region"])["status"]
    status = pattern.reindex(pd.MultiIndex.from_tuples(table.tabulation.keys()))
    if status.isna().any() or not ((status == "U") == table.sensitive).all():
        return {"failed": "its sensitive cells are not ours"}
    theirs = replace(table, hidden=status.isin(["U", "M"]).to_numpy())
    return {k: round(v, 2) for k, v in took.items()} | outcome(theirs)

"""Relief: companies out of cash by the end of May, forecast on three days, against what the accounts then showed.

Rooms of Meridia with seeds that were not used in development. The peer is the naive forecast that nothing changes.
"""

from __future__ import annotations

import datetime as dt
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opsroom.economy import meridia
from opsroom.room.room import Room

SEEDS = range(3, 9)
DAYS = (dt.date(2020, 3, 4), dt.date(2020, 4, 1), dt.date(2020, 5, 6))
LAST, MONTH = dt.date(2020, 6, 24), "2020-05"
OPTION = "holiday_both"


def run(size: int | None = None) -> dict[str, Any]:
    """Forecast in rooms of each seed and compare with the outcome.

    Parameters
    ----------
    size
        Companies of a room; 4,000 by default.

    Returns
    -------
    dict
        By day: the median and range of the relative error, how many outcomes lay in the 90 % interval, and the
        naive forecast's median relative error; in per cent.
    """
    start = time.perf_counter()
    rows = [row for seed in SEEDS for row in _seed(seed, size or 4_000)]
    found: dict[str, Any] = {"case": "relief_forecast", "size": size or 4_000, "seeds": f"{SEEDS[0]} to {SEEDS[-1]}"}
    for day, part in pd.DataFrame(rows).groupby("day"):
        found |= {
            f"{day}_error": round(float(part["error"].abs().median()), 1),
            f"{day}_range": [round(float(x), 1) for x in (part["error"].min(), part["error"].max())],
            f"{day}_inside": f"{int(part['inside'].sum())} of {len(part)}",
            f"{day}_naive_error": round(float(part["naive"].abs().median()), 1),
        }
    return found | {"ours_s": round(time.perf_counter() - start, 1), "peer": "nothing changes", "peer_s": None}


def _seed(seed: int, companies: int) -> list[dict[str, Any]]:
    world = meridia(companies=companies, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        head, *desks = re.split(r"(?=\[\[desks\]\]\n)", world.room_settings())
        text = head + "".join(d for d in desks if 'kind = "resumption"' in d or 'kind = "relief"' in d)
        wanted = set(re.findall(r'^\w+ = "(\w+)"$', text, flags=re.MULTILINE))
        room = Room.create(Path(folder) / "room", settings=text, specs=world.specs().values(), actor="bench")
        for delivery in world.deliveries(until=LAST):
            if delivery.dataset in wanted:
                room.ingest(delivery.dataset, delivery.source, delivery.known_at)
        final = _out(room, LAST)
        return [_compared(room, day, final) for day in DAYS]


def _compared(room: Room, day: dt.date, final: pd.DataFrame) -> dict[str, Any]:
    found: Any = room.picture(day).desks["relief"].result
    path = found[1].path.set_index(["option", "section", "month"])
    row = path.loc[(OPTION, "_T", MONTH)]
    since = final[(final["month"] >= pd.Timestamp(day.replace(day=1))) & (final["month"] <= f"{MONTH}-01")]
    truth = since.loc[since["out"], "enterprise_id"].nunique()
    known = _out(room, day)
    naive = int(known.loc[known["month"] == known["month"].max(), "out"].sum())
    point = float(row["illiquid_companies"])
    return {
        "day": day,
        "error": 100.0 * (point / truth - 1.0),
        "inside": bool(row["illiquid_companies_lower"] <= truth <= row["illiquid_companies_upper"]),
        "naive": 100.0 * (naive / truth - 1.0),
    }


def _out(room: Room, day: dt.date) -> pd.DataFrame:
    """Return company months known on a day, of others than sole traders: whether the account shows no liquidity."""
    accounts = room.table("accounts", day).select("enterprise_id", "month", "cash", "undrawn_credit").to_pandas()
    register = room.table("register", day).select("enterprise_id", "legal_form").to_pandas()
    natural = set(register.loc[register["legal_form"] == "SOLE", "enterprise_id"])
    accounts = accounts[~accounts["enterprise_id"].isin(natural)]
    out = np.asarray(accounts["cash"] + accounts["undrawn_credit"] <= 0)
    return pd.DataFrame(
        {"enterprise_id": accounts["enterprise_id"], "month": pd.to_datetime(accounts["month"]), "out": out}
    )

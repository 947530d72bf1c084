"""The planner's exam on Meridia: the map with intervals, and processor seconds."""

from __future__ import annotations

import time
from typing import Any

from opsroom.room.exam import meridia_exam


def run(size: int | None = None) -> dict[str, Any]:
    """Run the exam over `size` seeds (30)."""
    start = time.process_time()
    found = meridia_exam(seeds=size or 30)
    spent = time.process_time() - start
    return {"case": "exam", "size": found.seeds, "ours_s": round(spent, 1), "peer": None, **found.to_dict()}

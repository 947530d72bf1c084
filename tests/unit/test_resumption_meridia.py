"""Work resumption against Meridia's truth, over seeds."""

from __future__ import annotations

import fcntl
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def scoring(checkout: Path) -> ModuleType:
    """The benchmark's scoring, which lives outside the package."""
    spec = importlib.util.spec_from_file_location("bench_resumption", checkout / "bench" / "resumption.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _holds(scores: pd.DataFrame) -> None:
    """Check what must hold in every world, from the first week after the holiday on."""
    assert scores["mae"].max() <= 2
    assert scores["cell_mae"].max() <= 5
    assert scores["turning_days"].abs().max() <= 3
    assert scores["weekday_spread"].max() <= 1
    assert scores["before_worst"].max() <= 2  # who winds down over a weekend has not closed for it
    assert (scores["naive_mae"] > 10 * scores["mae"]).all()


def _hold_together(scores: pd.DataFrame) -> None:
    """Check what must hold on average over worlds."""
    assert 0.85 <= scores["cell_coverage"].mean() <= 0.97
    assert scores["said_mae"].mean() <= 2


def test_one_world(scoring: ModuleType) -> None:
    """One on every push; twenty together in the long run."""
    scores = pd.DataFrame([scoring.score(2000, 0)])
    _holds(scores)
    _hold_together(scores)
    assert scores["coverage"].mean() >= 0.8  # days of one world go together: of twenty the mean is held closer


SEEDS = range(20)


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of a run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "worlds"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", SEEDS)
def test_twenty_worlds(scoring: ModuleType, seed: int, worlds: Path) -> None:
    """Score one of twenty worlds; whoever comes last, on whichever worker, looks at all of them together.

    Measured at 2,500 companies: MAE 0.6 points, coverage 94 %; region by size 2.4 points and 94 %.
    """
    score = scoring.score(2500, seed)
    with (worlds / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (worlds / f"{seed}.json").write_text(json.dumps(score))
        scores = pd.DataFrame([json.loads(file.read_text()) for file in sorted(worlds.glob("*.json"))])
    _holds(pd.DataFrame([score]))
    if len(scores) == len(SEEDS):
        _holds(scores)
        _hold_together(scores)
        assert 0.85 <= scores["coverage"].mean() <= 0.97
        assert abs(float(scores["bias"].mean())) <= 1

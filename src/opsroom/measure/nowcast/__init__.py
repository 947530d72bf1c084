"""Nowcast: growth of the quarter that is not published yet, from everything that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsroom.measure.nowcast.engine import nowcast
    from opsroom.measure.nowcast.news import News
    from opsroom.measure.nowcast.releases import Lags, NextRelease, learn_lags
    from opsroom.measure.nowcast.replay import Backtest, backtest, first_growth
    from opsroom.measure.nowcast.results import NowcastResult, QuarterNowcast
    from opsroom.measure.nowcast.spec import SeriesSpec, Settings

_HOME = {
    "Backtest": "replay",
    "Lags": "releases",
    "News": "news",
    "NextRelease": "releases",
    "NowcastResult": "results",
    "QuarterNowcast": "results",
    "SeriesSpec": "spec",
    "Settings": "spec",
    "backtest": "replay",
    "first_growth": "replay",
    "learn_lags": "releases",
    "nowcast": "engine",
}

__all__ = [
    "Backtest",
    "Lags",
    "News",
    "NextRelease",
    "NowcastResult",
    "QuarterNowcast",
    "SeriesSpec",
    "Settings",
    "backtest",
    "first_growth",
    "learn_lags",
    "nowcast",
]


def __getattr__(name: str) -> Any:  # a lazy export may be anything
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{_HOME[name]}")

    globals()[name] = getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    return __all__

"""Nowcast: growth of the quarter that is not published yet, from everything that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.measure.nowcast.dfm.backtest import backtest
    from opsroom.measure.nowcast.dfm.model import DynamicFactorModel, FittedFactorModel, from_statsmodels, loglike
    from opsroom.measure.nowcast.dfm.news import NewsResult
    from opsroom.measure.nowcast.dfm.parameters import FactorParameters
    from opsroom.measure.nowcast.dfm.robust import Robust
    from opsroom.measure.nowcast.dfm.scoring import BacktestResult
    from opsroom.measure.nowcast.engine import nowcast
    from opsroom.measure.nowcast.fine.model import FittedFineModel
    from opsroom.measure.nowcast.fine.parameters import FineParameters
    from opsroom.measure.nowcast.news import News
    from opsroom.measure.nowcast.releases import Lags, NextRelease, learn_lags
    from opsroom.measure.nowcast.replay import Backtest, first_growth, rehearse
    from opsroom.measure.nowcast.results import NowcastResult, QuarterNowcast
    from opsroom.measure.nowcast.spec import SeriesSpec, Settings

_HOMES = {
    "Backtest": ".replay",
    "BacktestResult": ".dfm.scoring",
    "DynamicFactorModel": ".dfm.model",
    "FactorParameters": ".dfm.parameters",
    "FineParameters": ".fine.parameters",
    "FittedFactorModel": ".dfm.model",
    "FittedFineModel": ".fine.model",
    "Lags": ".releases",
    "News": ".news",
    "NewsResult": ".dfm.news",
    "NextRelease": ".releases",
    "NowcastResult": ".results",
    "QuarterNowcast": ".results",
    "Robust": ".dfm.robust",
    "SeriesSpec": ".spec",
    "Settings": ".spec",
    "backtest": ".dfm.backtest",
    "first_growth": ".replay",
    "from_statsmodels": ".dfm.model",
    "learn_lags": ".releases",
    "loglike": ".dfm.model",
    "nowcast": ".engine",
    "rehearse": ".replay",
}

__all__ = [
    "Backtest",
    "BacktestResult",
    "DynamicFactorModel",
    "FactorParameters",
    "FineParameters",
    "FittedFactorModel",
    "FittedFineModel",
    "Lags",
    "News",
    "NewsResult",
    "NextRelease",
    "NowcastResult",
    "QuarterNowcast",
    "Robust",
    "SeriesSpec",
    "Settings",
    "backtest",
    "first_growth",
    "from_statsmodels",
    "learn_lags",
    "loglike",
    "nowcast",
    "rehearse",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)

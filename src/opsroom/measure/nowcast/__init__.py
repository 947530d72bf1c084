"""Nowcast: growth of the quarter that is not published yet, from everything that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.measure.nowcast.beside.autoregression import Autoregression
    from opsroom.measure.nowcast.beside.bridge import Bridge
    from opsroom.measure.nowcast.beside.bvar import MixedBvar
    from opsroom.measure.nowcast.beside.midas import Midas
    from opsroom.measure.nowcast.beside.pool import PoolResult, pool
    from opsroom.measure.nowcast.beside.result import Forecast
    from opsroom.measure.nowcast.calendar import first_seen, pseudo_vintages, vintage_lags, vintages_from
    from opsroom.measure.nowcast.dfm.backtest import backtest
    from opsroom.measure.nowcast.dfm.model import DynamicFactorModel, FittedFactorModel, from_statsmodels, loglike
    from opsroom.measure.nowcast.dfm.news import NewsResult
    from opsroom.measure.nowcast.dfm.parameters import FactorParameters
    from opsroom.measure.nowcast.dfm.robust import Robust
    from opsroom.measure.nowcast.dfm.scoring import BacktestResult
    from opsroom.measure.nowcast.engine import Learnt, learn, nowcast
    from opsroom.measure.nowcast.fine.model import FittedFineModel
    from opsroom.measure.nowcast.fine.parameters import FineParameters
    from opsroom.measure.nowcast.fred import FredPanel, read_fred, stationary, without_outliers
    from opsroom.measure.nowcast.model_toml import read_model, write_model
    from opsroom.measure.nowcast.news import News
    from opsroom.measure.nowcast.releases import Lags, NextRelease, learn_lags
    from opsroom.measure.nowcast.replay import Backtest, first_growth, rehearse
    from opsroom.measure.nowcast.results import NowcastResult, QuarterNowcast
    from opsroom.measure.nowcast.revisions.efficiency import efficiency
    from opsroom.measure.nowcast.revisions.model import RevisionModel
    from opsroom.measure.nowcast.revisions.results import FittedRevisions, RevisionForecast, revise
    from opsroom.measure.nowcast.revisions.triangle import release_triangle
    from opsroom.measure.nowcast.rhythm import learning_days
    from opsroom.measure.nowcast.spec import SeriesSpec, Settings
    from opsroom.measure.nowcast.targets import Targeted, choose_series, targeted
    from opsroom.measure.nowcast.vintage import FineVintage

_HOMES = {
    "Autoregression": ".beside.autoregression",
    "Backtest": ".replay",
    "BacktestResult": ".dfm.scoring",
    "Bridge": ".beside.bridge",
    "DynamicFactorModel": ".dfm.model",
    "FactorParameters": ".dfm.parameters",
    "FineParameters": ".fine.parameters",
    "FineVintage": ".vintage",
    "FittedFactorModel": ".dfm.model",
    "FittedRevisions": ".revisions.results",
    "FredPanel": ".fred",
    "Forecast": ".beside.result",
    "FittedFineModel": ".fine.model",
    "Lags": ".releases",
    "Learnt": ".engine",
    "Midas": ".beside.midas",
    "MixedBvar": ".beside.bvar",
    "News": ".news",
    "NewsResult": ".dfm.news",
    "NextRelease": ".releases",
    "NowcastResult": ".results",
    "PoolResult": ".beside.pool",
    "QuarterNowcast": ".results",
    "RevisionForecast": ".revisions.results",
    "RevisionModel": ".revisions.model",
    "Robust": ".dfm.robust",
    "SeriesSpec": ".spec",
    "Settings": ".spec",
    "Targeted": ".targets",
    "backtest": ".dfm.backtest",
    "choose_series": ".targets",
    "efficiency": ".revisions.efficiency",
    "first_growth": ".replay",
    "first_seen": ".calendar",
    "from_statsmodels": ".dfm.model",
    "learn": ".engine",
    "learn_lags": ".releases",
    "learning_days": ".rhythm",
    "loglike": ".dfm.model",
    "nowcast": ".engine",
    "pseudo_vintages": ".calendar",
    "read_fred": ".fred",
    "read_model": ".model_toml",
    "pool": ".beside.pool",
    "rehearse": ".replay",
    "release_triangle": ".revisions.triangle",
    "revise": ".revisions.results",
    "stationary": ".fred",
    "targeted": ".targets",
    "vintage_lags": ".calendar",
    "vintages_from": ".calendar",
    "without_outliers": ".fred",
    "write_model": ".model_toml",
}

__all__ = [
    "Autoregression",
    "Backtest",
    "BacktestResult",
    "Bridge",
    "DynamicFactorModel",
    "FactorParameters",
    "FineParameters",
    "FineVintage",
    "FittedFactorModel",
    "FittedFineModel",
    "FittedRevisions",
    "Forecast",
    "FredPanel",
    "Lags",
    "Learnt",
    "Midas",
    "MixedBvar",
    "News",
    "NewsResult",
    "NextRelease",
    "NowcastResult",
    "PoolResult",
    "QuarterNowcast",
    "RevisionForecast",
    "RevisionModel",
    "Robust",
    "SeriesSpec",
    "Settings",
    "Targeted",
    "backtest",
    "choose_series",
    "efficiency",
    "first_growth",
    "first_seen",
    "from_statsmodels",
    "learn",
    "learn_lags",
    "learning_days",
    "loglike",
    "nowcast",
    "pool",
    "pseudo_vintages",
    "read_fred",
    "read_model",
    "rehearse",
    "release_triangle",
    "revise",
    "stationary",
    "targeted",
    "vintage_lags",
    "vintages_from",
    "without_outliers",
    "write_model",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)

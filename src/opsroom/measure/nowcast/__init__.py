"""Nowcast: growth of the quarter that is not published yet, from everything that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.measure.nowcast.calendar import first_seen, pseudo_vintages, vintages_from
    from opsroom.measure.nowcast.dfm.backtest import backtest
    from opsroom.measure.nowcast.dfm.model import DynamicFactorModel, FittedFactorModel, from_statsmodels, loglike
    from opsroom.measure.nowcast.dfm.news import NewsResult
    from opsroom.measure.nowcast.dfm.parameters import FactorParameters
    from opsroom.measure.nowcast.dfm.robust import Robust
    from opsroom.measure.nowcast.dfm.scoring import BacktestResult
    from opsroom.measure.nowcast.engine import nowcast
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
    from opsroom.measure.nowcast.spec import SeriesSpec, Settings
    from opsroom.measure.nowcast.targets import Targeted, choose_series, targeted

_HOMES = {
    "Backtest": ".replay",
    "BacktestResult": ".dfm.scoring",
    "DynamicFactorModel": ".dfm.model",
    "FactorParameters": ".dfm.parameters",
    "FittedFactorModel": ".dfm.model",
    "FittedRevisions": ".revisions.results",
    "FredPanel": ".fred",
    "Lags": ".releases",
    "News": ".news",
    "NewsResult": ".dfm.news",
    "NextRelease": ".releases",
    "NowcastResult": ".results",
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
    "learn_lags": ".releases",
    "loglike": ".dfm.model",
    "nowcast": ".engine",
    "pseudo_vintages": ".calendar",
    "read_fred": ".fred",
    "read_model": ".model_toml",
    "rehearse": ".replay",
    "release_triangle": ".revisions.triangle",
    "revise": ".revisions.results",
    "stationary": ".fred",
    "targeted": ".targets",
    "vintages_from": ".calendar",
    "without_outliers": ".fred",
    "write_model": ".model_toml",
}

__all__ = [
    "Backtest",
    "BacktestResult",
    "DynamicFactorModel",
    "FactorParameters",
    "FittedFactorModel",
    "FittedRevisions",
    "FredPanel",
    "Lags",
    "News",
    "NewsResult",
    "NextRelease",
    "NowcastResult",
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
    "learn_lags",
    "loglike",
    "nowcast",
    "pseudo_vintages",
    "read_fred",
    "read_model",
    "rehearse",
    "release_triangle",
    "revise",
    "stationary",
    "targeted",
    "vintages_from",
    "without_outliers",
    "write_model",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)

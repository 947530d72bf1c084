"""Early warning judged: how often an indicator was right, how often wrong, and how sure one can be of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.warn.early_warning.bootstrap import Blocks, interval
    from opsroom.warn.early_warning.evaluation import EvaluationResult, Sample, evaluate, lead_times
    from opsroom.warn.early_warning.events import spells
    from opsroom.warn.early_warning.labels import Labels, Rule, label
    from opsroom.warn.early_warning.logit import LogitFit, fit_logit
    from opsroom.warn.early_warning.measures import (
        Best,
        Confusion,
        Roc,
        auroc,
        best_threshold,
        confusion,
        partial_auroc,
        roc,
    )
    from opsroom.warn.early_warning.out_of_sample import RecursiveResult, recursive
    from opsroom.warn.early_warning.track import TrackRecord, track_record

_HOMES = {
    "Best": ".measures",
    "Blocks": ".bootstrap",
    "Confusion": ".measures",
    "EvaluationResult": ".evaluation",
    "Labels": ".labels",
    "LogitFit": ".logit",
    "RecursiveResult": ".out_of_sample",
    "Roc": ".measures",
    "Rule": ".labels",
    "Sample": ".evaluation",
    "TrackRecord": ".track",
    "auroc": ".measures",
    "best_threshold": ".measures",
    "confusion": ".measures",
    "evaluate": ".evaluation",
    "fit_logit": ".logit",
    "interval": ".bootstrap",
    "label": ".labels",
    "lead_times": ".evaluation",
    "partial_auroc": ".measures",
    "recursive": ".out_of_sample",
    "roc": ".measures",
    "spells": ".events",
    "track_record": ".track",
}

__all__ = [
    "Best",
    "Blocks",
    "Confusion",
    "EvaluationResult",
    "Labels",
    "LogitFit",
    "RecursiveResult",
    "Roc",
    "Rule",
    "Sample",
    "TrackRecord",
    "auroc",
    "best_threshold",
    "confusion",
    "evaluate",
    "fit_logit",
    "interval",
    "label",
    "lead_times",
    "partial_auroc",
    "recursive",
    "roc",
    "spells",
    "track_record",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)

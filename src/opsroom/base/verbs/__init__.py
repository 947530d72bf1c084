"""Verbs: the narrow layer over Ibis that methods on microdata speak.

Each verb takes Ibis tables and plain values and returns an Ibis table, lowered to SQL that gives the same answer,
bit by bit, on DuckDB and Spark: whole numbers are int64 minor units, sums are of whole numbers only, means and
shares divide once, quantiles are exact, every denominator is guarded, nulls stand last, published figures are
rounded by one rule. What verbs compute row by row are `Expression` trees of plain data.

======================  ==========================================================================================
rows and columns        `select`, `rename`, `where`, `derive`, `distinct`, `order`, `union`, `bucket`, `classify`,
                        `companies`
two tables              `join`, `as_of_join`, `latest_vintage`, `revisions`
groups                  `group`, `group_sum`, `quantile`, `pivot`, `unpivot`
neighbours              `window`, `rolling`, `shares`, `fill_forward`
contributors            `contributions`, `top_contributions`, `concentration`, `parts`
out                     `publish`, `collect`, `map_units`
======================  ==========================================================================================
"""

from __future__ import annotations

from opsroom.base.verbs.collect import collect
from opsroom.base.verbs.contributions import concentration, contributions, parts, top_contributions
from opsroom.base.verbs.expressions import Expression, col, if_else, lit, safe_divide
from opsroom.base.verbs.groups import group, group_sum, pivot, quantile, unpivot
from opsroom.base.verbs.joins import as_of_join, join, latest_vintage, revisions
from opsroom.base.verbs.rows import (
    bucket,
    classify,
    companies,
    derive,
    distinct,
    order,
    publish,
    rename,
    select,
    union,
    where,
)
from opsroom.base.verbs.units import Kernel, map_units
from opsroom.base.verbs.windows import fill_forward, rolling, shares, window

__all__ = [
    "Expression",
    "Kernel",
    "as_of_join",
    "bucket",
    "classify",
    "col",
    "collect",
    "companies",
    "concentration",
    "contributions",
    "derive",
    "distinct",
    "fill_forward",
    "group",
    "group_sum",
    "if_else",
    "join",
    "latest_vintage",
    "lit",
    "map_units",
    "order",
    "parts",
    "pivot",
    "publish",
    "quantile",
    "rename",
    "revisions",
    "rolling",
    "safe_divide",
    "select",
    "shares",
    "top_contributions",
    "union",
    "unpivot",
    "where",
    "window",
]

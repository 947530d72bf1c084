"""The English catalogue: what the gate withholds."""

from __future__ import annotations

from typing import Final

HIDDEN: Final[dict[str, str]] = {
    "story.withheld": "Withheld here, for they could betray single companies: {figures}.",
    "words.withheld_at_work": "the share of companies at work",
    "words.withheld_sme": "the share of small and medium-sized companies at work",
    "words.withheld_jobs": "the share weighted by jobs",
    "words.withheld_sales": "the share weighted by sales",
    "words.withheld_capacity": "use of electricity against normal",
    "words.withheld_coverage": "how many companies the figure rests on",
    "words.withheld_change": "what moved the figure since the release before",
    "words.withheld_arrears": "the state of all company loans",
    "words.withheld_liquidity": "jobs at companies short of cash",
    "words.withheld_none": "what happens without action",
    "words.withheld_classes": "whom an option saves",
    "words.withheld_deferred": "what an option defers and needs",
    "words.withheld_losses": "expected losses of some who bear them",
    "words.withheld_contingent": "the contingent liability",
    "fig.change.finding_hidden": "{total} points since the last release; how much of it is activity is withheld",
    "fig.use.finding_hidden": "Electricity use moved by {total} % in a week; how much of it is activity is withheld",
    "page.card_withheld": "Nothing of this can be shown on this day: every figure of it could betray a single company.",
}

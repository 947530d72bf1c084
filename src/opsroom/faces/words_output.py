"""The English catalogue: what the story says of the nowcast, and figures of how a shock travels."""

# ruff: noqa: E501 - a message is one line, as in a catalogue of translators

from __future__ import annotations

from typing import Final

OUTPUT: Final[dict[str, str]] = {
    "story.nowcast": "GDP in {quarter} is put at {growth} on the quarter before, not annualised (90 % interval {interval}).",
    "story.nowcast_ar1": "A model that knows only past GDP would say {ar1}.",
    "story.nowcast_pool": "The room's models together, each weighed by how it has done over {n} past quarters, say {pool} (90 % interval {interval}); the largest weight ({share}) goes to {first}.",
    "story.nowcast_pool.one": "The room's models together, each weighed by how it has done over one past quarter, say {pool} (90 % interval {interval}); the largest weight ({share}) goes to {first}.",
    "story.nowcast_pool_news": "Together they said {before} the release before: of the change, {own} points are the news of the factor model, as far as it counts, and {others} points what the other models and the weights changed.",
    "story.nowcast_pooled": "That is what the room's models say together, each weighed by how it has done over {n} past quarters; the largest weight ({share}) goes to {first}.",
    "story.nowcast_pooled.one": "That is what the room's models say together, each weighed by how it has done over one past quarter; the largest weight ({share}) goes to {first}.",
    "story.nowcast_model": "The factor model alone says {model} (90 % interval {interval}).",
    "story.nowcast_before": "The release before, on {date}, said {before}.",
    "story.nowcast_news": "The news that moved it most came from {series} ({contribution} points).",
    "story.nowcast_parameters": "Estimating the model anew moved it most ({contribution} points).",
    "story.nowcast_weights": "Weighing outliers anew, in the light of the new data, moved it most ({contribution} points).",
    "story.nowcast_models": "What the bridge equations and past GDP say moved it most ({contribution} points).",
    "story.nowcast_shares": "Weighing the models anew moved it most ({contribution} points).",
    "story.nowcast_next": "The next data that can move it: {series}, on {date}.",
    "fig.propagation.finding": "Output on {at}, of before: {ends}",
    "fig.propagation.unit": "output of all sections, per cent of before the shock; the band is of the first scenario: {name}",
    "fig.sections_made.finding": "{name} makes {output} of before, the least; none stands still for want of inputs",
    "fig.sections_made.finding_inputs": "{name} makes {output} of before, the least; sections short of inputs within the last four weeks: {n}",
    "fig.sections_made.unit": "output by section, per cent of before; hollow: at the end of the horizon if restrictions stay",
    "fig.regions_made.finding": "{scenario}: on {at} {name} makes {output} of before, the least of the regions, {best} {most}",
    "fig.regions_made.unit": "output by region, per cent of before; {name}, with the interval of drawn assumptions; hollow: {other}",
    "fig.regions_made.unit_one": "output by region, per cent of before; {name}, with the interval of drawn assumptions",
    "fig.daily_made.finding": "On {at} all sections together make {whole} of before, {name} makes least: {least}",
    "fig.daily_made.unit": "output day by day, per cent of before: the whole, and the sections and regions that make least and most at the end; {name}",
    "chart.whole": "all sections and regions",
    "fact.scenario_sources": "Scenarios from files",
}

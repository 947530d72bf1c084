"""Meridia's ``room.toml``."""

from __future__ import annotations

from typing import Final

from opsroom.economy.load import LOAD_FIRST
from opsroom.economy.scenario import Scenario
from opsroom.economy.sectors import REGION_NAMES
from opsroom.economy.surroundings import FIXED, with_new_years_from

DISCLAIMER: Final = (
    "Meridia does not exist. Every company, figure and decision on this page is made by a computer. "
    "It shows that the machinery works, not that a policy does."
)

_TEXT: Final = """schema_version = 1

[room]
title = "Meridia"
country = "Meridia (synthetic)"
timezone = "Europe/Vienna"
engine = "duckdb"
synthetic = true
disclaimer = "{disclaimer}"
licence = "synthetic data, free to use"

[publish]
cadence = "weekly"
weekday = "wednesday"
first = 2020-01-22
last = 2020-06-24

[rules]
profile = "business"
min_contributors = 3
dominance = [[1, 75], [2, 85]]
p_percent = 10

[cohort]
day = {cohort}

[holiday]
name = "New Year"
start = {start}
end = {end}

{regions}
[[desks]]
kind = "resumption"
register = "register"
establishments = "establishments"
meter_links = "meter_links"
meters = "meters"
weather = "weather"
calendar = "calendar"
restrictions = "restrictions"
telework = "telework"

[[desks]]
kind = "events"
restrictions = "restrictions"

[[desks]]
kind = "restriction"
dataset = "restrictions"
weeks = 30

[[desks]]
kind = "activity"
name = "electricity"
title = "Electricity use"
dataset = "load_d"
value = "mwh"
temperature = "temp_dc"
train = [["2015-01-01", "2018-12-31"]]
freq = "W"
holidays = [
{holidays}
]

[[desks]]
kind = "nowcast"
datasets = ["macro_q", "macro_m"]
target = "gdp"
backtest_from = "2013-Q1"
step_days = 46
series = [
  {{name = "gdp", frequency = "Q", transform = "pch", category = "Output", title = "GDP", \
publication_lag_days = 45}},
  {{name = "industrial_production", transform = "pch", category = "Output", title = "Industrial production"}},
  {{name = "retail_sales", transform = "pch", category = "Demand", title = "Retail sales"}},
  {{name = "exports", transform = "pch", category = "Trade", title = "Exports"}},
  {{name = "imports", transform = "pch", category = "Trade", title = "Imports"}},
  {{name = "pmi", transform = "lin", category = "Surveys", title = "Purchasing managers"}},
  {{name = "unemployment", transform = "chg", category = "Labour", title = "Unemployment rate"}},
  {{name = "electricity_total", transform = "pch", category = "Output", title = "Electricity, total"}},
  {{name = "card_payments", transform = "pch", category = "Demand", title = "Card payments"}},
]
activity = [
  {{desk = "electricity", series = "business", name = "activity_business", category = "Output", \
title = "Activity by electricity, business", publication_lag_days = 2}},
]

[[desks]]
kind = "flows"
dataset = "flows_w"
calendar = "calendar"
flows = [
  {{name = "trade", kind = "goods", title = "Trade in goods"}},
  {{name = "trips", kind = "people", title = "Passenger trips"}},
  {{name = "capital_in", kind = "capital", title = "Capital coming in"}},
  {{name = "capital_out", kind = "capital", title = "Capital going out"}},
  {{name = "data_traffic", kind = "data", title = "Data traffic"}},
]

[[desks]]
kind = "exuberance"
dataset = "macro_q"
ratios = [
  {{name = "price_to_rent", title = "House prices to rents", price = "house_price", fundamental = "rent"}},
  {{name = "price_to_income", title = "House prices to incomes", price = "house_price", fundamental = "income"}},
]

[[desks]]
kind = "credit_regions"
dataset = "macro_q"
credit = "credit"
output = "income"
national_output = "gdp_nominal"

[[desks]]
kind = "loans"
loans = "loans"
register = "register"
collections = "collections"
accounts = "accounts"

[[desks]]
kind = "delays"
name = "arrears"
title = "Loans not paid for 90 days"
dataset = "loans"
register = "register"
by = "section"
counts = "loans 90 days or more past due"
at_least = {{days_past_due = 90}}
since = 2019-12-01
max_delay = 1

[[desks]]
kind = "contagion"
register = "register"
loans = "loans"
accounts = "accounts"
purchases = "links"
lenders = "lenders"
{groups}
[[desks]]
kind = "relief"
register = "register"
firm_months = "firm_months"
accounts = "accounts"
loans = "loans"
months = 3
horizon = 12
accrues = true

[[desks]]
kind = "bottlenecks"
firm_months = "firm_months"
register = "register"

[[desks]]
kind = "outcomes"
accounts = "accounts"
register = "register"

[[desks]]
kind = "allocation"
table = "io_table"
household = ["P3"]
other = ["P51", "P6"]
objectives = "objectives"

[desks.capacity]
series = "resumption.section"
measure = "capacity"
lower = "capacity_lower"
upper = "capacity_upper"
by = "section"
where = {{size = "_T"}}

[[desks]]
kind = "propagation"
table = "io_table"
household = ["P3"]
other = ["P51", "P6"]
restrictions = "restrictions"
labour_share = 0.6
stock_days = 20
critical = ["D", "E", "H"]
demand = {{G = 0.3, H = 0.4, I = 0.7, R = 0.7, S = 0.4}}
start = 2020-01-20
horizon_weeks = 13
scenarios = [
  {{name = "restrictions stay", lift_weeks = 0}},
  {{name = "lifted within eight weeks", lift_weeks = 8}},
  {{file = "second-wave.toml"}},
]
regions = {{dataset = "macro_q", series = "income"}}

[desks.measured_regions]
series = "resumption.region"
measure = "capacity"
by = "region"
where = {{size_class = "_T", weight = "sales"}}

[desks.measured]
series = "resumption.section"
measure = "capacity"
by = "section"
where = {{size = "_T"}}

[[desks]]
kind = "decisions"

[[desks]]
kind = "quality"

[[desks]]
kind = "scores"

[[desks]]
kind = "dependence"

[[desks]]
kind = "warnings"
rules = [
  {{name = "flows", title = "A flow far below its normal", series = "flows.weekly", measure = "gap", by = ["flow"], \
unit = "%", direction = "below", raise_at = -20, clear_at = -10, false_alarm_cost = "a day of staff time: \
flows return by themselves", levers = ["ask the customs and the border police what holds the flow up", \
"look at the companies that live by it: page Activity"], followed_by = {{series = "nowcast.gdp", measure = "growth", \
where = {{kind = "official"}}, by = [], direction = "below", raise_at = -1, within_days = 150, \
title = "GDP falls by 1 % in a quarter, as first published"}}}},
  {{name = "work", title = "Companies at work", series = "resumption.national", measure = "resumed", \
where = {{weight = "count", size = "_T"}}, by = [], unit = "%", direction = "below", raise_at = 70, clear_at = 80, \
false_alarm_cost = "relief prepared in vain: some weeks of a ministry's work", \
levers = ["prepare a payment holiday: page Overview, options", "shorten the deadline of the relief in force"], \
followed_by = {{series = "nowcast.gdp", measure = "growth", where = {{kind = "official"}}, by = [], \
direction = "below", raise_at = -1, within_days = 150, title = "GDP falls by 1 % in a quarter, as first published"}}}},
  {{name = "cash", title = "Jobs at companies with cash for less than thirty days", series = "liquidity.section", \
measure = "share_jobs", where = {{size = "_T"}}, by = ["section"], unit = "%", raise_at = 15, clear_at = 10, \
false_alarm_cost = "liquidity lent to who did not need it: it comes back with interest", \
levers = ["liquidity lines for the section", "a payment holiday for the section"], \
followed_by = {{series = "loans.section", measure = "z", by = ["section"], raise_at = 3, within_days = 180, \
title = "the section's loans not paid stand three deviations above their own history"}}}},
  {{name = "loans", title = "Loans not paid, against the section's own history", series = "loans.section", \
measure = "z", by = ["section"], unit = "deviations", raise_at = 3, clear_at = 2, \
false_alarm_cost = "a special examination of the lenders concerned", \
levers = ["ask lenders for their provisions by section", "a payment holiday for the section"], \
followed_by = {{series = "contagion.section", measure = "loans", where = {{section = "_T"}}, by = [], raise_at = 10, \
within_days = 120, title = "lenders would lose a tenth of their capital if those who cannot pay now failed"}}}},
  {{name = "contagion", title = "What lenders would lose if companies that cannot pay now failed", \
series = "contagion.section", measure = "loans", where = {{section = "_T"}}, by = [], unit = "% of capital", \
raise_at = 10, clear_at = 7, \
false_alarm_cost = "a special examination of the lenders, some weeks of a supervisor's work", \
levers = ["ask lenders whose losses would be largest for their plans of capital", \
"release the countercyclical buffer, so that credit is not withdrawn", "guarantees on new loans"], \
followed_by = {{series = "credit.region", measure = "by_credit", where = {{region = "_T"}}, by = [], \
direction = "below", raise_at = -5, within_days = 540, \
title = "credit falls 5 % behind its usual growth in two years"}}}},
  {{name = "growth", title = "Growth of the quarter under way", series = "nowcast.gdp", measure = "growth", \
where = {{kind = "nowcast"}}, by = [], unit = "%", direction = "below", raise_at = -1, clear_at = 0, \
false_alarm_cost = "a supplementary budget drafted in vain", levers = ["automatic stabilisers first", \
"see the options of relief"], followed_by = {{series = "nowcast.gdp", measure = "growth", \
where = {{kind = "official"}}, by = [], direction = "below", raise_at = -1, within_days = 150, \
title = "GDP falls by 1 % in a quarter, as first published"}}}},
  {{name = "exuberance-rents", title = "House prices run away from rents", series = "exuberance.ratios", \
measure = "doubt_boom", where = {{ratio = "price_to_rent"}}, by = ["region"], unit = "% doubt", direction = "below", \
raise_at = 5, clear_at = 50, false_alarm_cost = "mortgages refused to households that could have carried them", \
levers = ["a lower loan-to-value limit in the region", "a sectoral buffer on mortgages"], judged_by = {{series = \
"exuberance.ratios", measure = "fall", where = {{ratio = "price_to_rent"}}, raise_at = 10, horizon = [1, 20], \
title = "house prices fall to a tenth below their highest of three years"}}}},
  {{name = "exuberance-incomes", title = "House prices run away from incomes", series = "exuberance.ratios", \
measure = "doubt_boom", where = {{ratio = "price_to_income"}}, by = ["region"], unit = "% doubt", direction = "below", \
raise_at = 5, clear_at = 50, false_alarm_cost = "mortgages refused to households that could have carried them", \
levers = ["a lower loan-to-value limit in the region", "a sectoral buffer on mortgages"], judged_by = {{series = \
"exuberance.ratios", measure = "fall", where = {{ratio = "price_to_income"}}, raise_at = 10, horizon = [1, 20], \
title = "house prices fall to a tenth below their highest of three years"}}}},
  {{name = "credit-boom", title = "Credit grows away from incomes", series = "credit.region", measure = "by_credit", \
by = ["region"], unit = "%", raise_at = 15, clear_at = 10, false_alarm_cost = "loans refused to companies that would \
have paid them back", levers = ["the countercyclical buffer, or a sectoral one", \
"a debt-service limit in the region"], \
judged_by = {{series = "exuberance.ratios", measure = "fall", where = {{ratio = "price_to_rent"}}, raise_at = 10, \
horizon = [1, 20], \
title = "house prices fall to a tenth below their highest of three years"}}}},
  {{name = "shortage", title = "Orders that pile up", series = "bottlenecks.orders", measure = "backlog_months", \
by = ["section"], unit = "months of deliveries", raise_at = 2.5, clear_at = 2, false_alarm_cost = "a survey of the \
section's suppliers", levers = ["ask the section's association which inputs are missing", \
"a lane through the customs for them"], followed_by = {{series = "nowcast.gdp", measure = "growth", \
where = {{kind = "official"}}, by = [], direction = "below", raise_at = -1, within_days = 150, \
title = "GDP falls by 1 % in a quarter, as first published"}}}},
]
"""


SMALL = 10_000
"""Companies up to which most sections of the contagion study are withheld, so that groups of them are shown, too."""


def room_text(scenario: Scenario, companies: int) -> str:
    """Return the settings of Meridia's room under a scenario, with so many companies."""
    regions = "\n".join(
        f'[[regions]]\ncode = "{code}"\nname = "{name}"\nx = {x}\ny = {y}\n' for code, name, x, y in REGION_NAMES
    )
    longer = with_new_years_from(LOAD_FIRST.year, scenario)
    holidays = [f'  {{name = "{name}", yearly = "{month:02d}-{day:02d}"}},' for month, day, name in FIXED]
    holidays += [f'  {{name = "New Year", start = {h.start}, end = {h.end}}},' for h in longer.new_year]
    return _TEXT.format(
        groups='groups = "A3"\n' if companies <= SMALL else "",
        holidays="\n".join(holidays),
        disclaimer=DISCLAIMER,
        cohort=scenario.cohort_day.isoformat(),
        start=scenario.holiday.start.isoformat(),
        end=scenario.holiday.end.isoformat(),
        regions=regions,
    )

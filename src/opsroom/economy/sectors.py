"""Meridia's sections and divisions: illustrative parameters, one row each, with what they mean.

Codes are those of NACE Rev. 2; 63 of its 88 divisions are used. No number is an estimate for a real country;
docs/methods/economy.md gives sources for orders of magnitude where there are any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from opsroom.base.codes import SECTION_OF_DIVISION
from opsroom.economy.horizon import Floats, Ints


@dataclass(frozen=True, slots=True)
class Section:
    """Parameters of a section.

    Attributes
    ----------
    weight
        Share of companies, per mille.
    sales, wage
        A year's sales and wage bill per employee, thousand MER.
    materials, fixed, exports
        Variable costs, fixed costs other than wages, and exports, as shares of sales.
    remote
        Share of companies that can do business with empty premises.
    strict, fearful
        How strongly restrictions and fear close it (1: as the average).
    saturday, sunday, new_year
        Shares of companies open on Saturdays, on Sundays, through the New Year holiday.
    base
        Mean share of use on closed days in use on a working day.
    use
        Wh per employee and working day, thousand.
    heat
        Share of companies that heat with electricity.
    slump
        How strongly the slump of demand hits it.
    late_pay
        Share of sales paid for in a later month.
    capital
        Investment as a share of sales.
    """

    code: str
    weight: float
    sales: float
    wage: float
    materials: float
    fixed: float
    exports: float
    remote: float
    strict: float
    fearful: float
    saturday: float
    sunday: float
    new_year: float
    base: float
    use: float
    heat: float
    slump: float
    late_pay: float
    capital: float


_TABLE: Final = """
#   weight sales wage  mat  fix  exp  rem  strict fear  sat  sun  ny   base use  heat slump late cap
A     34   110   24   .52  .16  .12  .01  0.45  0.55  .70  .45  .60  .42  16   .25  .45  .35  .07
B      3   260   42   .48  .18  .30  .01  0.85  0.80  .60  .40  .25  .30  70   .20  .80  .60  .10
C    118   210   36   .62  .11  .38  .02  0.95  0.90  .40  .18  .08  .22  48   .22  .95  .62  .055
D      6   620   52   .60  .16  .06  .10  0.10  0.20  .90  .90  .95  .50  85   .20  .35  .50  .14
E     10   180   34   .42  .22  .05  .04  0.15  0.25  .80  .55  .70  .40  52   .20  .35  .45  .12
F    116   150   33   .60  .10  .03  .02  1.15  1.05  .45  .08  .02  .24   9   .35  .85  .65  .03
G    226   290   29   .76  .08  .10  .08  0.85  0.85  .80  .42  .18  .34  15   .30  .85  .30  .02
H     62   160   33   .55  .15  .22  .05  0.75  0.85  .65  .50  .40  .30  14   .22  .95  .50  .07
I     86    62   21   .40  .28  .10  .00  1.35  1.30  .92  .85  .30  .38  19   .40  1.35  .08  .04
J     48   170   52   .38  .16  .22  .62  0.95  0.95  .15  .10  .05  .34   9   .18  .45  .60  .05
K     24   330   60   .34  .20  .12  .58  0.75  0.85  .12  .04  .04  .32   8   .15  .35  .25  .03
L     50   190   36   .30  .34  .02  .22  0.95  0.90  .18  .08  .05  .40   8   .30  .60  .20  .10
M    112   115   46   .36  .16  .14  .52  0.95  0.95  .10  .05  .03  .30   7   .20  .50  .62  .03
N     58    98   27   .38  .16  .08  .16  1.00  1.00  .32  .20  .14  .30   7   .25  .95  .52  .05
O      6    70   38   .28  .12  .00  .45  0.45  0.55  .12  .08  .12  .34   9   .20  .20  .10  .05
P     18    46   34   .22  .20  .03  .35  1.35  1.15  .15  .05  .00  .32   8   .35  .55  .08  .04
Q     44    72   36   .26  .16  .01  .05  0.25  0.45  .60  .45  .45  .38  13   .25  .45  .20  .05
R     28    60   25   .34  .28  .06  .04  1.45  1.30  .75  .70  .25  .40  15   .35  1.30  .08  .06
S     48    50   23   .34  .26  .01  .06  1.20  1.15  .70  .20  .08  .32   8   .35  .95  .10  .03
T      1    30   20   .20  .10  .00  .05  1.00  1.00  .50  .40  .20  .35   5   .30  .60  .05  .01
U      1    80   50   .25  .20  .00  .40  0.60  0.60  .10  .05  .05  .40   9   .20  .20  .05  .02
"""

_DIVISION_TABLE: Final = """
# div weight cold essential
01  70 .14 0.24
02  18 .00 0.10
03  12 .30 0.17
08 100 .00 0.03
10 120 .34 0.29
11  25 .16 0.10
13  30 .00 0.00
14  42 .00 0.00
16  50 .00 0.00
17  26 .00 0.08
18  60 .00 0.01
20  40 .06 0.13
21  12 .12 0.70
22  62 .00 0.03
23  52 .00 0.01
24  24 .00 0.07
25 170 .00 0.01
26  50 .02 0.04
27  46 .00 0.02
28 100 .00 0.02
29  30 .00 0.01
31  52 .00 0.00
33  70 .00 0.07
35 100 .00 0.95
36  40 .00 0.95
38  60 .00 0.85
41 320 .00 0.01
42 100 .00 0.04
43 580 .00 0.01
45 160 .00 0.06
46 340 .10 0.07
47 500 .26 0.17
49 620 .02 0.17
51  20 .00 0.21
52 250 .14 0.17
53 110 .00 0.55
55 300 .10 0.03
56 700 .30 0.03
58 100 .00 0.06
61 100 .00 0.85
62 560 .00 0.04
63 240 .00 0.04
64 420 .00 0.28
65 180 .00 0.17
66 400 .00 0.07
68 100 .00 0.02
69 300 .00 0.03
70 220 .00 0.02
71 280 .00 0.02
72  60 .04 0.06
73 140 .00 0.01
77 140 .00 0.02
78 130 .00 0.03
79 120 .00 0.01
81 360 .00 0.15
82 250 .00 0.03
84 100 .00 0.50
85 100 .00 0.01
86 100 .10 0.60
93 100 .02 0.00
96 100 .00 0.02
97 100 .00 0.00
99 100 .00 0.07
"""


def _rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.strip().splitlines() if not line.startswith("#")]


SECTIONS: Final = tuple(Section(row[0], *(float(v) for v in row[1:])) for row in _rows(_TABLE))
SECTION_CODES: Final = tuple(s.code for s in SECTIONS)
DIVISIONS: Final = tuple(row[0] for row in _rows(_DIVISION_TABLE))
"""The 63 divisions of Meridia."""

DIVISION_SECTION: Final[Ints] = np.array([SECTION_CODES.index(SECTION_OF_DIVISION[d]) for d in DIVISIONS])
COLD: Final[Floats] = np.array([float(row[2]) for row in _rows(_DIVISION_TABLE)])
"""Share of a division's companies with cold stores or processes that run whether they work or not."""

ESSENTIAL: Final[Floats] = np.array([float(row[3]) for row in _rows(_DIVISION_TABLE)])
"""Share of a division's companies that must work and may, whatever the restrictions."""


def column(name: str) -> Floats:
    """Return a parameter of all sections, in the order of `SECTION_CODES`."""
    return np.array([getattr(s, name) for s in SECTIONS], dtype=np.float64)


def _division_weights() -> Floats:
    within = np.array([float(row[1]) for row in _rows(_DIVISION_TABLE)])
    sums = np.bincount(DIVISION_SECTION, weights=within, minlength=len(SECTIONS))
    weights = within / sums[DIVISION_SECTION] * column("weight")[DIVISION_SECTION]
    normal: Floats = weights / weights.sum()
    return normal


DIVISION_WEIGHTS: Final[Floats] = _division_weights()
"""Share of companies by division."""

SIZES: Final = ("micro", "small", "medium", "large")
SIZE_WEIGHTS: Final = np.array([0.62, 0.27, 0.088, 0.022])
SIZE_FLOORS: Final = np.array([1, 10, 50, 250])

FORMS: Final = ("LTD", "PLC", "COOP", "PART", "STATE", "SOLE")

REGION_NAMES: Final = (
    ("R01", "Almare", 0, 1),
    ("R02", "Brisk Vale", 1, 0),
    ("R03", "Corvana", 2, 2),
    ("R04", "Dunmere", 1, 1),
    ("R05", "Eskholt", 2, 0),
    ("R06", "Farrow Coast", 0, 2),
    ("R07", "Galden", 3, 0),
    ("R08", "Hollin", 2, 1),
    ("R09", "Istravale", 3, 1),
    ("R10", "Jorunn", 3, 2),
    ("R11", "Kestrel Downs", 1, 2),
    ("R12", "Lindmark", 1, 3),
)
"""Code, name and place on the tile map. The names are fictional."""

REGION_WEIGHTS: Final = np.array([0.155, 0.085, 0.09, 0.12, 0.06, 0.105, 0.05, 0.085, 0.09, 0.04, 0.07, 0.05])
REGION_WARMTH: Final = np.array([1.5, -1.0, 0.8, 0.2, -2.2, 2.0, -3.0, 0.0, -0.6, -1.4, 1.0, -0.4])
"""Degrees above the national mean."""


def size_of(employees: Ints) -> Ints:
    """Return the size class (index into `SIZES`) of a number of employees."""
    return np.searchsorted(SIZE_FLOORS, employees, side="right") - 1

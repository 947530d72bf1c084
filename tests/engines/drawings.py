"""Drawn tables: for each verb, small inputs and the rows it gives. They run on every engine."""

# ruff: noqa: E501  # a drawn row stays on one line

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from opsroom.base.verbs import col, if_else, lit, safe_divide

from .questions import Ask, Frame, ask, drawn

DRAWN: dict[str, Drawn] = {}


@dataclass(frozen=True)
class Drawn:
    """A question about drawn tables and the answer it must have."""

    question: Ask
    tables: dict[str, Frame]
    expected: Frame
    ordered: bool = False


def spec(name: str, question: Ask, expected: str, *, ordered: bool = False, **tables: str) -> None:
    assert name not in DRAWN
    DRAWN[name] = Drawn(question, {n: drawn(t) for n, t in tables.items()}, drawn(expected), ordered)


def expression(name: str, tree: Any, inputs: str, expected: str) -> None:
    """Draw a table and one expression over it; the expected column is called r."""
    spec(name, ask("derive", "t", r=tree), expected, t=inputs)


# -- expressions ------------------------------------------------------------------------------

PAIRS = """
    a   b
    7   2
    -7  2
    7   -2
    -7  -2
    7   0
    -   2
    7   -
"""
WIDE = "a                    b\n9007199254740993     1\n-9007199254740993    7\n9223372036854775807  10"

expression("whole numbers are added, subtracted and multiplied exactly", col("a") * 2 - col("b") + 1,
           "a                    b\n4503599627370497  0\n-3  4",
           "a                    b  r\n4503599627370497  0  9007199254740995\n-3  4  -9")  # fmt: skip
expression("integer division rounds down; by zero it is null", col("a") // col("b"), PAIRS,
           "a b r\n7 2 3\n-7 2 -4\n7 -2 -4\n-7 -2 3\n7 0 -\n- 2 -\n7 - -")  # fmt: skip
expression("a rest has the sign of the divisor", col("a") % col("b"), PAIRS,
           "a b r\n7 2 1\n-7 2 1\n7 -2 -1\n-7 -2 -1\n7 0 -\n- 2 -\n7 - -")  # fmt: skip
expression("integer division is exact beyond 2^53", col("a") // col("b"), WIDE,
           "a b r\n9007199254740993 1 9007199254740993\n-9007199254740993 7 -1286742750677285\n"
           "9223372036854775807 10 922337203685477580")  # fmt: skip
expression("a quotient by zero or null is null, never infinite", safe_divide(col("a"), col("b")), PAIRS,
           "a b r\n7 2 3.5\n-7 2 -3.5\n7 -2 -3.5\n-7 -2 3.5\n7 0 -\n- 2 -\n7 - -")  # fmt: skip
expression("zero over zero is null", col("a") / col("b"), "a b\n0 0\n0 5", "a b r\n0 0 -\n0 5 0.0")
expression(
    "a sum of a whole and a broken number is broken",
    col("a") + col("x"),
    "a x\n1 0.5\n- 0.5",
    "a x r\n1 0.5 1.5\n- 0.5 -",
)
expression("the distance from zero", abs(col("a")) - (-col("a")), "a\n5\n-5\n-", "a r\n5 10\n-5 0\n- -")
expression("constants are int64 and float64, not narrower and not decimal", (lit(2**31 - 1) + 1).to_float() + (lit(0.1) + lit(0.2)) * col("a"),
           "a\n0\n10000000", "a r\n0 2147483648.0\n10000000 2150483648.0")  # fmt: skip
expression("a tenth and two tenths are not three tenths", lit(0.1) + lit(0.2) == lit(0.3), "a\n1", "a r\n1 no")

LOGIC = "p:bool q:bool\nyes yes\nyes no\nyes -\nno no\nno -\n- -"
expression("null and false is false", col("p") & col("q"), LOGIC,
           "p:bool q:bool r:bool\nyes yes yes\nyes no no\nyes - -\nno no no\nno - no\n- - -")  # fmt: skip
expression("null or true is true", col("p") | col("q"), LOGIC,
           "p:bool q:bool r:bool\nyes yes yes\nyes no yes\nyes - yes\nno no no\nno - -\n- - -")  # fmt: skip
expression(
    "the opposite of the unknown is unknown", ~col("p"), "p:bool\nyes\nno\n-", "p:bool r:bool\nyes no\nno yes\n- -"
)
expression(
    "a comparison with null is null",
    col("a") == col("b"),
    "a b\n1 1\n1 2\n- 1\n- -",
    "a b r\n1 1 yes\n1 2 no\n- 1 -\n- - -",
)
expression("texts compare by code point", col("a") < col("b"), "a b\nB a\nÄ a\nZ É\na aa\n10x 9x",
           "a b r\nB a yes\nÄ a no\nZ É yes\na aa yes\n10x 9x yes")  # fmt: skip
expression("a list does not hold null", col("a").is_in([1, 3]), "a\n1\n2\n-", "a r\n1 yes\n2 no\n- -")
expression("an empty list holds nothing", col("a").is_in([]), "a\n1\n-", "a r\n1 no\n- -")
expression("quotes, backslashes and letters of all kinds are plain text", col("a").is_in(["it's", "b\\n", 'q"q', "Ä😀"]),
           "a\nit's\nb\\n\nq\"q\nÄ😀\nn", "a r\nit's yes\nb\\n yes\nq\"q yes\nÄ😀 yes\nn no")  # fmt: skip
expression("between holds both ends", col("a").between(2, 3), "a\n1\n2\n3\n4\n-", "a r\n1 no\n2 yes\n3 yes\n4 no\n- -")
expression(
    "the first that is known", col("a").coalesce(col("b"), 0), "a b\n1 2\n- 2\n- -", "a b r\n1 2 1\n- 2 2\n- - 0"
)
expression("an unknown condition takes the other way", if_else(col("a") > 1, lit("big"), lit("small")), "a\n1\n2\n-",
           "a r\n1 small\n2 big\n- small")  # fmt: skip
expression("a constant moment has its zone", col("t") >= lit(dt.datetime(2020, 3, 4, 12, tzinfo=dt.timezone(dt.timedelta(hours=1)))),
           "t\n2020-03-04T11:00:00Z\n2020-03-04T10:59:59.999999Z",
           "t r\n2020-03-04T11:00:00Z yes\n2020-03-04T10:59:59.999999Z no")  # fmt: skip

HALVES = "x\n0.5\n1.5\n2.5\n-0.5\n-1.5\n-2.5\n2.4\n-2.6\n-"
expression("half goes to the even neighbour", col("x").round(0), HALVES,
           "x r\n0.5 0.0\n1.5 2.0\n2.5 2.0\n-0.5 0.0\n-1.5 -2.0\n-2.5 -2.0\n2.4 2.0\n-2.6 -3.0\n- -")  # fmt: skip
expression("half goes away from zero where asked", col("x").round(0, "half_away"), HALVES,
           "x r\n0.5 1.0\n1.5 2.0\n2.5 3.0\n-0.5 -1.0\n-1.5 -2.0\n-2.5 -3.0\n2.4 2.0\n-2.6 -3.0\n- -")  # fmt: skip
expression("what is written 1.005 lies below the half", col("x").round(2, "half_away"), "x\n1.005\n2.665\n-1.005\n1234567.125",
           "x r\n1.005 1.0\n2.665 2.67\n-1.005 -1.0\n1234567.125 1234567.13")  # fmt: skip
expression("a number beyond 2^52 is whole already", col("x").round(2), "x\n90071992547409.93\n-1.5e-300\n123456789012345678.0",
           "x r\n90071992547409.93 90071992547409.93\n-1.5e-300 0.0\n123456789012345678.0 123456789012345678.0")  # fmt: skip

DAYS = "d\n2020-02-29\n2020-12-31\n1969-12-31\n2021-01-01\n-"
expression("the month of a day", col("d").truncate("M"), DAYS,
           "d r\n2020-02-29 2020-02-01\n2020-12-31 2020-12-01\n1969-12-31 1969-12-01\n2021-01-01 2021-01-01\n- -")  # fmt: skip
expression("the week begins on Monday", col("d").truncate("W"), DAYS,
           "d r\n2020-02-29 2020-02-24\n2020-12-31 2020-12-28\n1969-12-31 1969-12-29\n2021-01-01 2020-12-28\n- -")  # fmt: skip
expression("the quarter of a day", col("d").truncate("Q"), DAYS,
           "d r\n2020-02-29 2020-01-01\n2020-12-31 2020-10-01\n1969-12-31 1969-10-01\n2021-01-01 2021-01-01\n- -")  # fmt: skip
expression("a month later, or its last day", col("d").shift(1, "M"), "d\n2020-01-31\n2019-01-31\n2020-02-29\n-",
           "d r\n2020-01-31 2020-02-29\n2019-01-31 2019-02-28\n2020-02-29 2020-03-29\n- -")  # fmt: skip
expression("years and quarters earlier", col("d").shift(-1, "A").shift(-1, "Q"), "d\n2020-02-29\n2020-05-31",
           "d r\n2020-02-29 2018-11-28\n2020-05-31 2019-02-28")  # fmt: skip
expression("weeks are seven days", col("d").shift(-2, "W"), "d\n2020-03-04", "d r\n2020-03-04 2020-02-19")
expression("days are counted from 1970", col("d").index("D"), DAYS,
           "d r\n2020-02-29 18321\n2020-12-31 18627\n1969-12-31 -1\n2021-01-01 18628\n- -")  # fmt: skip
expression("weeks are counted from that of 1 January 1970", col("d").index("W"), "d\n1969-12-28\n1969-12-29\n1970-01-04\n1970-01-05",
           "d r\n1969-12-28 -1\n1969-12-29 0\n1970-01-04 0\n1970-01-05 1")  # fmt: skip
expression("months, quarters and years are counted, too", col("d").index("M") * 10000 + col("d").index("Q") * 100 + col("d").index("A"),
           "d\n1970-01-01\n1971-05-02\n1969-12-31", "d r\n1970-01-01 0\n1971-05-02 160501\n1969-12-31 -10101")  # fmt: skip
expression("a class begins with its division", col("a").starts_with("01") & (col("a").prefix(2) == "01"), "a:text\n'01.11'\n'1.11'\n-",
           "a:text r\n'01.11' yes\n'1.11' no\n- -")  # fmt: skip
expression("whole numbers and days have one text", if_else(lit(True), col("a").to_text(), col("d").to_text()), "a d\n-7 2020-01-06\n- -",
           "a d r:text\n-7 2020-01-06 '-7'\n- - -")  # fmt: skip

# -- rows and columns -------------------------------------------------------------------------

ROWS = """
    region  sector  value  share
    R2      A       10     0.5
    R1      B       -      1.5
    -       A       30     -
    R1      A       20     2.5
"""
spec("columns are kept in the order asked for", ask("select", "t", columns=["value", "region"]),
     "value region\n10 R2\n- R1\n30 -\n20 R1", t=ROWS)  # fmt: skip
spec("a column gets a new name in its place", ask("rename", "t", names={"nace": "sector"}),
     "region nace value share\nR2 A 10 0.5\nR1 B - 1.5\n- A 30 -\nR1 A 20 2.5", t=ROWS)  # fmt: skip
spec("what is not known to be true is left out", ask("where", "t", condition=~(col("value") > 15)),
     "region sector value share\nR2 A 10 0.5", t=ROWS)  # fmt: skip
spec("a column is replaced by what is computed from it", ask("derive", "t", value=col("value") + 1, old=col("value")),
     "region sector value share old\nR2 A 11 0.5 10\nR1 B - 1.5 -\n- A 31 - 30\nR1 A 21 2.5 20", t=ROWS)  # fmt: skip
spec("nulls stand last, rising", ask("order", "t", by=["region", "-value"]),
     "region sector value share\nR1 A 20 2.5\nR1 B - 1.5\nR2 A 10 0.5\n- A 30 -", ordered=True, t=ROWS)  # fmt: skip
spec("nulls stand last, falling", ask("order", "t", by=["-value"]),
     "region sector value share\n- A 30 -\nR1 A 20 2.5\nR2 A 10 0.5\nR1 B - 1.5", ordered=True, t=ROWS)  # fmt: skip
spec("the first rows of an order", ask("order", "t", by=["-share"], limit=2, skip=1),
     "region sector value share\nR1 B - 1.5\nR2 A 10 0.5", ordered=True, t=ROWS)  # fmt: skip
spec("each row once, null as a value", ask("distinct", "t", columns=["a"]), "a\n1\n-", t="a b\n1 1\n1 2\n- 1\n- 2")
spec(
    "a union drops nothing and goes by name",
    ask("union", "t", "u", "t"),
    "a b\n1 x\n1 x\n2 y",
    t="a b\n1 x",
    u="b a\ny 2",
)
spec("a value at an edge belongs to the class above", ask("bucket", "t", column="a", edges=[10, 50], name="size", labels=["s", "m", "l"]),
     "a size\n9 s\n10 m\n49 m\n50 l\n- -", t="a\n9\n10\n49\n50\n-")  # fmt: skip
spec("classes without labels are numbers", ask("bucket", "t", column="x", edges=[0.0], name="k"),
     "x k\n-0.5 0\n0.0 1\n- -", t="x\n-0.5\n0.0\n-")  # fmt: skip
spec("each code has its class", ask("classify", "t", column="a", classes={"goods": ["A", "B"], "services": ["G"]}, name="k", other="rest"),
     "a k\nA goods\nG services\nX rest\n- -", t="a\nA\nG\nX\n-")  # fmt: skip
spec("a published figure has its decimals", ask("publish", "t", digits={"x": 1, "y": 0}),
     "x y\n0.2 2.0\n0.4 -", t="x y\n0.25 1.5\n0.35000000000000003 -")  # fmt: skip
spec(
    "a sole trader is no company",
    ask("companies", "t", legal_form="form"),
    "id form\n1 LTD",
    t="id form\n1 LTD\n2 SOLE\n3 -",
)

# -- two tables -------------------------------------------------------------------------------

LEFT = "k v\na 1\nb 2\n- 3\na 4"
RIGHT = "k w\na 10\na 11\n- 12\nc 13"
spec(
    "pairs of rows with one key",
    ask("join", "t", "u", on=["k"]),
    "k v w\na 1 10\na 1 11\na 4 10\na 4 11",
    t=LEFT,
    u=RIGHT,
)
spec("rows without a pair are kept by a left join", ask("join", "t", "u", on=["k"], how="left"),
     "k v w\na 1 10\na 1 11\na 4 10\na 4 11\nb 2 -\n- 3 -", t=LEFT, u=RIGHT)  # fmt: skip
spec("rows that have a pair, once each", ask("join", "t", "u", on=["k"], how="semi"), "k v\na 1\na 4", t=LEFT, u=RIGHT)
spec(
    "rows that have none; null has none", ask("join", "t", "u", on=["k"], how="anti"), "k v\nb 2\n- 3", t=LEFT, u=RIGHT
)
spec("a table meets itself", ask("join", "t", ask("rename", "t", names={"w": "v"}), on=["k"]),
     "k v w\na 1 1\na 1 4\nb 2 2\na 4 1\na 4 4", t=LEFT)  # fmt: skip
spec("the latest row of each key; ties by delivery", ask("latest_vintage", "t", key=["k"], ties=["n"]),
     "k known_at n v\na 2020-01-08 3 12\nb 2020-01-07 2 20\nc - 1 -",
     t="k known_at n v\na 2020-01-06 1 10\na 2020-01-08 2 11\na 2020-01-08 3 12\nb 2020-01-07 2 20\nb 2020-01-06 9 21\nc - 1 -")  # fmt: skip

ASKED = "k on row\na 2020-01-01 1\na 2020-01-02 2\na 2020-01-05 3\na 2020-02-06 4\na 2020-02-06 5\nb 2020-01-03 6\nc 2020-01-04 7\n- 2020-01-04 8\na - 9"
REGISTER = "k begin until size\na 2020-01-02 2020-01-04 small\na 2020-01-06 - large\nb 2020-01-03 2020-01-03 small\n- 2020-01-01 - none"
spec("what held on the day", ask("as_of_join", "t", "u", on="on", right_on="begin", by=["k"], right_until="until"),
     """k on row begin until size
     a 2020-01-01 1 - - -
     a 2020-01-02 2 2020-01-02 2020-01-04 small
     a 2020-01-05 3 - - -
     a 2020-02-06 4 2020-01-06 - large
     a 2020-02-06 5 2020-01-06 - large
     b 2020-01-03 6 2020-01-03 2020-01-03 small
     c 2020-01-04 7 - - -
     - 2020-01-04 8 - - -
     a - 9 - - -""", t=ASKED, u=REGISTER)  # fmt: skip
spec("a row may be too old", ask("as_of_join", "t", "u", on="on", right_on="begin", by=["k"], max_age=dt.timedelta(days=3)),
     """k on row begin until size
     a 2020-01-01 1 - - -
     a 2020-01-02 2 2020-01-02 2020-01-04 small
     a 2020-01-05 3 2020-01-02 2020-01-04 small
     a 2020-02-06 4 - - -
     a 2020-02-06 5 - - -
     b 2020-01-03 6 2020-01-03 2020-01-03 small
     c 2020-01-04 7 - - -
     - 2020-01-04 8 - - -
     a - 9 - - -""", t=ASKED, u=REGISTER)  # fmt: skip
spec("moments are as old as a microsecond tells", ask("as_of_join", "t", "u", on="on", right_on="at", by=["k"], max_age=dt.timedelta(seconds=1)),
     """k on at v
     a 2020-01-01T10:00:01Z 2020-01-01T10:00:00Z 1
     a 2020-01-01T10:00:01.000001Z - -
     a 2020-01-01T09:59:59.999999Z - -""",
     t="k on\na 2020-01-01T10:00:01Z\na 2020-01-01T10:00:01.000001Z\na 2020-01-01T09:59:59.999999Z",
     u="k at v\na 2020-01-01T10:00:00Z 1")  # fmt: skip
spec("ties of one day are told apart", ask("as_of_join", "t", "u", on="on", right_on="at", by=["k"], ties=["n"]),
     "k on at n\na 2020-01-02 2020-01-01 2", t="k on\na 2020-01-02", u="k at n\na 2020-01-01 1\na 2020-01-01 2\na 2020-01-01 -")  # fmt: skip
spec("a column of the left is left alone", ask("as_of_join", "t", "u", on="on", right_on="begin", by=["k"]),
     "k on size begin until:date\na 2020-01-07 mine 2020-01-06 -", t="k on size\na 2020-01-07 mine", u=REGISTER)  # fmt: skip
spec("what a later vintage changed", ask("revisions", "t", "u", key=["k"], measures=["v", "x"]),
     """k v__before v__after v__change x__before x__after status
     a 1 1 0 1.5 1.5 same
     b 2 5 3 - - revised
     c 3 - - 1.0 - revised
     d 4 - - 2.0 - gone
     e - 6 - - 3.0 new
     f - - - - - same""",
     t="k v x\na 1 1.5\nb 2 -\nc 3 1.0\nd 4 2.0\nf - -", u="k v x\na 1 1.5\nb 5 -\nc - -\ne 6 3.0\nf - -")  # fmt: skip

# -- groups -----------------------------------------------------------------------------------

SALES = """
    region  sector  group  value
    R1      A       g1     10
    R1      A       g1     20
    R1      A       g2     -25
    R1      A       g3     5
    R1      A       g4     1
    R1      B       g1     7
    R1      B       g5     -
    R2      A       g2     25
    R2      B       g6     4
    R2      B       g6     -4
"""
EVERY = {"n": ("count", None), "known": ("count", "v"), "s": ("sum", "v"), "low": ("min", "v"), "high": ("max", "v"),
         "m": ("mean", "v"), "d": ("distinct", "v")}  # fmt: skip
spec("null is a group of its own, and counts nowhere", ask("group", "t", by=["k"], measures=EVERY),
     "k n known s low high m d\na 3 2 7 3 4 3.5 2\n- 2 2 -4 -2 -2 -2.0 1\nc 1 0 - - - - 0",
     t="k v\na 3\na 4\na -\n- -2\n- -2\nc -")  # fmt: skip
spec("nothing has a count of zero", ask("group", ask("where", "t", condition=col("v") > 99), by=[], measures=EVERY),
     "n known s:int low:int high:int m:float d\n0 0 - - - - 0", t="k v\na 3")  # fmt: skip
spec("no rows make no groups", ask("group", ask("where", "t", condition=col("v") > 99), by=["k"], measures={"s": ("sum", "v")}),
     "k:text s:int", t="k v\na 3")  # fmt: skip
spec("texts, days and moments have a smallest and a largest", ask("group", "t", by=[], measures={"a": ("min", "k"), "b": ("max", "k"), "c": ("max", "d"), "e": ("min", "t")}),
     "a b c e\nB Ä 2020-01-02 2020-01-01T00:00:00Z",
     t="k d t\na 2020-01-02 2020-01-01T00:00:00Z\nB 2020-01-01 2020-01-01T00:00:00.000001Z\nÄ - -")  # fmt: skip
spec("sums are exact beyond 2^53", ask("group_sum", "t", by=["k"], total="v"),
     "k total\na 9007199254740995\nb -", t="k v\na 9007199254740993\na 2\nb -")  # fmt: skip
spec("a mean divides the exact sum once", ask("group", "t", by=[], measures={"m": ("mean", "v")}),
     "m\n0.3333333333333333", t="v\n9007199254740993\n-9007199254740993\n1")  # fmt: skip
spec("quantiles lie between order statistics", ask("quantile", "t", by=["k"], measure="v", levels=[0, 0.1, 0.5, 0.875, 1]),
     "k v_p0 v_p10 v_p50 v_p87_5 v_p100\na 1.0 1.3 2.5 3.625 4.0\nb 7.0 7.0 7.0 7.0 7.0\nc - - - - -",
     t="k v\na 4\na 1\na 3\na 2\na -\nb 7\nc -")  # fmt: skip
spec("codes become columns, stated beforehand", ask("pivot", "t", by=["region"], column="sector", codes={"a": "A", "c": "C"}, measure="value"),
     "region a c:int\nR1 11 -\nR2 25 -", t=SALES.replace(" - ", " 0 "))  # fmt: skip
spec("columns become rows, nulls too", ask("unpivot", "t", keep=["k"], columns=["x", "y"], name="n", value="v"),
     "k n v\na x 1\nb x -\na y 2\nb y 3", t="k x y\na 1 2\nb - 3")  # fmt: skip

# -- neighbours -------------------------------------------------------------------------------

spec("ties share a rank, and the next is skipped", ask("window", "t", by=["k"], order=["-v"], columns={"r": ("rank",), "d": ("dense_rank",)}),
     "k v r d\na 9 1 1\na 9 1 1\na 5 3 2\na - 4 3\nb 1 1 1", t="k v\na 5\na 9\na 9\na -\nb 1")  # fmt: skip
spec("numbers, lags, leads and running sums", ask("window", "t", by=["k"], order=["d"], columns={
     "n": ("number",), "before": ("lag", "v", 1), "after": ("lead", "v", 2), "so_far": ("cumulative", "v")}),
     """k d v n before after so_far
     a 2020-01-01 1 1 - - 1
     a 2020-01-02 - 2 1 4 1
     a 2020-01-03 - 3 - - 1
     a 2020-01-04 4 4 - - 5
     b 2020-01-01 - 1 - - -""",
     t="k d v\na 2020-01-04 4\na 2020-01-01 1\na 2020-01-03 -\na 2020-01-02 -\nb 2020-01-01 -")  # fmt: skip
spec("only the first of each group, by a rank in a column", ask("where", ask("window", "t", by=["k"], order=["-v"], columns={"n": ("number",)}),
     condition=col("n") == 1), "k v n\na 9 1\nb 1 1", t="k v\na 5\na 9\nb 1")  # fmt: skip
spec("the last two rows", ask("rolling", "t", by=[], order="d", rows=2, columns={"s": ("sum", "v"), "n": ("count", None), "m": ("mean", "v")}),
     "d v s n m\n2020-01-01 1 1 1 1.0\n2020-01-05 - 1 2 1.0\n2020-01-09 4 4 2 4.0", t="d v\n2020-01-01 1\n2020-01-05 -\n2020-01-09 4")  # fmt: skip
spec("the last three months, gaps or not", ask("rolling", "t", by=["k"], order="d", periods=3, unit="M", columns={"s": ("sum", "v"), "high": ("max", "v"), "n": ("count", "v")}),
     """k d v s high n
     a 2020-01-31 1 3 2 2
     a 2020-01-01 2 3 2 2
     a 2020-03-01 4 7 4 3
     a 2020-05-15 8 12 8 2
     a 2020-06-01 - 8 8 1
     a 2020-09-01 - - - 0
     a - 9 - - -
     b 2020-03-01 5 5 5 1""",
     t="k d v\na 2020-01-31 1\na 2020-01-01 2\na 2020-03-01 4\na 2020-05-15 8\na 2020-06-01 -\na 2020-09-01 -\na - 9\nb 2020-03-01 5")  # fmt: skip
spec("two weeks across a new year", ask("rolling", "t", by=[], order="d", periods=2, unit="W", columns={"low": ("min", "v")}),
     "d v low\n2019-12-29 1 1\n2019-12-30 3 1\n2020-01-06 2 2", t="d v\n2019-12-29 1\n2019-12-30 3\n2020-01-06 2")  # fmt: skip
spec("shares of a total, rounded once", ask("shares", "t", by=["k"], measure="v", name="s", digits=1),
     "k v s\na 1 33.3\na 2 66.7\na - -\nb 0 -", t="k v\na 1\na 2\na -\nb 0")  # fmt: skip
spec("shares as parts of one", ask("shares", "t", by=[], measure="v", name="s", digits=2, scale=1, method="half_away"),
     "v s\n1 0.13\n7 0.88", t="v\n1\n7")  # fmt: skip
spec("gaps take the last value before them", ask("fill_forward", "t", by=["k"], order=["d"], columns=["v", "s"]),
     "k d v s\na 1 - -\na 2 5 x\na 3 5 x\na 4 6 x\na 5 6 y\nb 1 - -",
     t="k d v s\na 1 - -\na 2 5 x\na 3 - -\na 4 6 -\na 5 - y\nb 1 - -")  # fmt: skip

# -- contributors -----------------------------------------------------------------------------

spec("contributions are added up by group", ask("contributions", "t", dims=["region"], measure="value", group="group"),
     "region group value\nR1 g1 37\nR1 g2 -25\nR1 g3 5\nR1 g4 1\nR1 g5 0\nR2 g2 25\nR2 g6 0", t=SALES)  # fmt: skip
spec("the largest contributions, by absolute size", ask("top_contributions", "t", dims=["region", "sector"], measure="value", group="group"),
     "region sector value value__groups value__top1 value__top2 value__top3\nR1 A 11 4 30 25 5\nR1 B 7 1 7 0 0\nR2 A 25 1 25 0 0\nR2 B 0 0 0 0 0", t=SALES)  # fmt: skip
spec("with a key known, the same", ask("top_contributions", ask("contributions", "t", dims=["region"], measure="value", group="group"),
     dims=["region"], measure="value", group="group", key=["region", "group"], top=2, name="s"),
     "region s s__groups s__top1 s__top2\nR1 18 4 37 25\nR2 25 1 25 0", t=SALES)  # fmt: skip
spec("one total", ask("top_contributions", "t", dims=[], measure="value", group="group", top=1),
     "value value__groups value__top1\n43 3 37", t=SALES)  # fmt: skip
spec("nobody contributes to nothing", ask("top_contributions", ask("where", "t", condition=lit(False)), dims=[], measure="value", group="group", top=1),
     "value value__groups value__top1\n0 0 0", t=SALES)  # fmt: skip
spec("a monopoly has 10,000 points, four equals 2,500", ask("concentration", "t", dims=["k"], measure="v", group="g"),
     "k v__hhi v__contributors\na 10000 1\nb 2500 4\nc 5000 3\nd - 0",
     t="k g v\na 1 5\nb 1 2\nb 2 -2\nb 3 2\nb 4 2\nc 1 4\nc 2 1\nc 3 -1\nc 3 2\nd 1 0\nd 2 -")  # fmt: skip
spec("an index is exact for amounts beyond floats", ask("concentration", "t", dims=[], measure="v", group="g", digits=3),
     "v__hhi v__contributors\n500 2", t="g v\n1 49999999999999999\n2 49999999999999999")  # fmt: skip
spec("cells and margins count their contributors anew", ask("parts", "t", dims=["region", "sector"], measure="value", group="group", totals=["region"], name="s", top=1),
     "region sector s s__groups s__top1\nR1 A 11 4 30\nR1 B 7 1 7\nR2 A 25 1 25\nR2 B 0 0 0\n_T A 36 3 30\n_T B 7 1 7",
     ordered=True, t=SALES)  # fmt: skip

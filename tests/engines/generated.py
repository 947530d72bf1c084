"""Questions made by hypothesis: verbs put together at random over tables of a tiny domain.

A question is grown from a table upwards; every step is drawn among the verbs that its columns allow, so that each
question is a valid one. The domain is tiny (three texts, a few days, small numbers, many nulls), so that keys meet,
ties occur and groups are shared.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from opsroom.base.verbs import Expression, col, if_else, lit

from .questions import Ask, Frame, ask
from .reference import kind_of

TEXTS = ("a", "b", "Ä")
DAYS = tuple(dt.date(2019, 12, 28) + dt.timedelta(days=n) for n in (0, 1, 3, 4, 35, 62, 63, 367))
KINDS = {"k": "text", "c": "text", "d": "date", "v": "int", "w": "int", "x": "float"}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.sampled_from(TEXTS),
    "date": st.sampled_from(DAYS),
    "int": st.integers(-6, 6),
    "float": st.sampled_from([-2.5, -0.5, 0.0, 0.125, 0.3, 1.5, 2.5, 1e6]),
    "bool": st.booleans(),
}


def tables() -> st.SearchStrategy[dict[str, Frame]]:
    """Draw two tables with the same columns, and in each a number that tells its rows apart."""

    def frame(rows: list[tuple[Any, ...]]) -> Frame:
        return Frame(
            {"id": "int", **KINDS},
            [{"id": n, **dict(zip(KINDS, row, strict=True))} for n, row in enumerate(rows)],
        )

    row = st.tuples(*(VALUES[kind] | st.none() for kind in KINDS.values()))
    one = st.lists(row, min_size=0, max_size=9).map(frame)
    return st.fixed_dictionaries({"t": one, "u": one})


@dataclass(frozen=True)
class Grown:
    """A question with the kinds of its columns, and the columns that tell its rows apart."""

    question: Ask | str
    kinds: dict[str, str]
    key: tuple[str, ...] | None

    def columns(self, *kinds: str) -> list[str]:
        return [c for c, k in self.kinds.items() if k in kinds]


Draw = Any  # hypothesis' draw function


def some(draw: Draw, of: list[str], *, least: int = 0, most: int = 2) -> list[str]:
    return draw(st.lists(st.sampled_from(of), min_size=least, max_size=most, unique=True)) if of else []


def number(draw: Draw, g: Grown, depth: int) -> Expression:
    """Draw an expression that is a number."""
    columns = g.columns("int", "float")
    way = draw(st.integers(0, 9 if depth else 1))
    if way <= 1 or not columns:
        if way == 1 and columns:
            return col(draw(st.sampled_from(columns)))
        return lit(draw(VALUES["int"] | VALUES["float"]))
    a, b = number(draw, g, depth - 1), number(draw, g, depth - 1)
    whole = {kind_of(a, g.kinds), kind_of(b, g.kinds)} <= {"int"}
    match way:
        case 2:
            return a + b
        case 3:
            return a - b
        case 4:
            return a / b
        case 5:
            return (a // b) if whole else -a
        case 6:
            return (a % b) if whole else abs(a)
        case 7:
            method = draw(st.sampled_from(["half_even", "half_away"]))
            return a.round(draw(st.integers(0, 3)), method)
        case 8 if g.columns("date"):
            return col(draw(st.sampled_from(g.columns("date")))).index(draw(st.sampled_from("DWMQA")))
    return if_else(condition(draw, g, depth - 1), a, b) if draw(st.booleans()) else a.coalesce(b)


def condition(draw: Draw, g: Grown, depth: int) -> Expression:
    """Draw an expression that is true or false."""
    way = draw(st.integers(0, 8 if depth > 0 else 4))
    texts, days = g.columns("text"), g.columns("date")
    if way == 0 and texts:
        return col(draw(st.sampled_from(texts))).is_in(draw(st.lists(VALUES["text"], max_size=2)))
    if way == 1 and days:
        return col(draw(st.sampled_from(days))) >= draw(VALUES["date"])
    if way == 2:
        return col(draw(st.sampled_from(list(g.kinds)))).is_null()
    if way == 3 and texts:
        return col(draw(st.sampled_from(texts))).starts_with(draw(VALUES["text"]))
    if way >= 6:
        a, b = condition(draw, g, depth - 1), condition(draw, g, depth - 1)
        return [a & b, a | b, ~a][way - 6]
    a, b = number(draw, g, max(depth - 1, 0)), number(draw, g, 0)
    return draw(st.sampled_from([a == b, a != b, a < b, a <= b, a > b, a >= b]))


def grow(draw: Draw, g: Grown, step: int) -> Grown:
    """Draw one verb more."""
    verb = draw(st.sampled_from(VERBS))
    found = VERB_STEPS[verb](draw, g, f"n{step}")
    return g if found is None else found


def _where(draw: Draw, g: Grown, _: str) -> Grown:
    return Grown(ask("where", g.question, condition=condition(draw, g, 2)), g.kinds, g.key)


def _derive(draw: Draw, g: Grown, new: str) -> Grown:
    way = draw(st.integers(0, 4))
    days = g.columns("date")
    if way == 0 and days:
        day = col(draw(st.sampled_from(days)))
        unit = draw(st.sampled_from("DWMQA"))
        made = day.truncate(unit) if draw(st.booleans()) else day.shift(draw(st.integers(-14, 14)), unit)
    elif way == 1 and g.columns("text"):
        made = col(draw(st.sampled_from(g.columns("text")))).prefix(1)
    elif way == 2:
        made = condition(draw, g, 2)
    else:
        made = number(draw, g, 3)
    return Grown(ask("derive", g.question, **{new: made}), {**g.kinds, new: kind_of(made, g.kinds)}, g.key)


def _distinct(draw: Draw, g: Grown, _: str) -> Grown:
    columns = some(draw, list(g.kinds), least=1, most=3)
    return Grown(ask("distinct", g.question, columns=columns), {c: g.kinds[c] for c in columns}, tuple(columns))


def _order(draw: Draw, g: Grown, _: str) -> Grown | None:
    if not g.key:
        return None
    first = some(draw, list(g.kinds), most=2)
    by = [*(draw(st.sampled_from(["", "-"])) + c for c in first), *(k for k in g.key if k not in first)]
    skip = draw(st.integers(0, 2))
    return Grown(ask("order", g.question, by=by, limit=draw(st.integers(1, 6)), skip=skip), g.kinds, g.key)


def _union(draw: Draw, g: Grown, _: str) -> Grown:
    return Grown(ask("union", g.question, _where(draw, g, "").question), g.kinds, None)


def _group(draw: Draw, g: Grown, new: str) -> Grown:
    by = some(draw, g.columns("text", "date", "int", "bool"), most=2)
    whole = [c for c in g.columns("int") if c not in by]
    other = [c for c in g.kinds if c not in by and g.kinds[c] in ("text", "date", "int", "float")]
    measures: dict[str, Any] = {f"{new}n": ("count", None)}
    kinds = {f"{new}n": "int"}
    if whole:
        for f in draw(st.lists(st.sampled_from(["sum", "mean"]), unique=True)):
            measures[f"{new}{f}"] = (f, draw(st.sampled_from(whole)))
            kinds[f"{new}{f}"] = "float" if f == "mean" else "int"
    if other:
        for f in draw(st.lists(st.sampled_from(["count", "min", "max", "distinct"]), unique=True)):
            column = draw(st.sampled_from(other))
            measures[f"{new}{f}"] = (f, column)
            kinds[f"{new}{f}"] = g.kinds[column] if f in ("min", "max") else "int"
    return Grown(
        ask("group", g.question, by=by, measures=measures), {**{c: g.kinds[c] for c in by}, **kinds}, tuple(by)
    )


def _quantile(draw: Draw, g: Grown, new: str) -> Grown | None:
    by = some(draw, g.columns("text", "date"), most=2)
    columns = g.columns("int", "float")
    if not columns:
        return None
    levels = draw(st.lists(st.sampled_from([0, 0.1, 0.25, 0.5, 0.9, 1]), min_size=1, max_size=3, unique=True))
    names = {f"{new}_p{round(q * 100):g}": "float" for q in levels}
    question = ask("quantile", g.question, by=by, measure=draw(st.sampled_from(columns)), levels=levels, name=new)
    return Grown(question, {**{c: g.kinds[c] for c in by}, **names}, tuple(by))


def _pivot(draw: Draw, g: Grown, new: str) -> Grown | None:
    texts, whole = g.columns("text"), g.columns("int")
    if not texts or not whole:
        return None
    column = draw(st.sampled_from(texts))
    by = some(draw, [c for c in g.columns("text", "date") if c != column], most=1)
    codes = {f"{new}a": "a", f"{new}u": "Ä"}
    question = ask("pivot", g.question, by=by, column=column, codes=codes, measure=draw(st.sampled_from(whole)))
    return Grown(question, {**{c: g.kinds[c] for c in by}, **dict.fromkeys(codes, "int")}, tuple(by))


def _unpivot(draw: Draw, g: Grown, new: str) -> Grown | None:
    kind = draw(st.sampled_from(["int", "float", "text"]))
    columns = some(draw, g.columns(kind), most=3)
    if not columns:
        return None
    keep = some(draw, [c for c in g.kinds if c not in columns], most=3)
    question = ask("unpivot", g.question, keep=keep, columns=columns, name=f"{new}n", value=f"{new}v")
    return Grown(question, {**{c: g.kinds[c] for c in keep}, f"{new}n": "text", f"{new}v": kind}, None)


def _join(draw: Draw, g: Grown, new: str) -> Grown | None:
    on = some(draw, [c for c in ("k", "c", "d", "v") if g.kinds.get(c) == KINDS[c]], least=1)
    if not on:
        return None
    how = draw(st.sampled_from(["inner", "left", "semi", "anti"]))
    side = ask("rename", ask("select", "u", columns=[*on, "id", "x"]), names={f"{new}i": "id", f"{new}x": "x"})
    question = ask("join", g.question, side, on=on, how=how)
    if how in ("semi", "anti"):
        return Grown(question, g.kinds, g.key)
    key = None if g.key is None else (*g.key, f"{new}i")
    return Grown(question, {**g.kinds, f"{new}i": "int", f"{new}x": "float"}, key)


def _as_of_join(draw: Draw, g: Grown, new: str) -> Grown | None:
    days = g.columns("date")
    by = [c for c in ("k", "c") if g.kinds.get(c) == "text"][: draw(st.integers(1, 2))]
    if not days or not by:
        return None
    names = {f"{new}d": "d", f"{new}i": "id", f"{new}u": "until"}
    until = ask("derive", "u", until=if_else(col("v") > 1, col("d").shift(20, "D"), lit(None)))
    side = ask("rename", ask("select", until, columns=[*by, "d", "id", "until"]), names=names)
    question = ask(
        "as_of_join", g.question, side, on=draw(st.sampled_from(days)), right_on=f"{new}d", by=by, ties=[f"{new}i"],
        right_until=draw(st.sampled_from([None, f"{new}u"])),
        max_age=draw(st.sampled_from([None, dt.timedelta(days=3), dt.timedelta(days=40)])),
    )  # fmt: skip
    return Grown(question, {**g.kinds, f"{new}d": "date", f"{new}i": "int", f"{new}u": "date"}, g.key)


def _latest_vintage(draw: Draw, g: Grown, _: str) -> Grown | None:
    days = g.columns("date")
    if not days or g.key is None:
        return None
    key = some(draw, g.columns("text", "int"), least=1)
    if not key:
        return None
    ties = [k for k in g.key if k not in key]
    return Grown(
        ask("latest_vintage", g.question, key=key, known_at=draw(st.sampled_from(days)), ties=ties), g.kinds, tuple(key)
    )


def _window(draw: Draw, g: Grown, new: str) -> Grown | None:
    if g.key is None:
        return None
    by = some(draw, g.columns("text", "date"), most=1)
    first = some(draw, [c for c in g.kinds if c not in by], most=1)
    order = [*(draw(st.sampled_from(["", "-"])) + c for c in first), *(k for k in g.key if k not in first)]
    order = order or [next(iter(g.kinds))]
    columns: dict[str, Any] = {f"{new}n": ("number",)}
    kinds = {f"{new}n": "int"}
    if g.columns("int"):
        columns[f"{new}c"] = ("cumulative", draw(st.sampled_from(g.columns("int"))))
        kinds[f"{new}c"] = "int"
    moved = draw(st.sampled_from(list(g.kinds)))
    columns[f"{new}l"] = (draw(st.sampled_from(["lag", "lead"])), moved, draw(st.integers(1, 2)))
    kinds[f"{new}l"] = g.kinds[moved]
    return Grown(ask("window", g.question, by=by, order=order, columns=columns), {**g.kinds, **kinds}, g.key)


def _ranks(draw: Draw, g: Grown, new: str) -> Grown:
    by = some(draw, g.columns("text", "date"), most=1)
    order = [draw(st.sampled_from(["", "-"])) + draw(st.sampled_from(list(g.kinds)))]
    columns = {f"{new}r": ("rank",), f"{new}d": ("dense_rank",)}
    kinds = {**g.kinds, **dict.fromkeys(columns, "int")}
    return Grown(ask("window", g.question, by=by, order=order, columns=columns), kinds, g.key)


def _rolling(draw: Draw, g: Grown, new: str) -> Grown | None:
    days, whole = g.columns("date"), g.columns("int")
    by = some(draw, g.columns("text"), most=1)
    if not days or not whole:
        return None
    column = draw(st.sampled_from(whole))
    columns = {f"{new}{f}": (f, column) for f in ("sum", "count", "min", "mean")}
    kinds = {**g.kinds, **{n: "float" if f == "mean" else "int" for n, (f, _) in columns.items()}}
    if g.key == ("id",) and draw(st.booleans()):
        frame: dict[str, Any] = {"order": "id", "rows": draw(st.integers(1, 4))}
    else:
        unit = draw(st.sampled_from("DWMQA"))
        frame = {"order": draw(st.sampled_from(days)), "periods": draw(st.integers(1, 4)), "unit": unit}
    return Grown(ask("rolling", g.question, by=by, columns=columns, **frame), kinds, g.key)


def _shares(draw: Draw, g: Grown, new: str) -> Grown | None:
    by = some(draw, g.columns("text", "date"), most=1)
    if not g.columns("int"):
        return None
    question = ask(
        "shares", g.question, by=by, measure=draw(st.sampled_from(g.columns("int"))), name=new,
        digits=draw(st.integers(0, 4)), scale=draw(st.sampled_from([1, 100])),
        method=draw(st.sampled_from(["half_even", "half_away"])),
    )  # fmt: skip
    return Grown(question, {**g.kinds, new: "float"}, g.key)


def _fill_forward(draw: Draw, g: Grown, _: str) -> Grown | None:
    if not g.key:
        return None
    columns = some(draw, [c for c in g.kinds if c not in g.key and g.kinds[c] != "bool"], least=1)
    by = some(draw, [c for c in g.columns("text") if c not in columns], most=1)
    if not columns:
        return None
    return Grown(ask("fill_forward", g.question, by=by, order=list(g.key), columns=columns), g.kinds, g.key)


def _contributions(draw: Draw, g: Grown, new: str) -> Grown | None:
    dims = some(draw, g.columns("text", "date"), most=2)
    rest = [c for c in g.columns("text", "int") if c not in dims]
    whole = g.columns("int")
    if not rest or not whole:
        return None
    group, measure = draw(st.sampled_from(rest)), draw(st.sampled_from(whole))
    if group == measure:
        return None
    verb = draw(st.sampled_from(["top_contributions", "concentration", "parts"]))
    kinds = {d: "text" if verb == "parts" else g.kinds[d] for d in dims}
    names = {
        "top_contributions": ["", "__groups", "__top1", "__top2", "__top3"],
        "concentration": ["__hhi", "__contributors"],
    }.get(verb, ["", "__groups", "__top1", "__top2", "__top3"])
    more: dict[str, Any] = {"totals": dims[:1]} if verb == "parts" else {}
    question = ask(verb, g.question, dims=dims, measure=measure, group=group, name=new, **more)
    return Grown(question, {**kinds, **{f"{new}{n}": "int" for n in names}}, None if verb == "parts" else tuple(dims))


def _bucket(draw: Draw, g: Grown, new: str) -> Grown | None:
    if not g.columns("int", "float"):
        return None
    edges = sorted(draw(st.lists(st.integers(-4, 4), min_size=1, max_size=3, unique=True)))
    column = draw(st.sampled_from(g.columns("int", "float")))
    return Grown(ask("bucket", g.question, column=column, edges=edges, name=new), {**g.kinds, new: "int"}, g.key)


def _classify(draw: Draw, g: Grown, new: str) -> Grown | None:
    if not g.columns("text"):
        return None
    column = draw(st.sampled_from(g.columns("text")))
    other = draw(st.sampled_from([None, "rest"]))
    question = ask("classify", g.question, column=column, classes={"one": ["a"], "two": ["Ä"]}, name=new, other=other)
    return Grown(question, {**g.kinds, new: "text"}, g.key)


def _publish(draw: Draw, g: Grown, _: str) -> Grown | None:
    if not g.columns("float"):
        return None
    digits = {draw(st.sampled_from(g.columns("float"))): draw(st.integers(0, 3))}
    method = draw(st.sampled_from(["half_even", "half_away"]))
    if g.key and set(digits) & set(g.key):
        return None
    return Grown(ask("publish", g.question, digits=digits, method=method), g.kinds, g.key)


def _revisions(draw: Draw, g: Grown, new: str) -> Grown | None:
    if g.question != "t":
        return None
    measures = some(draw, ["v", "w", "x", "c"], least=1, most=3)
    kinds = {"id": "int"}
    for m in measures:
        kinds |= {f"{m}__before": KINDS[m], f"{m}__after": KINDS[m]}
        kinds |= {f"{m}__change": "int"} if KINDS[m] == "int" else {}
    return Grown(ask("revisions", "t", "u", key=["id"], measures=measures), {**kinds, "status": "text"}, ("id",))


VERB_STEPS = {
    name.removeprefix("_"): step
    for name, step in list(globals().items())
    if name.startswith("_") and not name.startswith("__") and callable(step)
}
VERBS = sorted([*VERB_STEPS, "contributions", "contributions", "group", "join", "where", "derive"])


@st.composite
def questions(draw: Draw) -> Ask:
    """Draw a question of one to four verbs."""
    g = Grown("t", {"id": "int", **KINDS}, ("id",))
    for step in range(draw(st.integers(1, 4))):
        g = grow(draw, g, step)
    return g.question if isinstance(g.question, Ask) else ask("where", g.question, condition=lit(True))

"""The reference interpreter: what every verb means, in plain Python, row by row. For tests only.

It shares nothing with the lowering but the `Expression` tree. It is slow and short: read it to learn what a verb does.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import cmp_to_key
from typing import Any

from opsroom.base.codes import NATURAL_FORMS
from opsroom.base.verbs import Expression

Row = dict[str, Any]


@dataclass(frozen=True)
class Frame:
    """Rows with the kinds of their columns: int, float, text, bool, date, moment."""

    kinds: dict[str, str]
    rows: list[Row]

    def of(self, rows: Iterable[Row], **kinds: str) -> Frame:
        """Return other rows with these kinds more."""
        return Frame({**self.kinds, **kinds}, list(rows))

    def only(self, columns: Sequence[str]) -> Frame:
        return Frame({c: self.kinds[c] for c in columns}, [{c: r[c] for c in columns} for r in self.rows])


# -- expressions ------------------------------------------------------------------------------


def kind_of(node: Expression, kinds: dict[str, str]) -> str:
    match node.op:
        case "column":
            return kinds[str(node.constants[0])]
        case "literal":
            return kind_of_value(node.constants[0])
        case "add" | "subtract" | "multiply" | "negate" | "absolute" | "coalesce":
            found = [k for k in (kind_of(o, kinds) for o in node.operands) if k != "null"]
            return "float" if "float" in found else found[0] if found else "null"
        case "if_else":
            found = [k for k in (kind_of(o, kinds) for o in node.operands[1:]) if k != "null"]
            return "float" if "float" in found else found[0] if found else "null"
        case "divide" | "round" | "to_float":
            return "float"
        case "floor_divide" | "modulo" | "index":
            return "int"
        case "truncate" | "shift":
            return "date"
        case "prefix" | "to_text":
            return "text"
    return "bool"


def kind_of_value(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    for kind, types in (("int", int), ("float", float), ("text", str), ("moment", dt.datetime), ("date", dt.date)):
        if isinstance(value, types):
            return kind
    raise AssertionError


def value_of(node: Expression, row: Row) -> Any:
    """Compute an expression for one row."""
    op, constants = node.op, node.constants
    if op == "column":
        return row[str(constants[0])]
    if op == "literal":
        return constants[0]
    values = [value_of(o, row) for o in node.operands]
    if op == "and":
        return False if False in values else None if None in values else True
    if op == "or":
        return True if True in values else None if None in values else False
    if op == "is_null":
        return values[0] is None
    if op == "coalesce":
        return widened(next((v for v in values if v is not None), None), values)
    if op == "if_else":
        return widened(values[1] if values[0] is True else values[2], values[1:])
    if None in values:
        return None
    if op in PLAIN:
        return PLAIN[op](*values)
    x = values[0]
    match op:
        case "divide":
            return float(x) / float(values[1]) if values[1] != 0 else None
        case "floor_divide":
            return x // values[1] if values[1] != 0 else None
        case "modulo":
            return x % values[1] if values[1] != 0 else None
        case "is_in":
            return x in constants
        case "round":
            return rounded(x, int(constants[0]), str(constants[1]))
        case "truncate":
            return truncated(x, str(constants[0]))
        case "shift":
            return shifted(x, int(constants[0]), str(constants[1]))
        case "index":
            return index_of(x, str(constants[0]))
        case "starts_with":
            return x.startswith(constants[0])
        case "prefix":
            return x[: int(constants[0])]
        case "to_text":
            return x.isoformat() if isinstance(x, dt.date) else str(x)
    raise AssertionError(op)


def widened(value: Any, others: Sequence[Any]) -> Any:
    return float(value) if isinstance(value, int) and any(isinstance(o, float) for o in others) else value


PLAIN: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "negate": lambda a: -a,
    "absolute": abs,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "not": lambda a: not a,
    "to_float": float,
}


def rounded(x: float, digits: int, method: str) -> float:
    """Round as pen and paper do to the float64 product, exactly."""
    product = float(x) * 10.0**digits
    if not math.isfinite(product) or abs(product) >= 2.0**52:
        return float(x)
    low = math.floor(product)
    beyond = Decimal(product) - low
    half = Decimal("0.5")
    tie = low % 2 == 1 if method == "half_even" else product >= 0
    up = beyond > half or (beyond == half and tie)
    return float(low + up) / 10.0**digits


def truncated(day: dt.date, unit: str) -> dt.date:
    match unit:
        case "W":
            return day - dt.timedelta(days=day.weekday())
        case "M":
            return day.replace(day=1)
        case "Q":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "A":
            return day.replace(month=1, day=1)
    return day


def shifted(day: dt.date, count: int, unit: str) -> dt.date:
    if unit in ("D", "W"):
        return day + dt.timedelta(days=count * (7 if unit == "W" else 1))
    year, month = divmod(day.year * 12 + day.month - 1 + count * {"M": 1, "Q": 3, "A": 12}[unit], 12)
    last = (dt.date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1) - dt.timedelta(days=1)).day
    return dt.date(year, month + 1, min(day.day, last))


def index_of(day: dt.date, unit: str) -> int:
    match unit:
        case "D":
            return (day - dt.date(1970, 1, 1)).days
        case "W":
            return (truncated(day, "W") - dt.date(1969, 12, 29)).days // 7
        case "M":
            return (day.year - 1970) * 12 + day.month - 1
        case "Q":
            return (day.year - 1970) * 4 + (day.month - 1) // 3
    return day.year - 1970


# -- order and groups -------------------------------------------------------------------------


def in_order(rows: Iterable[Row], order: Sequence[str]) -> list[Row]:
    """Sort rows; ``-name`` falls; nulls last in both directions."""

    def compare(a: Row, b: Row) -> int:
        for word in order:
            name, sign = (word[1:], -1) if word.startswith("-") else (word, 1)
            x, y = a[name], b[name]
            if x is None or y is None:
                if (x is None) != (y is None):
                    return 1 if x is None else -1
            elif x != y:
                return sign if x > y else -sign
        return 0

    return sorted(rows, key=cmp_to_key(compare))


def groups(rows: Iterable[Row], by: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[c] for c in by), []).append(row)
    return found


def measure_of(rows: Sequence[Row], function: str, column: str | None) -> Any:
    if column is None:
        return len(rows)
    values = [r[column] for r in rows if r[column] is not None]
    match function:
        case "count":
            return len(values)
        case "distinct":
            return len(set(values))
        case _ if not values:
            return None
        case "sum":
            return sum(values)
        case "min":
            return min(values)
        case "max":
            return max(values)
    return float(sum(values)) / float(len(values))


def measure_kind(frame: Frame, function: str, column: str | None) -> str:
    return "float" if function == "mean" else frame.kinds[str(column)] if function in ("min", "max") else "int"


# -- rows and columns -------------------------------------------------------------------------


def select(t: Frame, *, columns: Sequence[str]) -> Frame:
    return t.only(columns)


def rename(t: Frame, *, names: dict[str, str]) -> Frame:
    new = {old: name for name, old in names.items()}
    return Frame(
        {new.get(c, c): k for c, k in t.kinds.items()}, [{new.get(c, c): v for c, v in r.items()} for r in t.rows]
    )


def where(t: Frame, *, condition: Expression) -> Frame:
    return t.of(r for r in t.rows if value_of(condition, r) is True)


def derive(t: Frame, **columns: Expression) -> Frame:
    kinds = {n: kind_of(e, t.kinds) for n, e in columns.items()}
    rows = []
    for r in t.rows:
        new = {n: value_of(e, r) for n, e in columns.items()}
        new = {n: float(v) if kinds[n] == "float" and v is not None else v for n, v in new.items()}
        rows.append({**r, **new})
    return t.of(rows, **kinds)


def distinct(t: Frame, *, columns: Sequence[str] | None = None) -> Frame:
    t = t if columns is None else t.only(columns)
    return t.of(dict(pairs) for pairs in dict.fromkeys(tuple(r.items()) for r in t.rows))


def order(t: Frame, *, by: Sequence[str], limit: int | None = None, skip: int = 0) -> Frame:
    rows = in_order(t.rows, by)[skip:]
    return t.of(rows if limit is None else rows[:limit])


def union(first: Frame, *others: Frame) -> Frame:
    return first.of({c: r[c] for c in first.kinds} for t in (first, *others) for r in t.rows)


def bucket(t: Frame, *, column: str, edges: Sequence[float], name: str, labels: Sequence[str] | None = None) -> Frame:
    def place(v: Any) -> Any:
        if v is None:
            return None
        number = sum(v >= e for e in edges)
        return number if labels is None else labels[number]

    return t.of(({**r, name: place(r[column])} for r in t.rows), **{name: "int" if labels is None else "text"})


def classify(t: Frame, *, column: str, classes: dict[str, Sequence[Any]], name: str, other: str | None = None) -> Frame:
    labels = {v: label for label, values in classes.items() for v in values}
    return t.of(
        ({**r, name: None if r[column] is None else labels.get(r[column], other)} for r in t.rows), **{name: "text"}
    )


def publish(t: Frame, *, digits: dict[str, int], method: str = "half_even") -> Frame:
    return t.of(
        ({**r, **{n: None if r[n] is None else rounded(r[n], d, method) for n, d in digits.items()}} for r in t.rows),
        **dict.fromkeys(digits, "float"),
    )


def companies(t: Frame, *, legal_form: str = "legal_form") -> Frame:
    return t.of(r for r in t.rows if r[legal_form] is not None and r[legal_form] not in NATURAL_FORMS)


# -- two tables -------------------------------------------------------------------------------


def join(left: Frame, right: Frame, *, on: Sequence[str], how: str = "inner") -> Frame:
    extra = {c: k for c, k in right.kinds.items() if c not in on}
    rows = []
    for a in left.rows:
        mine = [b for b in right.rows if all(a[k] is not None and a[k] == b[k] for k in on)]
        if how in ("semi", "anti"):
            rows += [a] if bool(mine) == (how == "semi") else []
        else:
            rows += [{**a, **{c: b[c] for c in extra}} for b in mine]
            rows += [{**a, **dict.fromkeys(extra)}] if how == "left" and not mine else []
    return left.of(rows, **({} if how in ("semi", "anti") else extra))


def latest_vintage(t: Frame, *, key: Sequence[str], known_at: str = "known_at", ties: Sequence[str] = ()) -> Frame:
    falling = [f"-{c}" for c in (known_at, *ties)]
    return t.of(in_order(rows, falling)[0] for rows in groups(t.rows, key).values())


def as_of_join(
    left: Frame, right: Frame, *, on: str, right_on: str, by: Sequence[str], right_until: str | None = None,
    max_age: dt.timedelta | None = None, ties: Sequence[str] = (),
) -> Frame:  # fmt: skip
    extra = {c: k for c, k in right.kinds.items() if c not in by and c not in left.kinds}
    rows = []
    for a in left.rows:
        mine = [
            b
            for b in right.rows
            if all(a[k] is not None and a[k] == b[k] for k in by)
            and a[on] is not None
            and b[right_on] is not None
            and b[right_on] <= a[on]
        ]
        found = next(iter(in_order(mine, [f"-{right_on}", *(f"-{c}" for c in ties)])), None)
        if found and right_until and found[right_until] is not None and found[right_until] < a[on]:
            found = None
        if found and max_age is not None and a[on] - found[right_on] > max_age:
            found = None
        rows.append({**a, **{c: found and found[c] for c in extra}})
    return left.of(rows, **extra)


def revisions(earlier: Frame, later: Frame, *, key: Sequence[str], measures: Sequence[str]) -> Frame:
    def line(k: tuple[Any, ...], old: Row | None, new: Row | None) -> Row:
        row = dict(zip(key, k, strict=True))
        for m in measures:
            before, after = old and old[m], new and new[m]
            row |= {f"{m}__before": before, f"{m}__after": after}
            if later.kinds[m] == "int":
                row[f"{m}__change"] = None if before is None or after is None else after - before
        changed = old and new and any(old[m] != new[m] for m in measures)
        row["status"] = "new" if old is None else "gone" if new is None else "revised" if changed else "same"
        return row

    olds = {tuple(r[k] for k in key): r for r in earlier.rows}
    news = {tuple(r[k] for k in key): r for r in later.rows}
    kinds = {k: later.kinds[k] for k in key}
    for m in measures:
        kinds |= {f"{m}__before": later.kinds[m], f"{m}__after": later.kinds[m]}
        kinds |= {f"{m}__change": "int"} if later.kinds[m] == "int" else {}
    rows = [line(k, olds.get(k), news.get(k)) for k in {**olds, **news}]
    return Frame({**kinds, "status": "text"}, rows)


# -- groups -----------------------------------------------------------------------------------


def group(t: Frame, *, by: Sequence[str], measures: dict[str, tuple[str, str | None]]) -> Frame:
    found = groups(t.rows, by) or ({} if by else {(): []})
    rows = [
        {**dict(zip(by, k, strict=True)), **{n: measure_of(mine, f, c) for n, (f, c) in measures.items()}}
        for k, mine in found.items()
    ]
    return Frame({**{c: t.kinds[c] for c in by}, **{n: measure_kind(t, f, c) for n, (f, c) in measures.items()}}, rows)


def group_sum(t: Frame, *, by: Sequence[str], **measures: str) -> Frame:
    return group(t, by=by, measures={n: ("sum", c) for n, c in measures.items()})


def quantile(t: Frame, *, by: Sequence[str], measure: str, levels: Sequence[float], name: str | None = None) -> Frame:
    names = [f"{name or measure}_p{round(q * 100, 6):g}".replace(".", "_") for q in levels]
    rows = []
    for k, mine in (groups(t.rows, by) or ({} if by else {(): []})).items():
        values = sorted(float(r[measure]) for r in mine if r[measure] is not None)
        row = dict(zip(by, k, strict=True))
        for n, q in zip(names, levels, strict=True):
            h = q * float(len(values) - 1)
            part = h - math.floor(h)
            mixed = values and values[math.floor(h)] * (1.0 - part) + values[math.ceil(h)] * part
            row[n] = mixed if values else None
        rows.append(row)
    return Frame({**{c: t.kinds[c] for c in by}, **dict.fromkeys(names, "float")}, rows)


def pivot(t: Frame, *, by: Sequence[str], column: str, codes: Any, measure: str) -> Frame:
    named = codes if isinstance(codes, dict) else {c: c for c in codes}
    rows = [
        {
            **dict(zip(by, k, strict=True)),
            **{n: measure_of([r for r in mine if r[column] == c], "sum", measure) for n, c in named.items()},
        }
        for k, mine in (groups(t.rows, by) or ({} if by else {(): []})).items()
    ]
    return Frame({**{c: t.kinds[c] for c in by}, **dict.fromkeys(named, "int")}, rows)


def unpivot(
    t: Frame, *, keep: Sequence[str], columns: Sequence[str], name: str = "name", value: str = "value"
) -> Frame:
    rows = [{**{k: r[k] for k in keep}, name: c, value: r[c]} for c in columns for r in t.rows]
    return Frame({**{k: t.kinds[k] for k in keep}, name: "text", value: t.kinds[columns[0]]}, rows)


# -- neighbours -------------------------------------------------------------------------------


def window(t: Frame, *, by: Sequence[str], order: Sequence[str], columns: dict[str, Sequence[Any]]) -> Frame:
    plain = [w.removeprefix("-") for w in order]
    rows = []
    for mine in groups(t.rows, by).values():
        mine = in_order(mine, order)
        marks = [tuple(r[c] for c in plain) for r in mine]
        for n, r in enumerate(mine):
            new: Row = {}
            for name, (function, *rest) in columns.items():
                match function:
                    case "number":
                        new[name] = n + 1
                    case "rank":
                        new[name] = marks.index(marks[n]) + 1
                    case "dense_rank":
                        new[name] = list(dict.fromkeys(marks)).index(marks[n]) + 1
                    case "cumulative":
                        new[name] = measure_of(mine[: n + 1], "sum", rest[0])
                    case _:
                        at = n + (rest[1] if function == "lead" else -rest[1])
                        new[name] = mine[at][rest[0]] if 0 <= at < len(mine) else None
            rows.append({**r, **new})
    kinds = {n: t.kinds[str(c[1])] if c[0] in ("lag", "lead") else "int" for n, c in columns.items()}
    return t.of(rows, **kinds)


def rolling(
    t: Frame, *, by: Sequence[str], order: str, columns: dict[str, tuple[str, str | None]], rows: int | None = None,
    periods: int | None = None, unit: str | None = None,
) -> Frame:  # fmt: skip
    found = []
    for mine in groups(t.rows, by).values():
        mine = in_order(mine, [order])
        for n, r in enumerate(mine):
            if rows is not None:
                seen = mine[max(0, n - rows + 1) : n + 1]
            elif r[order] is None:
                found.append({**r, **dict.fromkeys(columns)})
                continue
            else:
                here = index_of(r[order], str(unit))
                dated = [s for s in mine if s[order] is not None]
                seen = [s for s in dated if 0 <= here - index_of(s[order], str(unit)) < int(periods or 0)]
            found.append({**r, **{c: measure_of(seen, f, x) for c, (f, x) in columns.items()}})
    return t.of(found, **{n: measure_kind(t, f, c) for n, (f, c) in columns.items()})


def shares(
    t: Frame, *, by: Sequence[str], measure: str, name: str, digits: int, scale: int = 100, method: str = "half_even"
) -> Frame:
    rows = []
    for mine in groups(t.rows, by).values():
        total = measure_of(mine, "sum", measure)
        for r in mine:
            v = r[measure]
            share = None if v is None or not total else rounded(float(v) * float(scale) / float(total), digits, method)
            rows.append({**r, name: share})
    return t.of(rows, **{name: "float"})


def fill_forward(t: Frame, *, by: Sequence[str], order: Sequence[str], columns: Sequence[str]) -> Frame:
    rows = []
    for mine in groups(t.rows, by).values():
        last: Row = dict.fromkeys(columns)
        for r in in_order(mine, order):
            last = {c: last[c] if r[c] is None else r[c] for c in columns}
            rows.append({**r, **last})
    return t.of(rows)


# -- contributors -----------------------------------------------------------------------------


def contributions(t: Frame, *, dims: Sequence[str], measure: str, group: str, key: Sequence[str] = ()) -> Frame:
    del key  # says how to compute, not what
    rows = [
        {**dict(zip((*dims, group), k, strict=True)), measure: measure_of(mine, "sum", measure) or 0}
        for k, mine in groups(t.rows, [*dims, group]).items()
    ]
    return Frame({**{c: t.kinds[c] for c in (*dims, group)}, measure: "int"}, rows)


def top_contributions(
    t: Frame, *, dims: Sequence[str], measure: str, group: str, top: int = 3, name: str | None = None,
    key: Sequence[str] = (),
) -> Frame:  # fmt: skip
    part = name or measure
    given = contributions(t, dims=dims, measure=measure, group=group, key=key)
    rows = []
    for k, mine in (groups(given.rows, dims) or ({} if dims else {(): []})).items():
        values = [r[measure] for r in mine]
        sizes = [*sorted((abs(v) for v in values), reverse=True), *[0] * top]
        row = {**dict(zip(dims, k, strict=True)), part: sum(values), f"{part}__groups": sum(v != 0 for v in values)}
        rows.append(row | {f"{part}__top{n + 1}": sizes[n] for n in range(top)})
    names = [part, f"{part}__groups", *(f"{part}__top{n + 1}" for n in range(top))]
    return Frame({**{c: t.kinds[c] for c in dims}, **dict.fromkeys(names, "int")}, rows)


def concentration(
    t: Frame, *, dims: Sequence[str], measure: str, group: str, digits: int = 4, name: str | None = None,
    key: Sequence[str] = (),
) -> Frame:  # fmt: skip
    part = name or measure
    given = contributions(t, dims=dims, measure=measure, group=group, key=key)
    rows = []
    for k, mine in (groups(given.rows, dims) or ({} if dims else {(): []})).items():
        sizes = [abs(r[measure]) for r in mine if r[measure]]
        with localcontext(prec=120):
            exact = Decimal(sum(s * s for s in sizes) * 10**digits) / Decimal(sum(sizes) ** 2) if sizes else None
            index = None if exact is None else int(exact.to_integral_value(ROUND_HALF_EVEN))
        rows.append({**dict(zip(dims, k, strict=True)), f"{part}__hhi": index, f"{part}__contributors": len(sizes)})
    return Frame({**{c: t.kinds[c] for c in dims}, f"{part}__hhi": "int", f"{part}__contributors": "int"}, rows)


def parts(
    t: Frame, *, dims: Sequence[str], measure: str, group: str, totals: Sequence[str] = (), name: str | None = None,
    top: int = 3,
) -> Frame:  # fmt: skip
    def text(v: Any) -> Any:
        return None if v is None else v.isoformat() if isinstance(v, dt.date) else str(v)

    t = t.of(({**r, **{d: text(r[d]) for d in dims}} for r in t.rows), **dict.fromkeys(dims, "text"))
    whole: Frame | None = None
    for count in range(len(totals) + 1):
        for summed in itertools.combinations(totals, count):
            level = t.of({**r, **dict.fromkeys(summed, "_T")} for r in t.rows)
            piece = top_contributions(level, dims=dims, measure=measure, group=group, name=name, top=top)
            whole = piece if whole is None else union(whole, piece)
    assert whole is not None
    return order(whole, by=dims)

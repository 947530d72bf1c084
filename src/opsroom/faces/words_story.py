"""The story: sentences generated from the releases as of a day, for page, briefing and terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import chain
from typing import Any

from opsroom.base.errors import InternalError
from opsroom.faces import words as w
from opsroom.faces.codes import currency_of, headline_of, news_title, piece_of, section_name, series_title
from opsroom.faces.reader import Desk, ReleasesReader, bounds, day_of, desk_at, number, one, records, strongest
from opsroom.faces.words import Sentence
from opsroom.faces.words_public import activity, gaps, growth, late, levels, restrictions
from opsroom.faces.words_record import Part, record
from opsroom.faces.words_withheld import withheld

TOPICS = ("work", "output", "credit", "options", "record")


def story(releases: ReleasesReader, day: date | str | None = None) -> list[Sentence]:
    """Tell what was known on a day, in sentences generated from stored releases.

    Parameters
    ----------
    releases
        Reader of stored releases.
    day
        Day of publication; the last one on or before it is told. None tells the latest.

    Returns
    -------
    list of Sentence
        In the order of the loop: work, output, credit, options, record. A sentence whose numbers
        were not published is left out; of those that are suppressed, one says that they are.

    Raises
    ------
    AsOfError
        If nothing had been published by that day.
    """
    return tell(desk_at(releases, day))


def tell(desk: Desk) -> list[Sentence]:
    """Tell what was known at a desk; see `story`."""
    told: list[Sentence] = []
    for topic, parts in (
        ("work", _work),
        ("output", _output),
        ("credit", _credit),
        ("options", _options),
        ("record", record),
    ):
        for message, values, used in chain(parts(desk), withheld(desk, topic)):
            text = w.say(message, **values)
            # A number that is not there must never become a word on a page.
            if any(value is None or str(value) in ("None", "nan", "") for value in values.values()):
                raise InternalError(f"message {message!r} was given an empty value.")
            told.append(
                Sentence(message, text, topic, tuple(r.id for r in used), {k: str(v) for k, v in values.items()})
            )
    return told


def _work(desk: Desk) -> Iterator[Part]:
    yield from _at_work(desk)
    yield from restrictions(desk)


def _at_work(desk: Desk) -> Iterator[Part]:
    release = desk.get("resumption.national")
    if release is None:
        return
    at = str(release.facts.get("reference_date", ""))
    rows = {
        (weight, size): one(release, date=at, weight=weight, size=size)
        for weight in ("count", "jobs", "sales")
        for size in ("_T", "sme")
    }
    main = rows["count", "_T"]
    share, band = number(main, "resumed"), bounds(main, "resumed")
    if share is None or band is None:
        return
    values = {"date": w.day(at), "resumed": w.percent(share), "interval": w.interval(*band)}
    small, small_band = number(rows["count", "sme"], "resumed"), bounds(rows["count", "sme"], "resumed")
    if small is not None and small_band is not None:
        yield (
            "story.at_work_sme",
            {**values, "sme": w.percent(small), "sme_interval": w.interval(*small_band)},
            (release,),
        )
    else:
        yield "story.at_work", values, (release,)
    jobs, jobs_band = number(rows["jobs", "_T"], "resumed"), bounds(rows["jobs", "_T"], "resumed")
    sales, sales_band = number(rows["sales", "_T"], "resumed"), bounds(rows["sales", "_T"], "resumed")
    if jobs is not None and jobs_band and sales is not None and sales_band:
        yield (
            "story.weighted",
            {
                "jobs": w.percent(jobs),
                "jobs_interval": w.interval(*jobs_band),
                "sales": w.percent(sales),
                "sales_interval": w.interval(*sales_band),
            },
            (release,),
        )
    capacity, capacity_band = number(main, "capacity"), bounds(main, "capacity")
    if capacity is not None and capacity_band:
        yield (
            "story.capacity",
            {"capacity": w.percent(capacity), "interval": w.interval(*capacity_band)},
            (release,),
        )
    coverage, companies = number(main, "coverage"), number(main, "companies")
    cohort = release.facts.get("cohort_day")
    if coverage is not None and companies is not None and cohort:
        yield (
            "story.coverage",
            {
                "coverage": w.percent(coverage, 0),
                "companies": w.number(companies),
                "cohort": w.day(cohort),
                "n": int(release.facts.get("incomplete_days", 0)),
            },
            (release,),
        )
    yield from _moved(desk, release)
    naive = number(main, "uncorrected")
    if naive is not None and abs(naive - share) >= 0.05:
        sense = w.say("words.too_high" if naive > share else "words.too_low")
        yield (
            "story.uncorrected",
            {"uncorrected": w.percent(naive), "gap": w.number(abs(naive - share), 1), "sense": sense},
            (release,),
        )
    turn = release.facts.get("turning_point")
    if turn:
        low, high = release.facts.get("turning_point_lower"), release.facts.get("turning_point_upper")
        if low and high:
            yield (
                "story.turning",
                {"date": w.day(turn), "interval": f"90 % interval {w.days(str(low), str(high))}"},
                (release,),
            )
        else:
            yield "story.turning_plain", {"date": w.day(turn)}, (release,)


def _moved(desk: Desk, release: Any) -> Iterator[Part]:
    change, before = desk.get("resumption.change"), desk.before("resumption.national")
    if change is None or before is None or day_of(change.day) != day_of(release.day):
        return
    parts = {
        c: number(one(change, component=c, weight="count"), "value")
        for c in ("activity", "late_data", "revision", "_T")
    }
    at = str(before.facts.get("reference_date", ""))
    said = number(one(before, date=at, weight="count", size="_T"), "resumed")
    if said is None or any(v is None for v in parts.values()):
        return
    week = (day_of(release.day) - day_of(before.day)).days == 7
    yield (
        "story.change" if week else "story.change_since",
        {
            **({} if week else {"said_on": w.day(day_of(before.day))}),
            "before": w.percent(said),
            "before_date": w.day(at),
            "total": w.signed(parts["_T"] or 0.0),
            "activity": w.signed(parts["activity"] or 0.0),
            "late": w.signed(parts["late_data"] or 0.0),
            "revision": w.signed(parts["revision"] or 0.0),
        },
        (change, before),
    )


def _output(desk: Desk) -> Iterator[Part]:
    yield from _nowcast(desk)
    for name in desk.names():
        release = desk.get(name)
        if name.startswith("activity.") and release is not None:
            yield from activity(desk, release)
    yield from growth(desk)
    if all(name.endswith(".levels") for name in desk.names()):
        yield from levels(desk)  # where the room has methods at work, they tell more than levels


def _pooled(release: Any, quarter: str) -> Iterator[Part]:
    """Say what the models say together, once they have earned their weights; whose weight is largest, if that is the
    headline."""
    row = one(release, quarter=quarter, kind="pool")
    growth, band = number(row, "growth"), bounds(row, "growth")
    weights, past = release.facts.get("pool_weights") or {}, int(release.facts.get("pool_past") or 0)
    if growth is None or band is None or not weights or not past:
        return
    first = max(weights, key=lambda model: float(weights[model]))
    values = {"pool": w.percent(growth), "interval": w.interval(*band)}
    share = w.percent(100.0 * float(weights[first]), 0)
    weighed = {"n": past, "first": w.say(f"words.member_{first}"), "share": share}
    if headline_of(release) == "pool":
        yield "story.nowcast_pooled", weighed, (release,)
        return
    yield "story.nowcast_pool", {**values, **weighed}, (release,)
    before, moves = (release.facts.get("previous") or {}).get("pool"), release.facts.get("pool_news") or []
    if before is None or not moves:
        return
    others = sum(float(n["contribution"]) for n in moves if piece_of(n) in ("models", "shares"))
    own = sum(float(n["contribution"]) for n in moves) - others
    if max(abs(own), abs(others)) >= 0.005:
        said = {"before": w.percent(float(before)), "own": w.signed(own, 2), "others": w.signed(others, 2)}
        yield "story.nowcast_pool_news", said, (release,)


def _nowcast(desk: Desk) -> Iterator[Part]:
    release = desk.get("nowcast.gdp")
    if release is None:
        return
    quarter = str(release.facts.get("target_quarter", ""))
    first = headline_of(release)
    row = one(release, quarter=quarter, kind=first)
    growth, band = number(row, "growth"), bounds(row, "growth")
    if growth is None or band is None:
        return
    yield (
        "story.nowcast",
        {"quarter": w.period(quarter), "growth": w.percent(growth), "interval": w.interval(*band)},
        (release,),
    )
    naive = number(one(release, quarter=quarter, kind="ar1"), "growth")
    if naive is not None:
        yield "story.nowcast_ar1", {"ar1": w.percent(naive)}, (release,)
    yield from _pooled(release, quarter)
    if first == "pool":
        alone = one(release, quarter=quarter, kind="nowcast")
        said, around = number(alone, "growth"), bounds(alone, "growth")
        if said is not None and around is not None:
            yield "story.nowcast_model", {"model": w.percent(said), "interval": w.interval(*around)}, (release,)
    previous = release.facts.get("previous") or {}
    before = previous.get("pool" if first == "pool" else "growth")
    if before is not None and previous.get("day"):
        yield (
            "story.nowcast_before",
            {"date": w.day(previous["day"]), "before": w.percent(float(before))},
            (release,),
        )
    # News that rounds to nothing is no news.
    family = "pool_news" if first == "pool" else "news"
    news = [n for n in release.facts.get(family) or [] if abs(float(n.get("contribution") or 0.0)) >= 0.005]
    if news:
        top = max(news, key=lambda n: abs(float(n["contribution"])))
        moved = {"contribution": w.signed(float(top["contribution"]), 2)}
        if piece := piece_of(top):
            yield f"story.nowcast_{piece}", moved, (release,)
        else:
            yield "story.nowcast_news", {"series": news_title(release, top), **moved}, (release,)
    following = release.facts.get("next_release") or {}
    if following.get("series") and following.get("date"):
        yield (
            "story.nowcast_next",
            {
                "series": series_title(release, str(following["series"])),
                "date": w.day(following["date"]),
            },
            (release,),
        )


def _credit(desk: Desk) -> Iterator[Part]:
    yield from _loans(desk)
    yield from late(desk)


def _loans(desk: Desk) -> Iterator[Part]:
    credit = desk.get("credit.gap")
    if credit is not None:
        yield from gaps(credit)
    loans = desk.get("loans.section")
    if loans is not None:
        month = max((str(r["month"]) for r in records(loans)), default="")
        row = one(loans, month=month, section="_T")
        late, eased = number(row, "delinquent"), number(row, "forborne")
        if late is not None and eased is not None:
            values = {"month": w.period(month), "delinquent": w.percent(late)}
            if eased < 0.05:
                yield "story.arrears_no_holiday", values, (loans,)
            else:
                values |= {"arrears": w.percent(late + eased), "forborne": w.percent(eased)}
                yield "story.arrears", values, (loans,)
        if (collection := number(row, "collection")) is not None and collection >= 0.05:
            yield "story.collection", {"collection": w.number(collection, 1)}, (loans,)
        flagged = [
            section_name(desk, str(r["section"]))
            for r in sorted(records(loans, month=month), key=lambda r: -(number(r, "z") or 0.0))
            if r.get("warning") == "yes" and r["section"] != "_T"
        ]
        if len(flagged) > 4:
            values = {"n": str(len(flagged)), "sections": w.listing(flagged[:3])}
            yield "story.warnings_many", values, (loans,)
        elif flagged:
            yield "story.warnings", {"sections": w.listing(flagged)}, (loans,)
        elif month:
            hidden = any(r.get("warning") is None for r in records(loans, month=month))
            yield "story.no_warnings_shown" if hidden else "story.no_warnings", {}, (loans,)
    liquidity = desk.get("liquidity.section")
    if liquidity is not None:
        month = max((str(r["month"]) for r in records(liquidity)), default="")
        jobs = number(one(liquidity, month=month, section="_T", size="_T"), "jobs_under_30_days")
        if jobs is not None:
            yield "story.liquidity", {"jobs": w.number(jobs), "month": w.period(month)}, (liquidity,)


def last_month(release: Any) -> str:
    """Return the last month of the horizon."""
    return max((str(r["month"]) for r in records(release) if r["month"] != "all"), default="")


def _options(desk: Desk) -> Iterator[Part]:
    release = desk.get("relief.options")
    if release is None:
        return
    month = last_month(release)
    none = one(release, option="none", month=month, section="_T")
    firms, band, jobs = (
        number(none, "illiquid_companies"),
        bounds(none, "illiquid_companies"),
        number(none, "jobs_at_risk"),
    )
    if firms is not None and band is not None and jobs is not None:
        yield (
            "story.none",
            {
                "companies": w.number(firms),
                "interval": f"90 % interval {w.interval(*band, 0)}",
                "jobs": w.number(jobs),
                "month": w.period(month),
            },
            (release,),
        )
    yield from _deadline(desk, release)
    best = strongest(release)
    row = one(release, option=best, month="all", section="_T") if best else None
    classes = {c: number(row, c) for c in ("decisive", "windfall", "futile", "cliff")}
    saved = number(row, "jobs_decisive")
    if best and saved is not None and all(v is not None for v in classes.values()):
        values = {k: w.number(v or 0.0) for k, v in classes.items()}
        values |= {"option": w.label("option_long", best), "jobs": w.number(saved)}
        # At equal cost an option may run longer or shorter than the one it is compared with.
        own = (release.facts.get("options") or {}).get(best) or {}
        months = own.get("months", release.facts.get("months"))
        if months is not None:
            accrues = "words.accrues" if release.facts.get("interest_accrues") else "words.accrues_not"
            yield (
                "story.holiday",
                {
                    **values,
                    "months": w.number(float(months), 0 if float(months).is_integer() else 1),
                    "accrues": w.say(accrues),
                },
                (release,),
            )
        else:
            yield "story.holiday_plain", values, (release,)
    yield from _whom(desk, release, best)
    yield from _cost(release, row)


def _cost(release: Any, row: dict[str, Any] | None) -> Iterator[Part]:
    """Say what an option defers, needs and puts at risk, each by itself."""
    deferred, outlay, contingent = (number(row, name) for name in ("deferred", "outlay", "contingent"))
    losses = {whom: number(row, f"expected_loss_{whom}") for whom in ("bank", "state", "other")}
    if deferred is None or outlay is None or contingent is None or all(v is None for v in losses.values()):
        return
    unit = currency_of(release)
    needs = w.say("words.outlay", amount=w.money(outlay, unit)) if outlay else w.say("words.outlay_none")
    change = str(release.facts.get("expected_loss", "")).startswith("change")
    known = {whom: v for whom, v in losses.items() if v is not None}
    values = {
        "deferred": w.money(deferred, unit),
        "outlay": needs,
        "losses": _loss_changes(known, unit) if change else w.say("words.losses_level", amounts=_at(known, unit)),
        "contingent": w.money(contingent, unit),
    }
    yield "story.cost", values, (release,)


def _loss_changes(losses: dict[str, float], unit: str) -> str:
    """Say by how much expected losses fall at some and rise at others."""
    falls = {whom: -v for whom, v in losses.items() if v < 0}
    rises = {whom: v for whom, v in losses.items() if v > 0}
    if falls and rises:
        first, second = _at(falls, unit), _at(rises, unit)
        lower, more = w.say("words.losses_lower", amounts=first), w.say("words.losses_raise", amounts=second)
        changes = w.say("words.and_but", first=lower, second=more)
    elif falls:
        changes = w.say("words.losses_lower", amounts=_at(falls, unit))
    elif rises:
        changes = w.say("words.losses_raise_alone", amounts=_at(rises, unit))
    else:
        changes = w.say("words.losses_same")
    return w.say("words.losses_change", changes=changes)


def _at(losses: dict[str, float], unit: str) -> str:
    """List amounts with those who bear them; the currency stands once, with the first."""
    said = [
        w.say("words.loss_at", amount=w.money(v, "" if k else unit), whom=w.say(f"words.whom_{whom}"))
        for k, (whom, v) in enumerate(losses.items())
    ]
    return w.listing(said)


def _whom(desk: Desk, release: Any, best: str | None) -> Iterator[Part]:
    """Name the sections with most of the jobs that the option saves."""
    if best is None:
        return
    rows = [r for r in records(release, option=best, month="all") if r["section"] != "_T"]
    known = [r for r in rows if (number(r, "jobs_decisive") or 0.0) > 0]
    if len(known) < 3:
        return
    top = sorted(known, key=lambda r: (-float(r["jobs_decisive"]), str(r["section"])))[:3]
    named = [f"{section_name(desk, str(r['section']))} ({w.number(float(r['jobs_decisive']))})" for r in top]
    yield "story.whom", {"sections": w.listing(named)}, (release,)


def _deadline(desk: Desk, release: Any) -> Iterator[Part]:
    given = release.facts.get("deadline") or {}
    other = desk.get("relief.deadline")
    at = given.get("date") or (other.facts.get("last_date_half") if other is not None else None)
    if at:
        late = str(at)[:10] < desk.day.isoformat()
        yield "story.deadline_past" if late else "story.deadline", {"date": w.day(str(at))}, (release,)
        return
    reached = [r for r in records(other) if number(r, "share_reached") is not None]
    if other is not None and reached and float(reached[-1]["share_reached"]) > 50.0:
        last = reached[-1]
        values = {"date": w.day(str(last["start"])), "share": w.percent(float(last["share_reached"]), 0)}
        yield "story.deadline_later", values, (other,)

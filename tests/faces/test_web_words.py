"""Words and story: every message has its values, every sentence its releases, every number its form."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from opsroom.base.errors import AsOfError, InternalError, UsageError
from opsroom.faces import words as w
from opsroom.faces.figures.output import news, nowcast
from opsroom.faces.kpis import kpis
from opsroom.faces.reader import Desk, desk_at
from opsroom.faces.words_en import ENGLISH
from opsroom.faces.words_story import TOPICS, story


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (w.number(-0.04, 1), "0.0"),
        (w.number(-2.3, 1), "−2.3"),
        (w.number(41230), "41,230"),
        (w.signed(0.0), "0.0"),
        (w.signed(1.25, 2), "+1.25"),
        (w.signed(-0.01), "0.0"),
        (w.signed(0.04), "0.0"),
        (w.percent(34.12), "34.1\u00a0%"),
        (w.interval(-1.0, 2.0), "−1.0 to 2.0"),
        (w.money(2.1e9, "MER"), "MER\u00a02.1\u00a0billion"),
        (w.money(950_000.0, "MER"), "MER\u00a0950,000"),
        (w.money(11.04e6, "MER"), "MER\u00a011\u00a0million"),
        (w.money(9.96e6, ""), "10\u00a0million"),
        (w.amount(-7.52e6), "−7.5\u00a0m"),
        (w.days("2020-02-06", "2020-02-10"), "6 to 10\u00a0February\u00a02020"),
        (w.days("2020-01-28", "2020-02-03"), "28\u00a0January to 3\u00a0February\u00a02020"),
        (w.days("2019-12-28", "2020-01-03"), "28\u00a0December\u00a02019 to 3\u00a0January\u00a02020"),
        (w.days("2020-02-06", "2020-02-06"), "6\u00a0February\u00a02020"),
        (w.upper_first("nowcast of GDP"), "Nowcast of GDP"),
        (w.day("2020-03-04"), "4\u00a0March\u00a02020"),
        (w.at("2020-03-04T17Z"), "on 4\u00a0March\u00a02020, 17:00\u00a0UTC"),
        (w.period("2020-03-04T17:15Z"), "4\u00a0March\u00a02020, 17:15\u00a0UTC"),
        (w.period("2020-W10"), "week 10 of 2020"),
        (w.period("2020-03"), "March\u00a02020"),
        (w.period("2020-Q1"), "2020\u00a0Q1"),
        (w.period("_T"), "_T"),
        (w.at("2020-03-04"), "on 4\u00a0March\u00a02020"),
        (w.at("2020-Q1"), "in 2020\u00a0Q1"),
        (w.listing(["a"]), "a"),
        (w.listing(["a", "b", "c"]), "a, b and c"),
        (w.listing([]), ""),
        (w.with_unit(-2.3, "% q/q", 1), "−2.3\u00a0% q/q"),
        (w.with_unit(5.0, "MER", 0), "MER\u00a05"),
        (w.with_unit(5.0, "jobs", 0), "5\u00a0jobs"),
    ],
)
def test_numbers_in_words(text: str, wanted: str) -> None:
    assert text == wanted


def test_catalogue_is_sound() -> None:
    for message, text in ENGLISH.items():
        assert w.fields(message) is not None, message
        assert "TODO" not in text
        if message.startswith("story."):
            assert text.endswith("."), message


def test_every_message_named_in_the_faces_exists() -> None:
    from importlib.resources import files

    root = files("opsroom.faces")
    missing = set()
    for path in root.rglob("*"):  # type: ignore[attr-defined]  # a folder of an installed package is a Path
        if path.suffix in (".py", ".html"):
            for message in re.findall(r"say\(\s*\"([a-z_.A-Z]+)\"", path.read_text("utf-8")):
                if message not in ENGLISH and not message.endswith("."):
                    missing.add(message)
    assert not missing


def test_translators_get_a_template() -> None:
    text = w.template()
    assert text.count("msgid ") == len(ENGLISH) + 1


def test_another_language_replaces_the_english(tmp_path: Any) -> None:
    import struct

    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    pairs = [(b"", b"Content-Type: text/plain; charset=UTF-8\n"), (b"words.above", "über".encode())]
    # A .mo file by hand: header, two tables of (length, offset), then the strings.
    offset = 28 + 16 * len(pairs)
    tables, strings = [], b""
    for column in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<II", len(pair[column]), offset + len(strings)))
            strings += pair[column] + b"\0"
    header = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    (folder / "opsroom.mo").write_bytes(header + b"".join(tables) + strings)
    german = w.Catalogue("de", tmp_path)
    assert german.say("words.above") == "über"
    assert german.say("words.below") == "below"


def test_unknown_message_is_a_defect() -> None:
    with pytest.raises(InternalError):
        w.say("no.such.message")


def test_story_says_what_it_must(meridia_releases: Any) -> None:
    told = {s.id: s.text for s in story(meridia_releases, "2020-03-04")}
    assert {
        "story.at_work_sme",
        "story.weighted",
        "story.coverage",
        "story.change",
        "story.uncorrected",
        "story.none",
        "story.deadline",
        "story.holiday",
        "story.whom",
        "story.cost",
        "story.score_resumption",
        "story.score_nowcast",
        "story.nowcast",
        "story.arrears",
    } <= set(told)
    assert "never added up" in told["story.cost"]
    assert "jobs at risk are not jobs lost" in told["story.none"]
    assert "not annualised" in told["story.nowcast"]
    assert "last 2 days are still incomplete" in told["story.coverage"]


def test_numbers_of_a_sentence_are_those_of_its_release(meridia_releases: Any) -> None:
    release = meridia_releases.get("resumption.national", date(2020, 3, 4))
    at = release.facts["reference_date"]
    row = next(r for r in release.rows if r[:3] == (at, "count", "_T"))
    sentence = story(meridia_releases, "2020-03-04")[0]
    assert sentence.releases == (release.id,)
    assert sentence.values["resumed"] == w.percent(row[3])
    assert sentence.values["interval"] == w.interval(row[4], row[5])


def test_parts_of_the_change_add_up(meridia_releases: Any) -> None:
    sentence = next(s for s in story(meridia_releases, "2020-04-22") if s.id == "story.change")

    def value(name: str) -> float:
        return float(sentence.values[name].replace("−", "-"))

    assert value("activity") + value("late") + value("revision") == pytest.approx(value("total"))


@pytest.mark.parametrize("index", range(23))
def test_story_of_every_day_is_whole(meridia_releases: Any, builder: Any, index: int) -> None:
    told = story(meridia_releases, builder.WEDNESDAYS[index])
    assert told
    assert [TOPICS.index(s.topic) for s in told] == sorted(TOPICS.index(s.topic) for s in told)
    for sentence in told:
        assert not re.search(r"\bNone\b|\bnan\b|\{|\}", sentence.text)
        assert sentence.releases


def test_story_says_what_is_suppressed_and_no_more(builder: Any) -> None:
    day = builder.WEDNESDAYS[6]
    measures = [
        ("resumed", "%", "share", 1, ["resumed_lower", "resumed_upper"]),
        ("coverage", "%", "share", 1, []),
        ("companies", "companies", "count", 0, []),
    ]
    rows = [["2020-03-01", "count", "_T", None, None, None, None, None]]
    release = builder.make("resumption.national", day, ["date", "weight", "size"], measures, rows,
                           {"reference_date": "2020-03-01", "cohort_day": "2020-01-17"})  # fmt: skip
    [told] = story(builder.MemoryReleases([release], {}))
    assert told.text == (
        "Withheld here, for they could betray single companies: the share of companies at work and how many "
        "companies the figure rests on."
    )
    assert told.releases == (release.id,)


def test_losses_fall_or_rise_in_words_without_a_minus_sign() -> None:
    from opsroom.faces.words_story import _loss_changes

    assert _loss_changes({"bank": -198e6, "state": -11e6, "other": -7.5e6}, "MER") == (
        "Against doing nothing it lowers expected losses by MER\u00a0198\u00a0million at banks, "
        "11\u00a0million at the state and 7.5\u00a0million at others."
    )
    assert _loss_changes({"bank": -2e6, "state": 3e6, "other": 0.0}, "MER") == (
        "Against doing nothing it lowers expected losses by MER\u00a02.0\u00a0million at banks "
        "but raises them by MER\u00a03.0\u00a0million at the state."
    )
    assert _loss_changes({"bank": 2e6}, "MER").startswith("Against doing nothing it raises expected losses by")
    assert "as they are" in _loss_changes({"bank": 0.0}, "MER")


def test_the_story_reads_well_on_every_day(meridia_releases: Any, builder: Any) -> None:
    for day in builder.WEDNESDAYS:
        for sentence in story(meridia_releases, day):
            assert not re.search(r"[A-Z]{3}\u00a0[−-]|outlay of MER\u00a00| are [A-Z][a-z]+ sales, on", sentence.text)
            assert "holiday_" not in sentence.text


def test_a_model_estimated_anew_is_no_data_release(builder: Any) -> None:
    day = builder.WEDNESDAYS[6]
    measures = [("growth", "%", "public", 2, ["growth_lower", "growth_upper"])]

    def told(contribution: float) -> dict[str, str]:
        facts = {"target_quarter": "2020-Q1", "news": [{"series": "parameters", "contribution": contribution}]}
        rows = [["2020-Q1", "nowcast", 0.7, 0.3, 1.1]]
        release = builder.make("nowcast.gdp", day, ["quarter", "kind"], measures, rows, facts)
        return {s.id: s.text for s in story(builder.MemoryReleases([release], {}))}

    assert told(0.04)["story.nowcast_parameters"] == "Estimating the model anew moved it most (+0.04 points)."
    assert not {"story.nowcast_news", "story.nowcast_parameters"} & set(told(0.004))


def test_news_of_all_models_together_are_told_and_drawn_in_one_sum(builder: Any) -> None:
    day = builder.WEDNESDAYS[6]
    measures = [("growth", "%", "public", 2, ["growth_lower", "growth_upper"])]
    moves = {"Electricity": -0.25, "models": -0.11, "shares": 0.02, "parameters": 0.05}
    facts = {
        "target_quarter": "2020-Q1", "pool_past": 12, "pool_weights": {"nowcast": 0.6, "bridge": 0.4, "ar1": 0.0},
        "previous": {"day": "2020-02-26", "growth": 0.9, "pool": 0.8}, "titles": {},
        "news": [{"series": "Electricity", "contribution": -0.42}],
        "pool_news": [{"series": s, "contribution": c} for s, c in moves.items()],
    }  # fmt: skip
    rows = [["2020-Q1", "nowcast", 0.7, 0.3, 1.1], ["2020-Q1", "pool", 0.51, 0.1, 1.0]]

    def made(**more: Any) -> Any:
        release = builder.make("nowcast.gdp", day, ["quarter", "kind"], measures, rows, facts | more)
        return builder.MemoryReleases([release], {})

    told = {s.id: s.text for s in story(made())}["story.nowcast_pool_news"]
    assert "said 0.8" in told
    assert "\u22120.20 points are the news of the factor model" in told
    assert "\u22120.09 points what the other models and the weights changed" in told
    figure = news(Desk(made(), day, {}))
    assert figure is not None
    assert figure.caption.finding.startswith("Together, the models went from 0.80")
    shown = {row[1]: row[2] for row in figure.rows}
    assert shown["Bridge equations and past GDP"] == -0.11
    assert sum(shown.values()) == pytest.approx(0.51 - 0.8, abs=0.005)
    # A series may be called like what no series has brought.
    called = [
        {"series": "models", "kind": "", "contribution": 0.3},
        {"series": "", "kind": "models", "contribution": -0.1},
    ]
    figure = news(Desk(made(pool_news=called, titles={"models": "Car models"}), day, {}))
    assert figure is not None
    assert {row[1]: row[2] for row in figure.rows} == {"Car models": 0.3, "Bridge equations and past GDP": -0.1}
    assert figure.caption.finding.endswith("most of all through Car models")
    told = {s.id: s.text for s in story(made(pool_news=called))}["story.nowcast_pool_news"]
    assert "\u22120.10 points what the other models" in told
    # Where the room puts the pool first, the model stands beside it, in the story and in the figure.
    pooled = made(headline="pool")
    told = {s.id: s.text.replace("\u00a0", " ") for s in story(pooled)}
    assert "is put at 0.5 % on the quarter before, not annualised (90 % interval 0.1 to 1.0)" in told["story.nowcast"]
    assert "the largest weight (60 %) goes to the factor model" in told["story.nowcast_pooled"]
    assert told["story.nowcast_model"].startswith("The factor model alone says 0.7 %")
    assert "said 0.8 %" in told["story.nowcast_before"]
    assert "Electricity" in told["story.nowcast_news"]
    assert "\u22120.25" in told["story.nowcast_news"]
    assert not {"story.nowcast_pool", "story.nowcast_pool_news"} & set(told)
    (card,) = [k for k in kpis(Desk(pooled, day, {})) if k.id == "nowcast"]
    assert card.value.replace("\u00a0", " ") == "0.5 %"
    drawn = nowcast(Desk(pooled, day, {}))
    assert drawn is not None
    assert dict(zip(drawn.columns, drawn.rows[0], strict=True))["growth"] == 0.51
    assert dict(zip(drawn.columns, drawn.rows[0], strict=True))["model"] == 0.7
    assert drawn.caption.finding.replace("\u00a0", " ").endswith("0.5 %")
    # Weights that have no past say nothing yet: the factor model's own news.
    alone = news(Desk(made(pool_past=0), day, {}))
    assert alone is not None
    assert [row[1] for row in alone.rows] == ["Electricity"]


def test_story_of_a_public_room(public_releases: Any) -> None:
    told = {s.id for s in story(public_releases)}
    assert {"story.activity", "story.credit_gap", "story.nowcast"} <= told
    assert not [m for m in told if m.startswith("story.at_work")]


def test_story_before_the_first_release(meridia_releases: Any) -> None:
    with pytest.raises(AsOfError):
        story(meridia_releases, "2019-01-01")
    with pytest.raises(UsageError):
        story(meridia_releases, "tomorrow")


def test_a_cost_is_told_without_the_part_that_is_withheld(builder: Any) -> None:
    day = builder.WEDNESDAYS[6]
    # the builder's status of a row follows from its first measure
    measures = [(f"expected_loss_{whom}", "MER", "sum", 0, []) for whom in ("state", "bank", "other")]
    measures += [(name, "MER", "sum", 0, []) for name in ("deferred", "outlay", "contingent")]
    measures += [(name, "companies", "count", 0, []) for name in ("decisive", "windfall", "futile", "cliff")]
    rows = [
        ["none", "all", "_T", *[0] * 10],
        ["holiday_both", "all", "_T", None, -3_000_000, -2_000_000, 5_000_000, 0, 4_000_000, 9, 8, 7, 6],
        ["holiday_principal", "all", "_T", -1, -1_000_000, -1_000_000, 5_000_000, 0, 4_000_000, 5, 5, 5, 5],
    ]
    release = builder.make("relief.options", day, ["option", "month", "section"], measures, rows,
                           {"expected_loss": "change against doing nothing"})  # fmt: skip
    told = {s.id: s.text for s in story(builder.MemoryReleases([release], {})) if s.topic == "options"}
    assert "by MER\u00a03.0\u00a0million at banks and 2.0\u00a0million at others" in told["story.cost"]
    assert told["story.withheld"].endswith(": expected losses of some who bear them.")


def test_a_change_of_which_the_parts_are_withheld_is_drawn_and_one_withheld_whole_says_so(builder: Any) -> None:
    from opsroom.faces.figures.registry import attempt

    day, measures = builder.WEDNESDAYS[6], [("value", "percentage points", "sum", 1, [])]

    def figure(values: list[float | None]) -> Any:
        parts = zip(("activity", "late_data", "revision", "_T"), values, strict=True)
        rows = [["2020-03-01", part, "count", value] for part, value in parts]
        release = builder.make("resumption.change", day, ["date", "component", "weight"], measures, rows)
        return attempt(desk_at(builder.MemoryReleases([release], {})), "resumption.change")

    some = figure([None, 0.5, None, -0.3])
    assert some.caption.finding == "−0.3 points since the last release; how much of it is activity is withheld"
    assert [row[0] for row in some.rows] == ["late_data", "_T"]
    assert not some.all_withheld
    assert figure([None] * 4).all_withheld

"""Attackers who may ask for tables: filters, complements, scopes, vintages, orders, exports, errors, timings.

What any number of users learn together is written down as equations between the finest cells; linear programmes then
say how closely a company can be known. The planted company is alone in (R3, ships); of (R4, ships) one holding has all.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog
from tests.query_room import (
    AMOUNT,
    FIRST,
    LATER,
    REGIONS,
    SECOND,
    SECTORS,
    SIZES,
    companies,
    make_room,
    values,
)

from opsroom.base.errors import OpsroomError
from opsroom.faces.cli.main import app
from opsroom.faces.cli.main import run as run_guarded
from opsroom.faces.web import create_app
from opsroom.protect.reader import Releases
from opsroom.protect.release import read_release
from opsroom.room import Room
from opsroom.room.door import Door
from opsroom.room.tablequery import TableQuery
from opsroom.room.tables import Asker

MONTH = "month=2020-01"
API = "/api/v1/tables"
DOMAINS = {"region": REGIONS, "sector": SECTORS, "size": SIZES}
CELLS = list(itertools.product(REGIONS, SECTORS, SIZES))
BETRAYED = ("918273645", "9182736.45", "9,182,736", "918,273,645", "9182736", "9001", "9006", "S6", "S7")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_room(tmp_path_factory.mktemp("redteam") / "room")


def ask(room: Room, by: list[str], where: list[str], statistics: list[str] | None = None, as_of: Any = FIRST) -> Any:
    """Ask; what is refused is a refusal, which tells its rule and nothing else."""
    try:
        return room.ask(
            TableQuery.of("vat", by=by, statistics=statistics or ["sum:sales"], where=[MONTH, *where], as_of=as_of)
        )
    except OpsroomError as refused:
        return str(refused)


def questions() -> Iterator[tuple[list[str], list[str]]]:
    """Every set of dimensions with every filter on one code, on all codes but one, and on a code of each of two."""
    filters: list[list[str]] = [[]]
    for column, codes in DOMAINS.items():
        filters += [[f"{column}={code}"] for code in codes]
        filters += [[f"{column}={','.join(c for c in codes if c != code)}"] for code in codes]
    filters += [
        ["region=R3", "sector=ships"],
        ["region=R1,R2,R4", "sector=ships"],
        ["region=R3", "sector=food,steel,trade"],
    ]
    for n in range(len(DOMAINS) + 1):
        for by in itertools.combinations(DOMAINS, n):
            for where in filters:
                yield list(by), where


def equations(release: Any, measure: str, where: list[str]) -> Iterator[tuple[np.ndarray, float]]:
    """Yield what each shown number says of the finest cells."""
    cut = {w.partition("=")[0]: w.partition("=")[2].split(",") for w in where}
    for key, value in values(release, measure).items():
        if value is None:
            continue
        codes = dict(zip(release.dimensions[1:], key[1:], strict=True))
        inside = np.ones(len(CELLS))
        for k, name in enumerate(DOMAINS):
            allowed = cut.get(name, DOMAINS[name])
            code = codes.get(name, "_T")
            inside *= [cell[k] in allowed and code in ("_T", cell[k]) for cell in CELLS]
        yield inside, value


def bounds(system: Mapping[bytes, tuple[np.ndarray, float]], target: np.ndarray) -> tuple[float, float]:
    """Return between which numbers an attacker knows a sum of cells to lie."""
    rows = list(system.values())
    a, b = np.array([r for r, _ in rows]), np.array([v for _, v in rows])
    found = []
    for sign in (1, -1):
        # numbers are shown to the cent: half a cent of slack on either side
        solved = linprog(
            sign * target, A_ub=np.vstack([a, -a]), b_ub=np.concatenate([b + 0.006, 0.006 - b]), bounds=(0, None)
        )
        assert solved.status in (0, 3), solved.message
        found.append(sign * solved.fun if solved.status == 0 else sign * -np.inf)
    return found[0], found[1]


def learn(folder: Path, actors: tuple[str, ...]) -> dict[bytes, tuple[np.ndarray, float]]:
    """Return all that users learn together of everything that can be asked of sales: cells added up, and their sum."""
    system: dict[bytes, tuple[np.ndarray, float]] = {}
    told = refused = 0
    for actor in actors:
        with Room.open(folder, actor=actor) as room:
            for by, where in questions():
                found = ask(room, by, where)
                if isinstance(found, str):
                    assert not any(word in found for word in BETRAYED), found
                    refused += 1
                    continue
                own = {"sam": ("R1", "R2"), "tom": ("R3", "R4")}.get(actor, REGIONS)
                if not any(w.startswith("region=") for w in where):
                    where = [*where, f"region={','.join(own)}"]
                for row, value in equations(found, "sum_sales", where):
                    earlier = system.setdefault(row.tobytes(), (row, value))
                    assert earlier[1] == pytest.approx(value, abs=0.006), "two answers differ on one number"
                    told += 1
    assert told > 400
    assert refused > 0
    return system


def test_filters_complements_and_two_scopes_do_not_isolate_a_company(folder):
    system = learn(folder, ("ada", "sam", "tom"))
    frame = companies()
    by_cell = dict.fromkeys(CELLS, 0.0)
    for row in frame.itertuples():
        by_cell[row.region, row.sector, row.size] += row.sales / 100
    truth = np.array([by_cell[c] for c in CELLS])
    assert all(value == pytest.approx(row @ truth, abs=0.006) for row, value in system.values())
    assert len(system) > 20
    # every sum of few, on every level: the finest cells and the margins over size
    checked = 0
    for region, sector, size in itertools.product(REGIONS, SECTORS, (*SIZES, None)):
        target = np.array([float(c[:2] == (region, sector) and size in (None, c[2])) for c in CELLS])
        mine = frame[(frame["region"] == region) & (frame["sector"] == sector)]
        mine = mine[mine["size"] == size] if size else mine
        groups = mine.assign(g=mine["holding"].fillna(mine["company"].astype(str))).groupby("g")["sales"].sum()
        if not 0 < len(groups) < 3:
            continue
        value = target @ truth
        low, high = bounds(system, target)
        assert low <= value * 0.85 + 0.02, (region, sector, size)
        assert high >= value * 1.15 - 0.02, (region, sector, size)
        checked += 1
    assert checked >= 4


def test_the_attack_finds_a_company_where_a_table_is_shown_whole(folder):
    """The attacker of these tests is able: with one more number it knows the planted company to the cent."""
    system = learn(folder, ("ada",))
    target = np.array([float(c == ("R3", "ships", "large")) for c in CELLS])
    low, high = bounds(system, target)
    assert high - low > AMOUNT / 100 * 0.3
    others = np.array([float(c[0] == "R3" and c[1] != "ships") for c in CELLS])
    frame = companies()
    rest = frame[(frame["region"] == "R3") & (frame["sector"] != "ships")]["sales"].sum() / 100
    system[b"leak"] = (others, rest)
    low, high = bounds(system, target)
    assert high - low < 0.1
    assert low <= AMOUNT / 100 <= high


def test_counts_and_shares_tell_no_company_either(folder):
    with Room.open(folder, actor="ada") as room:
        for by, where in (
            ([], ["region=R3", "sector=ships"]),
            (["region"], ["sector=ships"]),
            (["region", "sector", "size"], []),
        ):
            found = ask(room, by, where, ["count", "sum:sales", "mean:sales", "share:exports", "sum:jobs"])
            if isinstance(found, str):
                assert found.startswith("OPS-P015")
                continue
            at = [k for k, row in enumerate(found.rows) if "R3" in (*row, *where) and "ships" in row]
            for k in at:
                row = dict(zip(found.columns, found.rows[k], strict=True))
                if row.get("region", "R3") != "R3":
                    continue
                assert all(row[m["name"]] is None for m in found.measures), row
                assert row["status"] == "suppressed"


def test_permuted_dimensions_filters_and_spellings_are_one_answer(folder):
    with Room.open(folder, actor="ada") as room:
        first = ask(room, ["region", "sector"], ["size=small,large"], ["count", "sum:sales"])
        for by in itertools.permutations(["region", "sector"]):
            for sizes in ("large,small", "small..large", "small,large,small"):
                assert ask(room, list(by), [f"size={sizes}"], ["sum:sales", "count"]) == first
        # a number that two questions ask for is one number: nothing is judged twice
        wide = ask(room, ["region", "sector", "size"], [], ["sum:sales"])
        for key, value in values(ask(room, ["region"], []), "sum_sales").items():
            assert values(wide, "sum_sales")[(*key, "_T", "_T")] == value
        for key, value in values(ask(room, ["sector"], ["region=R3"]), "sum_sales").items():
            same = values(wide, "sum_sales").get((key[0], "R3", key[1], "_T"))
            assert value == same


def test_rows_stand_in_order_of_their_codes_not_of_their_numbers(folder):
    with Room.open(folder, actor="ada") as room:
        release = ask(room, ["region", "sector"], [])
    keys = [row[1:3] for row in release.rows]
    order = [*itertools.product((*REGIONS, "_T"), (*SECTORS, "_T"))]
    assert keys == [key for key in order if key in set(keys)]
    assert len(keys) > 15


# -- vintages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("firm", [9006, 17])
def test_a_day_between_two_questions_does_not_tell_whose_figure_changed(tmp_path, firm):
    frame = companies()
    folder = make_room(tmp_path / "room", frame)
    delta = 1_234_567
    revised = frame[frame["company"] == firm].assign(sales=lambda f: f["sales"] + delta)
    seen: dict[Any, dict[Any, Any]] = {FIRST: {}, SECOND: {}}
    with Room.open(folder, actor="operator") as room:
        room.ingest("vat", revised, LATER)
    # the later day is asked first for some questions: the order of asking is the attacker's
    for days in ((FIRST, SECOND), (SECOND, FIRST)):
        with Room.open(folder, actor="ada") as room:
            for by, where in itertools.islice(questions(), 0, None, 7):
                for day in days:
                    found = ask(room, by, where, as_of=day)
                    if not isinstance(found, str):
                        for row, value in equations(found, "sum_sales", where):
                            seen[day].setdefault(row.tobytes(), set()).add(value)
    differences = {
        round(b - a, 2)
        for key in seen[FIRST].keys() | seen[SECOND].keys()
        for a in seen[FIRST].get(key, set()) | seen[SECOND].get(key, set())
        for b in seen[FIRST].get(key, set()) | seen[SECOND].get(key, set())
    }
    assert delta / 100 not in {abs(d) for d in differences}
    assert sum(map(len, seen[FIRST].values())) > 10


# -- the faces ----------------------------------------------------------------------------------


@pytest.fixture
def tokens(folder: Path) -> dict[str, str]:
    with Room.open(folder, actor="operator") as room:
        return {
            name: room.users.create_token(name, by="operator").text for name in ("ada", "sam", "tom", "max", "rita")
        }


@pytest.fixture
def post(folder: Path, tokens: dict[str, str], web_client: Callable[[Any], Any]) -> Iterator[Callable[..., Any]]:
    reader, door = Releases(folder), Door(folder)
    client = web_client(create_app(reader, door=door, ask=Asker(folder)))

    def send(name: str | None, query: Any, path: str = API) -> Any:
        headers = {"Authorization": f"Bearer {tokens[name]}"} if name else {}
        return (
            client.post(path, json=query, headers=headers) if query is not None else client.get(path, headers=headers)
        )

    yield send
    reader.close()
    door.close()


def question(**changed: Any) -> dict[str, Any]:
    where = [{"column": "month", "op": "eq", "codes": ["2020-01"]}, *changed.pop("where", [])]
    return {"dataset": "vat", "dimensions": ["region"], "statistics": ["sum:sales"], "where": where, **changed}


DERIVED = "/api/v1/derived"


def test_the_api_derives_a_number_or_refuses_it(post):
    asked = {"dataset": "vat", "statistic": "share:sales", "period": "2020-01", "cell": {"region": "R1"}}
    answer = post("ada", asked, DERIVED)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert read_release(answer.content).stamp["certificate"]["witnesses"]
    alone = {**asked, "cell": {"region": "R3", "sector": "ships"}}
    growth = {**alone, "statistic": "growth:sales", "base": "2019-12"}
    for name, query, status, code in (
        (None, asked, 401, "OPS-A024"), ("rita", asked, 403, "OPS-A020"), ("max", asked, 403, "OPS-A026"),
        ("sam", asked, 403, "OPS-A027"), ("ada", alone, 403, "OPS-P060"), ("ada", growth, 403, "OPS-P014"),
        ("ada", {**alone, "statistic": "quantile:sales"}, 403, "OPS-P061"),
        ("ada", {**alone, "statistic": "maximum:sales"}, 400, "OPS-U165"),
    ):  # fmt: skip
        refused = post(name, query, DERIVED)
        assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert not any(text in refused.text for text in BETRAYED)


def test_the_api_hands_out_a_release_or_a_refusal(post):
    answer = post("ada", question())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    release = read_release(answer.content)
    assert release.name.startswith("query.vat.region.")
    for name, status, code in ((None, 401, "OPS-A024"), ("rita", 403, "OPS-A020"), ("max", 403, "OPS-A026")):
        refused = post(name, question())
        assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert set(refused.json()) == {"type", "title", "status", "code", "detail", "remedy"}
        assert refused.headers["content-type"] == "application/problem+json"
    isolating = [
        {"column": "region", "op": "eq", "codes": ["R3"]},
        {"column": "sector", "op": "eq", "codes": ["ships"]},
    ]
    for query, status in (
        (question(dimensions=[], where=isolating), 403),
        (question(dataset="nothing"), 404),
        (question(statistics=["sum:company"]), 400),
        (question(dimensions=["company"]), 400),
        (question(where=[{"column": "company", "op": "eq", "codes": ["9006"]}]), 400),
        (question(limit=1), 422),
        (question(order_by="-sales"), 422),
        (question(where=[{"column": "sales", "op": "ge", "codes": ["1"]}]), 422),
        ({}, 422),
        ([], 422),
        (question(as_of="never"), 400),
    ):
        refused = post("ada", query)
        assert refused.status_code == status, refused.text
        assert refused.json()["detail"]
        assert refused.json()["remedy"]
        assert not any(word in refused.text for word in BETRAYED)


def test_nobody_reads_another_users_answer_or_a_master(post):
    mine = read_release(post("tom", question()).content)
    master = mine.facts["masters"][0]["id"]
    for name in (None, "rita", "sam", "tom", "ada"):
        for id in (mine.id, master):
            for path in (f"/api/v1/releases/{id}", f"/release/{id}"):
                assert post(name, None, path).status_code == 404
        assert post(name, None, "/api/v1/releases").status_code in (200, 404)
        assert "query." not in post(name, None, "/api/v1/releases").text
        assert "query." not in post(name, None, "/api/v1/data").text


def test_a_scoped_user_gets_its_rows_and_no_total_of_the_country(post):
    whole = values(read_release(post("ada", question()).content), "sum_sales")
    for name, own in (("sam", ["R1", "R2"]), ("tom", ["R3", "R4"])):
        release = read_release(post(name, question()).content)
        assert ".scope_" in release.name
        found = values(release, "sum_sales")
        assert {k[1] for k in found} == {*own, "_T"}
        assert all(found["2020-01", r] == whole["2020-01", r] for r in own)
        if None not in (a := [whole["2020-01", r] for r in own]):
            assert found["2020-01", "_T"] == pytest.approx(sum(a))
        assert found["2020-01", "_T"] != whole["2020-01", "_T"]
        total = read_release(post(name, question(dimensions=[])).content)
        assert values(total, "sum_sales")["2020-01",] == found["2020-01", "_T"]
        other = [{"column": "region", "op": "eq", "codes": ["R1" if name == "tom" else "R3"]}]
        refused = post(name, question(where=other))
        assert (refused.status_code, refused.json()["code"]) == (403, "OPS-A027")


def run(*words: str) -> None:
    app(list(words), result_action="return_value")


def test_the_command_line_shows_what_the_release_shows(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OPSROOM_ACTOR", "ada")
    asked = (
        "--dataset",
        "vat",
        "--by",
        "region,sector",
        "--count",
        "--sum",
        "sales",
        "--where",
        MONTH,
        "--as-of",
        "2020-03-04",
    )
    at = ("--room", str(folder))
    run("table", "query", *asked, *at, "--json")
    release = read_release(capsys.readouterr().out.strip().encode())
    run("table", "query", *asked, *at, "--csv")
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == list(release.columns)
    assert [["" if v is None else str(v) for v in row] for row in release.rows] == rows[1:]
    file = tmp_path / "query.json"
    query = TableQuery.of("vat", by=["sector", "region"], statistics=["sum:sales", "count"], where=[MONTH], as_of=FIRST)
    file.write_text(query.to_json(), encoding="utf-8")
    run("table", "query", "--file", str(file), *at, "--json")
    assert read_release(capsys.readouterr().out.strip().encode()) == release
    run("table", "query", *asked, *at)
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == len(release.rows) + 1
    assert not any(word in told.out + told.err for word in BETRAYED)
    run("table", "show", "vat", *at, "--json")
    offered = json.loads(capsys.readouterr().out)
    assert list(offered["dimensions"]) == ["region", "sector", "size"]
    for words in (("--dataset", "vat", "--file", str(file)), ("--file", str(tmp_path / "none"))):
        with pytest.raises(OpsroomError) as refused:
            run("table", "query", *words, *at)
        assert refused.value.code == "OPS-U164"
    with pytest.raises(SystemExit) as ended:
        run_guarded(
            [
                "table",
                "query",
                "--dataset",
                "vat",
                "--where",
                MONTH,
                "--where",
                "region=R3",
                "--where",
                "sector=ships",
                *at,
            ]
        )
    assert ended.value.code == 16
    assert not any(word in capsys.readouterr().err for word in BETRAYED)


# -- refusals -----------------------------------------------------------------------------------


def test_a_refusal_says_the_same_of_different_data(tmp_path):
    one = companies()
    other = pd.concat([one[one["company"] != 9006], one[one["company"] == 9006].assign(sales=3, jobs=1, exports=False)])
    texts, lengths = [], []
    for name, frame in (("one", one), ("other", other)):
        folder = make_room(tmp_path / name, frame, step=0.5)
        with Room.open(folder, actor="ada") as room:
            ask(room, ["region"], [])
            for by, where in (([], ["region=R3", "sector=ships"]), (["size"], ["region=R3", "sector=ships"])):
                begun = time.monotonic()
                found = ask(room, by, where, ["count", "sum:sales", "share:exports"])
                lengths.append(time.monotonic() - begun)
                assert isinstance(found, str)
                texts.append(found)
            refusals = room.audit.entries()[-1]
            assert (refusals.act, refusals.object) == ("query", "vat: refused, OPS-P015")
    assert len(set(texts)) == 1
    assert "coarser" in texts[0]
    assert not any(character.isdigit() for character in texts[0].removeprefix("OPS-P015"))
    assert min(lengths) >= 0.5

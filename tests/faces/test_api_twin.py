"""The API: typed, problem documents for errors, the same numbers as the pages, byte-true releases."""

from __future__ import annotations

import json
from typing import Any

import pytest

BASE = "/api/v1"


def test_release_is_byte_for_byte(client: Any, meridia_releases: Any) -> None:
    release = meridia_releases.latest("nowcast.gdp")
    for path in (f"{BASE}/releases/{release.id}", f"/release/{release.id}"):
        answer = client.get(path)
        assert answer.content == release.document
        assert answer.headers["content-type"] == "application/json"


def test_list_of_releases_stops_at_the_day(client: Any) -> None:
    found = client.get(f"{BASE}/releases?as_of=2020-03-04").json()
    assert {r["day"] for r in found} <= {
        "2020-01-22",
        "2020-01-29",
        "2020-02-05",
        "2020-02-12",
        "2020-02-19",
        "2020-02-26",
        "2020-03-04",
    }
    only = client.get(f"{BASE}/releases?as_of=2020-03-04&name=nowcast.gdp").json()
    assert len(only) == 7
    assert all(r["name"] == "nowcast.gdp" and r["hash"].startswith("sha256:") for r in only)


def test_figure_is_the_same_as_beside_the_page(client: Any) -> None:
    for name in client.get(f"{BASE}/figures?as_of=2020-04-22").json():
        page = client.get(f"/figure/{name}.json?as_of=2020-04-22").json()
        assert client.get(f"{BASE}/figures/{name}?as_of=2020-04-22").json() == page


def test_story_is_the_same_as_on_the_page(client: Any) -> None:
    import html

    text = html.unescape(client.get("/?as_of=2020-04-22").text)
    for sentence in client.get(f"{BASE}/story?as_of=2020-04-22").json():
        assert sentence["text"] in text


def test_every_page_has_a_twin(client: Any, public_client: Any) -> None:
    for room in (client, public_client):
        for path in (
            "health",
            "room",
            "days",
            "overview",
            "story",
            "data",
            "activity",
            "decisions",
            "methods",
            "releases",
            "figures",
        ):
            assert room.get(f"{BASE}/{path}").status_code == 200, path


def test_history_of_a_figure(client: Any) -> None:
    days = [s["day"] for s in client.get(f"{BASE}/figures/relief.options--costs/history?as_of=2020-03-04").json()]
    assert days == ["2020-03-04", "2020-02-05", "2020-01-22"]


def test_drawing(client: Any) -> None:
    answer = client.get(f"{BASE}/figures/nowcast.gdp/svg?as_of=2020-03-04")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.text.startswith("<svg")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("releases/nothing@2020-01-01", 404, None),
        ("figures/nothing", 404, "OPS-N020"),
        ("figures/data.quality/svg", 404, "OPS-N022"),
        ("story?as_of=1999-01-01", 404, "OPS-T011"),
        ("story?as_of=soon", 422, "OPS-U022"),
        ("nowhere", 404, "OPS-N000"),
    ],
)
def test_errors_are_problem_documents(client: Any, path: str, status: int, code: str | None) -> None:
    answer = client.get(f"{BASE}/{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["code"].startswith("OPS-")
    assert code in (None, body["code"])


def test_wrong_method_is_a_problem_document(client: Any) -> None:
    answer = client.post(f"{BASE}/days")
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert "GET" in answer.headers["allow"]


def test_nothing_can_be_written(client: Any) -> None:
    described = client.get(f"{BASE}/openapi.json").json()
    assert {method for path in described["paths"].values() for method in path} == {"get"}


def test_numbers_are_json_numbers(client: Any) -> None:
    json.loads(client.get(f"{BASE}/overview").text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def _fuzz(releases: Any, examples: int) -> None:
    import schemathesis
    from hypothesis import HealthCheck, settings
    from schemathesis.checks import CHECKS

    from opsroom.faces.api import create_api

    schema = schemathesis.openapi.from_asgi("/openapi.json", create_api(releases))
    checks = CHECKS.get_by_names(
        [
            "not_a_server_error",
            "status_code_conformance",
            "content_type_conformance",
            "response_schema_conformance",
        ]
    )
    count = 0
    for operation in schema.get_all_operations():

        def attack(case: Any) -> None:
            nonlocal count
            count += 1
            case.call_and_validate(checks=checks)

        test = operation.ok().as_strategy()
        from hypothesis import given

        settings(
            max_examples=examples, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        )(given(case=test)(attack))()  # fmt: skip
    assert count >= examples


def test_fuzzed_a_little(meridia_releases: Any) -> None:
    _fuzz(meridia_releases, 6)


@pytest.mark.long
def test_fuzzed_at_length(meridia_releases: Any) -> None:
    _fuzz(meridia_releases, 250)

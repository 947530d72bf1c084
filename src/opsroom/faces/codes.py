"""Words for the codes of a room: sections, regions, countries, currency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsroom.base.codes import NACE_GROUPS, NACE_SECTIONS
from opsroom.faces.reader import Desk, measures_of

PIECES = ("parameters", "weights", "models", "shares")
"""Kinds of news of a nowcast that no series has brought."""
COUNTRIES = {
    "AR": "Argentina",
    "AT": "Austria",
    "AU": "Australia",
    "BE": "Belgium",
    "BR": "Brazil",
    "CA": "Canada",
    "CH": "Switzerland",
    "CL": "Chile",
    "CN": "China",
    "CO": "Colombia",
    "CZ": "Czechia",
    "DE": "Germany",
    "DK": "Denmark",
    "ES": "Spain",
    "FI": "Finland",
    "FR": "France",
    "GB": "United Kingdom",
    "GR": "Greece",
    "HK": "Hong Kong SAR",
    "HU": "Hungary",
    "ID": "Indonesia",
    "IE": "Ireland",
    "IL": "Israel",
    "IN": "India",
    "IT": "Italy",
    "JP": "Japan",
    "KR": "Korea",
    "LU": "Luxembourg",
    "MX": "Mexico",
    "MY": "Malaysia",
    "NL": "Netherlands",
    "NO": "Norway",
    "NZ": "New Zealand",
    "PL": "Poland",
    "PT": "Portugal",
    "RU": "Russia",
    "SA": "Saudi Arabia",
    "SE": "Sweden",
    "SG": "Singapore",
    "TH": "Thailand",
    "TR": "Türkiye",
    "US": "United States",
    "XM": "Euro area",
    "ZA": "South Africa",
}
"""Country and area codes of the BIS data sets, with their English names."""


def section_name(desk: Desk, code: str) -> str:
    """Return the title of a NACE section, or of a group of them: the room's own words first."""
    own = desk.room.get("sections") or {}
    groups = {group: title for level in NACE_GROUPS.values() for group, title in level.items()}
    return "All sections" if code == "_T" else str(own.get(code) or NACE_SECTIONS.get(code) or groups.get(code, code))


def country_name(code: str) -> str:
    """Return the English name of a country code."""
    return COUNTRIES.get(code, code)


def region_name(desk: Desk, code: str) -> str:
    """Return the name of a region from the room's settings."""
    for region in desk.room.get("regions") or []:
        if str(region.get("code")) == code:
            return str(region.get("name", code))
    return "All regions" if code == "_T" else code


def currency_of(release: Any) -> str:
    """Return the currency of a release with amounts of money: the unit of three capitals."""
    for measure in measures_of(release):
        if len(measure.unit) == 3 and measure.unit.isupper():
            return measure.unit
    return ""


def name_code(desk: Desk, dimension: str, code: str) -> str:
    """Return the words for a code of a dimension."""
    from opsroom.faces import words

    if dimension == "section":
        return section_name(desk, code)
    if dimension == "region":
        return region_name(desk, code)
    if dimension == "country":
        return country_name(code)
    if dimension == "series":
        return _series_name(desk, code)
    if dimension == "dataset":
        return str(((desk.room.get("datasets") or {}).get(code) or {}).get("title") or code)
    if dimension in ("option", "component"):
        return words.label(dimension, code)
    if code == "_T":
        return "all"
    return code.replace("_", " ") if code.islower() else code  # a word of the method, not somebody's code


def _series_name(desk: Desk, code: str) -> str:
    """Return the words for the code of a series: a country, or a title that the nowcast's release names."""
    if len(code) == 2 and code != "_T":
        return country_name(code.upper())
    release = desk.get("nowcast.gdp")
    if release is not None:
        return series_title(release, code) if code != "_T" else "all"
    return "all" if code == "_T" else code


def title_of(desk: Desk, release: Any) -> str:
    """Return the title of a series: its own, its dataset's, the catalogue's, or its name."""
    from opsroom.faces import words

    if own := release.facts.get("title"):
        return str(own)
    family, _, rest = release.name.partition(".")
    dataset = family if rest == "levels" else rest
    known = (desk.room.get("datasets") or {}).get(dataset) or {}
    if rest == "levels" or family == "activity":
        return str(known.get("title") or dataset.replace("_", " ").capitalize())
    return words.label("series", release.name)


def title_of_one(desk: Desk, release: Any, code: str, *, several: bool) -> str:
    """Return the title of one of a release's series: the release's, with the series' name where there are several."""
    title = title_of(desk, release)
    return f"{title} ({name_code(desk, 'series', code).replace('_', ' ')})" if several else title


def series_title(release: Any, code: str) -> str:
    """Return the title of a series that a release names by code: the release's own words first."""
    titles = release.facts.get("titles") or {}
    return str(titles.get(code, code))


def headline_of(release: Any) -> str:
    """Return the kind of the nowcast that its release puts first: ``nowcast`` (the factor model's) or ``pool``."""
    return "pool" if release.facts.get("headline") == "pool" else "nowcast"


def piece_of(news: Mapping[str, Any]) -> str:
    """Return what kind of news this is that no series has brought: parameters, weights, models, shares; else empty."""
    if "kind" in news:
        return str(news["kind"])
    code = str(news.get("series", ""))  # earlier releases told a kind where a series stands
    return code if code in PIECES else ""


def news_title(release: Any, news: Mapping[str, Any]) -> str:
    """Return the words for what has moved a nowcast: a series' title, or what no series has brought."""
    from opsroom.faces import words

    piece = piece_of(news)
    return words.say(f"words.{piece}") if piece else series_title(release, str(news["series"]))

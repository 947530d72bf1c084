"""`opsroom demo`: build both rooms, tell the story, write the briefings, measure itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsroom.faces import words as w
from opsroom.faces.brief import make_brief
from opsroom.faces.cli.memory import Peak
from opsroom.faces.cli.output import emit, emit_story, say
from opsroom.room.demo import Built, build_meridia, build_us, check_size, clear

if TYPE_CHECKING:
    from opsroom.faces.brief import Briefing

SUFFIXES = (".html", ".pdf", ".xlsx", ".json")


def run_demo(directory: Path, *, companies: int, seed: int, public_only: bool) -> dict[str, Any]:
    """Build the demo below `directory` and return what was measured.

    The public room is built while Meridia's first history is made and ingested beside it: until then there is
    nothing to publish.

    Returns
    -------
    dict
        ``companies, seconds, peak_mb, resumption_mae_pp, interval_coverage, nowcast_rmse_ratio, releases,
        refused, files``. Seconds are wall time of building, publishing and writing; the peak is the most
        that all processes of the demo held together (`opsroom.faces.cli.memory`).
    """
    if not public_only:
        check_size(companies, seed)
    started = time.perf_counter()
    outcome: dict[str, Any] = {"companies": companies}
    files: list[str] = []
    directory.mkdir(parents=True, exist_ok=True)
    public: list[tuple[str, list[str], dict[str, Any]]] = []

    def build_public() -> None:
        say("United States: two true vintages of the New York Fed's panel.")
        public.append(_public(directory))

    with Peak() as peak:
        if public_only:
            build_public()
        else:
            clear(directory / "meridia")
            clear_truth(directory / "meridia-truth")
            say(f"Meridia: {companies:,} companies, seed {seed}.")
            built = build_meridia(directory / "meridia", companies=companies, seed=seed, meanwhile=build_public)
            files += _brief(built, directory, "meridia")
            outcome |= _scores(built)
            files += _truth_files(built, directory)
            outcome |= _counts(built)
            built.room.close()
    [(text, more, counts)] = public
    emit("")
    emit_story(text)
    emit("")
    files += more
    if public_only:
        outcome |= counts

    outcome["seconds"] = round(time.perf_counter() - started, 1)
    outcome["peak_mb"] = round(peak.bytes / 2**20)
    outcome["files"] = files
    say("")
    say(f"Done in {outcome['seconds']:.0f} s, {outcome['peak_mb']:,} MB at most. Written:")
    for file in files:
        say(f"  {file}")
    say(f"Open the room:  opsroom serve --room {directory / ('us' if public_only else 'meridia')}")
    if not public_only:
        say(f"Hold the planner's exam in it, some minutes:  opsroom exam --room {directory / 'meridia'}")
    return outcome


def _public(directory: Path) -> tuple[str, list[str], dict[str, Any]]:
    """Build the public room and its briefings; return the story, the files and the counts."""
    clear(directory / "us")
    built = build_us(directory / "us")
    briefing = make_brief(built.room.releases(), built.days[-1])
    files = _write(briefing, directory, "us")
    counts = _counts(built)
    built.room.close()
    return briefing.text(), files, counts


def clear_truth(folder: Path) -> None:
    """Remove the truth files of an earlier run."""
    for file in folder.glob("*.parquet"):
        file.unlink()


def _brief(built: Built, directory: Path, name: str) -> list[str]:
    briefing = make_brief(built.room.releases(), built.days[-1])
    emit("")
    emit_story(briefing.text())
    emit("")
    return _write(briefing, directory, name)


def _write(briefing: Briefing, directory: Path, name: str) -> list[str]:
    files = []
    for suffix in SUFFIXES:
        file = directory / f"briefing-{name}{suffix}"
        briefing.save(file)
        files.append(str(file))
    return files


def _truth_files(built: Built, directory: Path) -> list[str]:
    """Tell and write what was said each week beside the truth: only a synthetic economy can be scored like this.

    The files stand beside the briefings, not in the room: a room never holds the truth.
    """
    from opsroom.faces.brief.truth_page import truth_page, truth_sentences
    from opsroom.room.truth_scores import nowcast_scores, weekly_scores, with_benchmarks

    if built.truth is None:
        return []
    reader = built.room.releases()
    weekly = with_benchmarks(weekly_scores(reader, built.truth))
    nowcasts = nowcast_scores(reader, built.truth)
    emit_story(f"{w.say('truth.title')}\n{' '.join(truth_sentences(weekly, nowcasts))}")
    emit("")
    names = ("meridia-scores.csv", "meridia-nowcast-scores.csv", "meridia-scores.html")
    written = [directory / name for name in names]
    weekly.to_csv(written[0], index=False)
    nowcasts.to_csv(written[1], index=False)
    room = reader.room
    page = truth_page(weekly, nowcasts, title=str(room.get("title", "")), disclaimer=str(room.get("disclaimer") or ""))
    written[2].write_text(page, encoding="utf-8")
    return [str(file) for file in written]


def _counts(built: Built) -> dict[str, Any]:
    reader = built.room.releases()
    issued = sum(len(reader.of_day(day)) for day in built.days)
    refused = sum(len(reader.refusals(day)) for day in built.days)
    return {"releases": issued, "refused": refused}


def _scores(built: Built) -> dict[str, Any]:
    from opsroom.room.truth_scores import score_against_truth

    if built.truth is None:
        return {}
    holiday = built.room.settings.facts["holiday"]
    return score_against_truth(built.room.releases(), built.truth, holiday["end"])

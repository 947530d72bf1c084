"""The `opsroom table` commands: ask for a protected table or a number derived from one; see what can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from opsroom.base.errors import UsageError
from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit, emit_json, emit_table, say

if TYPE_CHECKING:
    from opsroom.protect.release import Release
    from opsroom.room.derivedquery import DerivedQuery
    from opsroom.room.tablequery import TableQuery

table = App(name="table", help="Ask for protected tables of datasets that nobody may look into.")

Flag = Annotated[bool, Parameter(negative="")]
Texts = Annotated[list[str] | None, Parameter(negative="")]


@table.command(name="query")
def table_query(
    *,
    room: RoomPath = Path(),
    dataset: str = "",
    by: str = "",
    count: Flag = False,
    sum: Texts = None,
    mean: Texts = None,
    share: Texts = None,
    where: Texts = None,
    as_of: str | None = None,
    file: Path | None = None,
    json: Json = False,
    csv: Flag = False,
) -> None:
    """Ask for a table. What must not be seen of it is hidden; where nothing is left, it is refused.

    Parameters
    ----------
    room
        Folder of the room.
    dataset
        Name of the dataset.
    by
        Dimensions that break the table down, with commas between.
    count
        Count the units; also where no other statistic is asked for.
    sum
        Measure to add up; may be given several times, as may the next three.
    mean
        Measure of which the mean is wanted.
    share
        Condition of which the share is wanted, or DIMENSION=CODE.
    where
        COLUMN=CODE, COLUMN=CODE,CODE or COLUMN=FIRST..LAST. One filter says which periods.
    as_of
        Day of knowledge. Default: the latest.
    file
        JSON file that holds the question, in place of the options.
    json
        Print the stored document, byte for byte.
    csv
        Print the rows as CSV.
    """
    asked = [
        f"{kind}:{name}" for kind, names in (("sum", sum), ("mean", mean), ("share", share)) for name in names or ()
    ]
    statistics = (["count"] if count or not asked else []) + asked
    query = _question(file, dataset, by, statistics, where or [], as_of, has_options=bool(count or asked))
    with open_room(room) as opened:
        release = opened.ask(query)
    _print(release, json=json, csv=csv)
    if not json and not csv:
        say(f"{release.id}; {release.stamp['suppressed']} of {release.stamp['cells']} rows hide a number.")


def _print(release: Release, *, json: bool, csv: bool) -> None:
    if json:
        emit(release.json_bytes.decode())
    elif csv:
        emit(release.csv().removesuffix("\r\n"))
    else:
        emit_table(release.columns, release.rows)


def _question(
    file: Path | None,
    dataset: str,
    by: str,
    statistics: list[str],
    where: list[str],
    as_of: str | None,
    *,
    has_options: bool,
) -> TableQuery:
    from opsroom.room.tablequery import TableQuery

    if file is None:
        dimensions = [d.strip() for d in by.split(",")] if by else []
        return TableQuery.of(dataset, by=dimensions, statistics=statistics, where=where, as_of=as_of)
    if dataset or by or where or as_of is not None or has_options:
        raise _twice()
    return TableQuery.from_json(_text_of(file))


@table.command(name="derive")
def table_derive(
    statistic: str = "",
    /,
    *,
    room: RoomPath = Path(),
    dataset: str = "",
    period: str = "",
    base: str | None = None,
    cell: Texts = None,
    of: Texts = None,
    as_of: str | None = None,
    file: Path | None = None,
    json: Json = False,
    csv: Flag = False,
) -> None:
    """Ask for a number derived from cells. What it tells is judged with all that is out; it is released or refused.

    Parameters
    ----------
    statistic
        ratio:sales/jobs, share:sales, growth:sales, where count may stand for a measure; or one of those that the
        dataset declares, such as quantile:sales=0.5, top_share:sales=4, hhi:sales or regression:sales~jobs.
    room
        Folder of the room.
    dataset
        Name of the dataset.
    period
        Period that the number is about.
    base
        Earlier period, of a rate of growth.
    cell
        DIMENSION=CODE; may be given several times, as may the next. The total of each dimension that is not named.
    of
        DIMENSION=CODE of the cell that a share is of. Default: the whole.
    as_of
        Day of knowledge. Default: the latest.
    file
        JSON file that holds the question, in place of the options.
    json
        Print the stored document, byte for byte.
    csv
        Print the rows as CSV.
    """
    query = _derived(file, statistic, dataset, period, base, cell or [], of or [], as_of)
    with open_room(room) as opened:
        release = opened.ask(query)
    _print(release, json=json, csv=csv)
    if not json and not csv:
        say(f"{release.id}; {release.measures[0]['unit']}.")


def _derived(
    file: Path | None,
    statistic: str,
    dataset: str,
    period: str,
    base: str | None,
    cell: list[str],
    of: list[str],
    as_of: str | None,
) -> DerivedQuery:
    from opsroom.room.derivedquery import DerivedQuery

    if file is None:
        return DerivedQuery.of_texts(dataset, statistic, period=period, base=base, cell=cell, of=of, as_of=as_of)
    if statistic or dataset or period or base or cell or of or as_of is not None:
        raise _twice()
    return DerivedQuery.from_json(_text_of(file))


def _twice() -> UsageError:
    return UsageError("a question is in the file or in the options.", remedy="Leave the options out.", code="OPS-U164")


def _text_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        raise UsageError(f"{file.name} cannot be read.", remedy="Check the path.", code="OPS-U164") from None


@table.command(name="show")
def table_show(dataset: str, /, *, room: RoomPath = Path(), json: Json = False) -> None:
    """Show what may be asked of a dataset: dimensions with their codes, measures, conditions, derived numbers.

    Parameters
    ----------
    dataset
        Name of the dataset.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.room.tables import offer

    with open_room(room) as opened:
        found = offer(opened, dataset)
    if json:
        emit_json(found)
        return
    rows = [("period", found["period"], found["frequency"])]
    rows += [("dimension", name, " ".join(codes)) for name, codes in found["dimensions"].items()]
    rows += [("measure", name, "") for name in found["measures"]]
    rows += [("condition", name, "") for name in found["conditions"]]
    rows += [("derived", name, "") for name in found["derived"]]
    emit_table(("kind", "name", "codes"), rows)

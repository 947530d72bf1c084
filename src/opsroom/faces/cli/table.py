"""The `opsroom table` commands: ask for a protected table; see what can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from opsroom.base.errors import UsageError
from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit, emit_json, emit_table, say

if TYPE_CHECKING:
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
    if json:
        emit(release.json_bytes.decode())
    elif csv:
        emit(release.csv().removesuffix("\r\n"))
    else:
        emit_table(release.columns, release.rows)
        say(f"{release.id}; {release.stamp['suppressed']} of {release.stamp['cells']} rows hide a number.")


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
        raise UsageError(
            "a question is in the file or in the options.", remedy="Leave the options out.", code="OPS-U164"
        )
    try:
        return TableQuery.from_json(file.read_bytes())
    except OSError:
        raise UsageError(f"{file.name} cannot be read.", remedy="Check the path.", code="OPS-U164") from None


@table.command(name="show")
def table_show(dataset: str, /, *, room: RoomPath = Path(), json: Json = False) -> None:
    """Show what may be asked of a dataset: dimensions with their codes, measures, conditions.

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
    emit_table(("kind", "name", "codes"), rows)

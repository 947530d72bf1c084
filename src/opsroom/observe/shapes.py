"""What stored files of several versions of a specification have in common: SQL that reads them as the newest one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime

from opsroom.base.errors import StoreError
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.observe.tables import StoredFile

SQL_TYPES = {
    "string": "VARCHAR",
    "code": "VARCHAR",
    "number": "DOUBLE",
    "date": "DATE",
    "datetime": "TIMESTAMP WITH TIME ZONE",
    "boolean": "BOOLEAN",
}


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: datetime | date | str | float) -> str:
    """Write a value as an SQL literal."""
    if isinstance(value, datetime):
        return f"TIMESTAMPTZ '{value.isoformat(sep=' ', timespec='microseconds')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, int | float):
        return repr(value)
    return "'" + value.replace("'", "''") + "'"


def scan(files: Iterable[StoredFile | str], *, numbered: bool = False) -> str:
    """Return the table function that reads data files; numbered rows tell their file and their place in it."""
    names = ", ".join(literal(f if isinstance(f, str) else f.uri) for f in files)
    return f"read_parquet([{names}], hive_partitioning = false{', file_row_number = true' if numbered else ''})"


def sql_type(field: FieldSpec) -> str:
    """Return the SQL type in which a field is stored."""
    return SQL_TYPES.get(field.type, "BIGINT")


class Shapes:
    """The versions of one dataset's specification.

    Parameters
    ----------
    spec
        The version to read as.
    versions
        Gives the versions that are kept, by number; asked when a file of another version is met.
    """

    def __init__(
        self, spec: DatasetSpec, versions: Callable[[], Mapping[int, DatasetSpec]] = dict[int, DatasetSpec]
    ) -> None:
        self.spec = spec
        self._versions = versions
        self._specs: dict[int, DatasetSpec] = {spec.version: spec}
        self._fields = {f.name: f for f in spec.fields}
        self._read: dict[int, dict[str, str]] = {}

    def expressions(self, version: int) -> dict[str, str]:
        """Return, for each field, the SQL that reads it out of a file of some version.

        Raises
        ------
        StoreError
            The version is not kept.
        """
        if version not in self._read:
            if version not in self._specs:
                self._specs |= {n: s for n, s in self._versions().items() if n != self.spec.version}
            if version not in self._specs:
                raise StoreError(
                    f"dataset {self.spec.name!r}: version {version} of its specification is not kept.",
                    remedy="Restore datasets/.history from a backup.",
                    code="OPS-F042",
                )
            there = {f.name for f in self._specs[version].fields}
            self._read[version] = {name: _expression(field, there) for name, field in self._fields.items()}
        return self._read[version]

    def column(self, name: str, version: int) -> str:
        """Return the SQL of a column, be it a field or the store's own, with its name."""
        found = self.expressions(version).get(name, quote(name))
        return found if found == quote(name) else f"{found} AS {quote(name)}"

    def select(self, columns: Sequence[str], version: int) -> str:
        """Return the list of columns to select from a file of some version."""
        return ", ".join(self.column(name, version) for name in columns)

    def groups(self, files: Iterable[StoredFile]) -> list[tuple[int, list[StoredFile]]]:
        """Return the files in groups that can be read by one scan, each with a version of its files."""
        found: dict[tuple[str, ...], tuple[int, list[StoredFile]]] = {}
        for file in files:
            form = tuple(self.expressions(file.spec).values())
            found.setdefault(form, (file.spec, []))[1].append(file)
        return list(found.values())

    def rows(self, files: Iterable[StoredFile], columns: Sequence[str], where: str = "") -> str:
        """Return SQL of columns of files, whichever version wrote them; there must be one file at least."""
        return " UNION ALL ".join(
            f"SELECT {self.select(columns, version)} FROM {scan(group)}{where}" for version, group in self.groups(files)
        )


def _expression(field: FieldSpec, there: set[str]) -> str:
    for name in (field.name, *field.aliases):
        if name in there:
            return quote(name)
    if field.default is None:
        return f"CAST(NULL AS {sql_type(field)})"
    value = field.default
    text = literal(str(value).lower() if isinstance(value, bool) else value)
    # A tombstone carries its key and nothing else.
    return f"CASE WHEN op = 0 THEN CAST({text} AS {sql_type(field)}) END"

"""Tell a file's kind by its content, and refuse in words what no reader takes."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from opsroom.observe.quality import refuse

WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
"""Endings that promise a workbook."""

_BINARY = {
    b"\x1f\x8b": "it is packed with gzip; unpack it first",
    b"BZh": "it is packed with bzip2; unpack it first",
    b"\xfd7zXZ": "it is packed with xz; unpack it first",
    b"\x28\xb5\x2f\xfd": "it is packed with zstd; unpack it first",
    b"7z\xbc\xaf": "it is a 7z archive; unpack it first",
    b"Rar!": "it is a RAR archive; unpack it first",
    b"\xd0\xcf\x11\xe0": "it is an old XLS workbook, or one with a password; save it as XLSX without one",
    b"%PDF": "it is a PDF",
    b"{\\rtf": "it is an RTF document",
    b"ARROW1": "it is an Arrow (Feather) file; save it as Parquet",
    b"FEA1": "it is a Feather file; save it as Parquet",
    b"SQLite format 3": "it is an SQLite database; export the table as CSV",
    b"\x89HDF": "it is an HDF5 file; save the table as Parquet or CSV",
    b"\x89PNG": "it is a picture",
    b"\xff\xd8\xff": "it is a picture",
    b"GIF8": "it is a picture",
    b"\xff\xfe\x00\x00": "it is text in UTF-32; save it as UTF-8",
    b"\x00\x00\xfe\xff": "it is text in UTF-32; save it as UTF-8",
    b"version https://git-lfs": "it is a pointer to a file kept elsewhere (Git LFS); fetch the file itself",
}
_MARKUP = re.compile(rb"<(?:[!?]|[A-Za-z][\w.:-]*[\s>/])")
_JSON = re.compile(rb"\{\s*(?:\"|\})|\[\s*(?:[\[{\"\]]|-?\d[\d.eE+-]*\s*(?:,|\]\s*\Z))")


def check_kind(path: Path, head: bytes, at: str, *, below: bool = False) -> None:
    """Refuse a file whose content no reader takes, or whose name says another kind than its content.

    Parameters
    ----------
    path, head
        The file, and its first bytes, some hundreds at least where it has as many.
    at
        Words for messages.
    below
        Whether the table begins below the first row: what stands above may look like anything.

    Raises
    ------
    DataError
        ``OPS-D015`` of a kind that no reader takes; ``OPS-D016`` named as a workbook, and none.
    """
    if head.startswith(b"PK\x03\x04"):
        _check_zip(path, at)
        return
    if head.startswith(b"PAR1"):
        return
    for mark, words in _BINARY.items():
        if head.startswith(mark):
            raise refuse("OPS-D015", at, words)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:512]
    if not below and _MARKUP.match(start):
        words = "it is XML or HTML, perhaps a page that a portal sent instead of the file (electronic invoices are "
        raise refuse("OPS-D015", at, words + "taken by the built-in dataset invoices)")
    if not below and _JSON.match(start):
        raise refuse("OPS-D015", at, "it is JSON")
    ending = path.suffix.lower()
    if ending in WORKBOOKS:
        words = f"its name ends in {ending}, but its content is no workbook; if it is CSV, rename it to .csv"
        raise refuse("OPS-D016", at, words)


def _check_zip(path: Path, at: str) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.lower() for name in archive.namelist()]
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, NotImplementedError, ValueError, EOFError):
        return  # the workbook's reader says so
    if any(name.endswith("workbook.xml") for name in names):
        return
    if any(name.endswith("workbook.bin") for name in names):
        raise refuse("OPS-D015", at, "it is a binary workbook (XLSB); save it as XLSX")
    if "mimetype" in names and "content.xml" in names:
        raise refuse("OPS-D015", at, "it is an OpenDocument file; save it as XLSX or CSV")
    if names and "[content_types].xml" not in names:
        raise refuse("OPS-D015", at, "it is a zip of other files; unpack it and give them one by one")

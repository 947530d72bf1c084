"""The errors of opsroom, in one tree.

::

    OpsroomError
    ├── UserError                 something that the user, a file or a setting can mend
    │   ├── UsageError            OPS-U…   a call or command that cannot be taken as it is
    │   ├── SettingsError         OPS-C…   room.toml
    │   ├── SpecError             OPS-S…   a dataset specification
    │   ├── DataError             OPS-D…   a file or batch that cannot be read or fails a rule
    │   ├── AsOfError             OPS-T…   a day that the room does not know
    │   ├── NotFoundError         OPS-N…   no dataset, series, release or decision of that name
    │   ├── AccessError           OPS-A…   an actor without the right
    │   ├── DisclosureError       OPS-P…   the gate refuses
    │   ├── LedgerConflictError   OPS-L…   another release was issued meanwhile: try again
    │   ├── FitError              OPS-M…   a method that cannot give a number on these data
    │   └── StoreError            OPS-F…   disk full, store unreadable, lock
    └── InternalError             OPS-I…   a defect in opsroom

A message says where (file, row, field), which rule, and what to do. It never holds a value of
microdata: the messages are shown to users and written to logs.
"""

from __future__ import annotations

from typing import ClassVar


class OpsroomError(Exception):
    """Base of every error that opsroom raises on purpose.

    Parameters
    ----------
    message
        What happened and where: file, row, field, rule. Never a value of microdata.
    remedy
        What the reader can do about it, one imperative sentence.
    code
        Stable code such as ``"OPS-D012"``; listed in the manual.
    """

    default_code: ClassVar[str] = "OPS-I000"
    exit_code: ClassVar[int] = 70
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, remedy: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code or self.default_code

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}"
        return f"{text} {self.remedy}" if self.remedy else text


class UserError(OpsroomError):
    """Something that the user, a file or a setting can mend."""

    default_code = "OPS-U000"
    exit_code = 2
    http_status = 400


class UsageError(UserError):
    """A call or command that cannot be taken as it is."""

    default_code = "OPS-U001"
    exit_code = 2
    http_status = 400


class SettingsError(UserError):
    """``room.toml`` is missing, unreadable or says something that the room cannot do."""

    default_code = "OPS-C001"
    exit_code = 10
    http_status = 500


class SpecError(UserError):
    """A dataset specification is invalid or describes what may not be observed."""

    default_code = "OPS-S001"
    exit_code = 11
    http_status = 422


class DataError(UserError):
    """A file or batch cannot be read or fails a rule as a whole."""

    default_code = "OPS-D001"
    exit_code = 12
    http_status = 422


class AsOfError(UserError):
    """A day of which the room knows nothing."""

    default_code = "OPS-T001"
    exit_code = 13
    http_status = 404


class NotFoundError(UserError):
    """There is no dataset, series, release or decision of that name."""

    default_code = "OPS-N001"
    exit_code = 14
    http_status = 404


class AccessError(UserError):
    """The actor does not hold the right."""

    default_code = "OPS-A001"
    exit_code = 15
    http_status = 403


class DisclosureError(UserError):
    """The gate refuses to let a result out; names the rule and a public remedy, never counts."""

    default_code = "OPS-P001"
    exit_code = 16
    http_status = 403


class LedgerConflictError(UserError):
    """Another release was issued since this one was checked; check again and retry."""

    default_code = "OPS-L001"
    exit_code = 17
    http_status = 409


class FitError(UserError):
    """A method cannot give a number that deserves to be shown on these data."""

    default_code = "OPS-M001"
    exit_code = 18
    http_status = 422


class StoreError(UserError):
    """The store cannot be read or written: disk full, damaged file, lock."""

    default_code = "OPS-F001"
    exit_code = 19
    http_status = 503


class InternalError(OpsroomError):
    """A defect in opsroom. The cause stays in memory for a debugger and is not printed."""

    default_code = "OPS-I001"
    exit_code = 70
    http_status = 500

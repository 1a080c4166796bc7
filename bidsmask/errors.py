"""The errors a user can meet, and the findings he should know of.

An error says what is wrong and with which file or value, then what to do. The tree, each
leaf with the exit code that the program ends with when nothing else is left to do:

    BidsmaskError
    ├── UsageError            64  the command line is wrong or contradicts itself
    │   ├── UnknownLevel      17  an analysis level that is not there
    │   └── WrongType         64  something of another kind than can be taken
    ├── NotBids               16  no usable dataset_description.json
    ├── NothingSelected       18  labels and filters select nothing
    ├── MissingInput          66  an input named on the command line is missing or unreadable
    ├── OutputRefused         73  the output cannot be created, or is in use
    ├── WritingFailed         74  writing failed midway
    └── DataError             65  the data of one Job
        ├── DamagedFile           truncated, checksum wrong, unreadable
        ├── UnusableImage         a readable image that is not what is needed
        ├── GridMismatch          two images that should share a grid do not
        ├── UnusableMask          empty, or with other values than 0 and one more
        ├── UnusableTable         a TSV, CSV or JSON file that does not say what it must
        ├── MissingColumn         a confound that was asked for is not in the table
        ├── BadTiming             no usable repetition time
        ├── TooFewVolumes         not enough volumes for what was asked
        ├── NoDegreesOfFreedom    nothing would be left after the cleaning
        ├── MissingCompanion      a file that belongs to a run is not there
        └── UnequalChoices        runs that cannot be joined: made with different choices

UsageError and DataError are ValueErrors, too, and one of these is a TypeError: WrongType;
a missing input is a FileNotFoundError. Who comes from nilearn goes on catching what it raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

Severity = Literal["error", "warning", "note"]


class BidsmaskError(Exception):
    """What is wrong, where, and what to do about it.

    Parameters
    ----------
    where : str or Path
        The file, option or thing that the sentence is about; a path is shown by its name.
    problem : str
        The rest of the sentence that starts with `where`, without its full stop.
    advice : str
        What the user can do: sentences of their own, with their full stops.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, where: str | Path, problem: str, advice: str = "") -> None:
        self.where = where
        self.problem = problem
        self.advice = advice
        super().__init__(str(self))

    def __reduce__(self) -> tuple[type[BidsmaskError], tuple[str | Path, str, str]]:
        return type(self), (self.where, self.problem, self.advice)

    def __str__(self) -> str:
        return sentence(self.where, self.problem, self.advice)

    @property
    def code(self) -> str:
        """The kind of error in kebab case, as findings are grouped by: `grid-mismatch`."""
        name = type(self).__name__
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


class UsageError(BidsmaskError, ValueError):
    """The command line or an argument is wrong, or asks for contradicting things."""

    exit_code = 64


class UnknownLevel(UsageError):
    """An analysis level that is not there."""

    exit_code = 17


class WrongType(UsageError, TypeError):
    """Something of another kind than can be taken."""


class NotBids(BidsmaskError):
    """The dataset is not usable as BIDS."""

    exit_code = 16


class NothingSelected(BidsmaskError):
    """The labels and filters select nothing."""

    exit_code = 18


class MissingInput(BidsmaskError, FileNotFoundError):
    """An input that was named is missing or unreadable."""

    exit_code = 66


class OutputRefused(BidsmaskError):
    """The output cannot be created: not writable, inside the input, in use."""

    exit_code = 73


class WritingFailed(BidsmaskError):
    """Writing failed midway: disk full, input or output error."""

    exit_code = 74


class DataError(BidsmaskError, ValueError):
    """The data of one Job do not allow what was asked."""

    exit_code = 65


class DamagedFile(DataError):
    """A file that is truncated, fails its checksum or cannot be read."""


class UnusableImage(DataError):
    """A readable image that is not what is needed: 3D for 4D, complex, empty."""


class GridMismatch(DataError):
    """Two images that should share shape and affine do not."""


class UnusableMask(DataError):
    """A mask without voxels, or with other values than 0 and one more."""


class UnusableTable(DataError):
    """A table or sidecar that does not say what it must."""


class MissingColumn(DataError):
    """A confound that was asked for is not in the table."""


class BadTiming(DataError):
    """The repetition time is missing, zero, or contradicts the header."""


class TooFewVolumes(DataError):
    """Not enough volumes for what was asked."""


class NoDegreesOfFreedom(DataError):
    """Nothing would be left of the signals after the cleaning."""


class MissingCompanion(DataError):
    """A file that belongs to a run, and that the options need, is not there."""


class UnequalChoices(DataError):
    """Products of several runs that were made with different choices, and cannot be joined."""


@dataclass(frozen=True)
class Finding:
    """Something the user should know about his data.

    Attributes
    ----------
    severity : {"error", "warning", "note"}
        An error stops its Job; a warning and a note do not.
    code : str
        The kind, in kebab case; findings are grouped by it.
    where : str
        The file or thing it is about.
    problem, advice : str
        As in BidsmaskError.
    participant : str
        Label without `sub-`; empty for the dataset as a whole.
    """

    severity: Severity
    code: str
    where: str
    problem: str
    advice: str = ""
    participant: str = ""

    def __str__(self) -> str:
        return sentence(self.where, self.problem, self.advice)

    @classmethod
    def of(cls, error: BidsmaskError, participant: str = "") -> Finding:
        """Return the error as a finding of severity `error`."""
        return cls("error", error.code, str(error.where), error.problem, error.advice, participant)


def sentence(where: str | Path, problem: str, advice: str) -> str:
    """Return `where problem. advice`, with a path shown by its name."""
    is_path = "/" in str(where) and not str(where).startswith("--")
    name = Path(where).name if is_path else str(where)
    return f"{name} {problem.rstrip('.')}. {advice}".rstrip()

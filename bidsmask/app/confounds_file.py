"""A strategy of the user's own, from a TOML file: columns, and the options that go with them."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsmask.app.config import config_value, read_toml
from bidsmask.app.options import Options, flag, with_filter
from bidsmask.app.words import CONFOUNDS, n_compcor
from bidsmask.cleaning.columns import ColumnChoice
from bidsmask.cleaning.strategies import STRATEGIES, ConfoundsStrategy
from bidsmask.errors import UsageError

# Options of the command line that a file may set for its own strategy.
OPTIONS = (
    "global_signal",
    "n_compcor",
    "high_variance_confounds",
    "fd_threshold",
    "dvars_threshold",
    "min_segment",
    "dummy_scans",
    "use_outlier_columns",
    "motion_filter",
    "motion_filter_hz",
    "filter",
    "high_pass",
    "low_pass",
    "padding",
    "detrend",
    "standardize",
)
FILTER = ("filter", "high_pass", "low_pass", "padding")
KEYS = ("strategy", "columns", "tables", *OPTIONS)
TABLE_KEYS = ("table", "dataset", "columns")
_FIELDS = {one.name: one for one in dataclasses.fields(Options)}


@dataclass(frozen=True)
class ConfoundsFile:
    """What a file of confounds says.

    Attributes
    ----------
    path : Path
    strategy : ConfoundsStrategy
        Its columns, and those of the strategy that it builds on.
    options : mapping
        Values of options that it sets, by field.
    """

    path: Path
    strategy: ConfoundsStrategy
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The stem of the file in letters and digits, and eight hex digits of what it says.

        So that a file that was changed since never writes under the name of what it was.
        """
        said = [dataclasses.asdict(self.strategy), dict(self.options)]
        text = json.dumps(said, sort_keys=True)
        digits = hashlib.sha256(text.encode()).hexdigest()[:8]
        return _in_letters(self.path) + digits

    def applied_to(self, options: Options) -> Options:
        """Return the options with what the file sets.

        Raises
        ------
        UsageError
            The command line sets one of them to something else.
        """
        sets_filter = any(name in self.options for name in FILTER)
        for name in (*self.options, *(FILTER if sets_filter else ())):
            given, default = getattr(options, name), _FIELDS[name].default
            is_implied = name == "filter" and given in ("butterworth", "none")
            if given not in (default, self.options.get(name, default)) and not is_implied:
                raise UsageError(
                    self.path,
                    f"says {'how to filter' if name in FILTER else name}, and so does the "
                    f"command line by {flag(name)}",
                    "Say it in one of them.",
                )
        changed = dataclasses.replace(options, **self.options)
        if sets_filter and "filter" not in self.options:
            changed = dataclasses.replace(changed, filter=None)
        return with_filter(changed)


def read_confounds_file(path: Path) -> ConfoundsFile:
    """Read a file of confounds.

    Raises
    ------
    MissingInput
        It is not there.
    UsageError
        It is no TOML, holds a key that there is not, a value of the wrong kind, or nothing; file
        and key are named, and the key that is nearest.
    """
    said = read_toml(path)
    _refuse_unknown(path, said, KEYS, "")
    if not _in_letters(path):
        problem = "has no letter or digit in its name, which names what is written"
        raise UsageError(path, problem, "Rename it.")
    if not said:
        raise UsageError(path, "says nothing", f"It may set {', '.join(KEYS)}.")
    base = said.get("strategy", "none")
    if base not in CONFOUNDS:
        near = difflib.get_close_matches(str(base), CONFOUNDS, n=2, cutoff=0.4) or CONFOUNDS
        raise UsageError(path, f"sets strategy to {base!r}", f"It is one of {', '.join(near)}.")
    columns = list(STRATEGIES[base].columns)
    if "columns" in said:
        names = _texts(path, "columns", said["columns"])
        columns.append(ColumnChoice(names, f"columns in {path.name}"))
    columns += _tables(path, said.get("tables", []))
    # A number of theirs may be a word as well: 5, "all", "auto".
    words = {name: str(said[name]) for name in ("n_compcor", "dummy_scans") if name in said}
    set_here: dict[str, Any] = said | words
    options = {
        name: config_value(path, _FIELDS[name], set_here[name])
        for name in OPTIONS
        if name in set_here
    }
    strategy = dataclasses.replace(STRATEGIES[base], name=_in_letters(path), columns=tuple(columns))
    _check_words(path, strategy, options)
    return ConfoundsFile(path, strategy, options)


def _in_letters(path: Path) -> str:
    """Return the stem of a file in letters and digits, as BIDS allows them in a name."""
    return re.sub(r"[^A-Za-z0-9]", "", path.stem)


def _refuse_unknown(path: Path, said: Mapping[str, Any], known: tuple[str, ...], at: str) -> None:
    """Refuse a key that there is not, and name the nearest."""
    for key in said:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            advice = f"Did you mean {near[0]}?" if near else f"It may set {', '.join(known)}."
            raise UsageError(path, f"has a key {at}{key}, which there is not", advice)


def _texts(path: Path, key: str, value: object) -> tuple[str, ...]:
    """Return a list of texts, or the only one of it."""
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(one, str) for one in items):
        problem = f"sets {key} to {value!r}"
        raise UsageError(path, problem, 'It takes texts: ["csf", "rot_*"].')
    return tuple(sorted(set(items)))


def _tables(path: Path, value: object) -> list[ColumnChoice]:
    """Return the columns that are asked for from other tables."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        advice = "Write [[tables]] before the keys of each."
        raise UsageError(path, f"sets tables to {value!r}", advice)
    found = []
    for number, entry in enumerate(value):
        at = f"tables[{number}]."
        _refuse_unknown(path, entry, TABLE_KEYS, at)
        for key in ("table", "columns"):
            if key not in entry:
                raise UsageError(path, f"lacks {at}{key}", _EXAMPLE)
        for key in ("table", "dataset"):
            if not isinstance(entry.get(key, ""), str):
                raise UsageError(path, f"sets {at}{key} to {entry[key]!r}", "It takes a text.")
        columns = _texts(path, f"{at}columns", entry["columns"])
        table = entry["table"].removesuffix(".tsv").strip("_")
        if not table:
            raise UsageError(path, f"sets {at}table to {entry['table']!r}", _EXAMPLE)
        asked_by = f"{at}columns in {path.name}"
        dataset = re.sub(r"[^a-z0-9]", "", entry.get("dataset", "").lower())
        found.append(ColumnChoice(columns, asked_by, table, dataset))
    return found


_EXAMPLE = 'A table is named by the end of its name: table = "desc-aroma_timeseries".'


def _check_words(path: Path, strategy: ConfoundsStrategy, options: Mapping[str, Any]) -> None:
    """Refuse numbers that are none, and options that do nothing."""
    dummy_scans = options.get("dummy_scans", "auto")
    if dummy_scans != "auto" and not dummy_scans.isdecimal():
        raise UsageError(path, f"sets dummy_scans to {dummy_scans!r}", 'It takes N or "auto".')
    censors = any(name in options for name in ("fd_threshold", "dvars_threshold"))
    censors |= strategy.fd_mm is not None or options.get("use_outlier_columns", False)
    idle: dict[str, tuple[bool, str]] = {
        "n_compcor": (strategy.compcor == "none", 'Set strategy = "acompcor" or "tcompcor".'),
        "min_segment": (not censors, "Set fd_threshold, dvars_threshold or use_outlier_columns."),
        "motion_filter": (
            strategy.fd_mm is None and "fd_threshold" not in options,
            "Set fd_threshold.",
        ),
        "motion_filter_hz": ("motion_filter" not in options, "Set motion_filter."),
    }
    for name, (does_nothing, advice) in idle.items():
        if name in options and does_nothing:
            raise UsageError(path, f"sets {name}, which does nothing there", advice)
    if "n_compcor" in options:
        try:
            n_compcor(options["n_compcor"])
        except ValueError as error:
            problem = f"sets n_compcor to {options['n_compcor']!r}"
            advice = "It takes a number, a share of variance below 1, or all."
            raise UsageError(path, problem, advice) from error

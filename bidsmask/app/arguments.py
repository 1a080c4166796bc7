"""From a command line, and a TOML file that it names, to Options."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

from bidsmask.app.checks import GROUP_FIELDS, check, check_text
from bidsmask.app.config import config_value, read_toml
from bidsmask.app.options import Options, with_filter
from bidsmask.app.parser import Parser
from bidsmask.app.words import CLEANING, MASK, RUNNING, SIGNALS, WORK
from bidsmask.errors import UsageError

DESCRIPTION = (
    "Brain masks and masked, confound-cleaned time series of every run of a BIDS dataset, as "
    "BIDS Derivatives."
)
BIDS_DIR_HELP = "a raw BIDS dataset, or derivatives alone; with --mask-only also a folder of images"
OUTPUT_DIR_HELP = "where the derivatives are written"
LEVEL_HELP = (
    "participant: every run; group: what the participant level wrote into output_dir, joined "
    "(bids_dir is not looked at)"
)
CONFIG_HELP = "TOML file of these options; the command line goes before it"
EXIT_CODES = {
    0: "all runs done or up to date",
    1: "some runs failed; the table of findings says which and why",
    16: "the dataset is not usable as BIDS",
    17: "unknown analysis level",
    18: "the labels and filters select nothing",
    64: "the command line is wrong, or asks for contradicting things",
    65: "all runs failed for their data",
    66: "an input named on the command line is missing or unreadable",
    70: "a fault of bidsmask; the crash file says where",
    73: "the output cannot be created, or another run is at work on it",
    74: "writing failed midway, as on a full disk",
    75: "a run was killed from outside, as for its memory; the same command resumes",
    130: "interrupted; the same command resumes",
    143: "terminated; the same command resumes",
}


# Of TemplateFlow or of the participant's own; what is there under that name is a path.
ATLAS_NAME = re.compile(r"[A-Za-z0-9+]+(:[a-z]+-[A-Za-z0-9+]+)*")


def parser() -> Parser:
    """Return the parser of the command line, made from the fields of Options."""
    result = Parser("bidsmask", DESCRIPTION, EXIT_CODES)
    result.add_argument("bids_dir", type=Path, help=BIDS_DIR_HELP)
    result.add_argument("output_dir", type=Path, help=OUTPUT_DIR_HELP)
    result.add_argument("analysis_level", metavar="{participant,group}", help=LEVEL_HELP)
    groups = {
        name: result.add_argument_group(name) for name in (WORK, MASK, SIGNALS, CLEANING, RUNNING)
    }
    for one in dataclasses.fields(Options):
        if one.metadata:
            add_argument(groups[one.metadata["group"]], one)
    groups[RUNNING].add_argument("--config", type=Path, metavar="TOML", help=CONFIG_HELP)
    return result


def add_argument(group: Any, one: dataclasses.Field[Any]) -> None:
    """Add the option that a field of Options describes."""
    settings: dict[str, Any] = {"dest": one.name, "help": help_text(one).replace("%", "%%")}
    if one.metadata["is_counted"]:
        settings["action"] = "count"
    elif one.metadata["kind"] is bool:
        default_is_on = one.default is not False
        settings["action"] = argparse.BooleanOptionalAction if default_is_on else "store_true"
    else:
        settings |= {"type": one.metadata["kind"], "metavar": one.metadata["metavar"] or None}
        if one.metadata["choices"]:
            settings["choices"] = one.metadata["choices"]
        if isinstance(one.default, tuple):
            settings |= {"nargs": "+", "action": "extend"}
    short = [flag for flag in one.metadata["flags"] if not flag.startswith("--")]
    others = [flag for flag in one.metadata["flags"] if flag.startswith("--")]
    group.add_argument(*short, "--" + one.name.replace("_", "-"), *others, **settings)


def help_text(one: dataclasses.Field[Any]) -> str:
    """Return what an option does, with its default where that says something."""
    text: str = one.metadata["help"]
    if one.default is True:
        return f"{text} (default: yes)"
    if not one.default:
        return text
    shown = " ".join(one.default) if isinstance(one.default, tuple) else one.default
    return f"{text} (default: {shown})"


def parse(arguments: list[str]) -> Options:
    """Return the Options of a command line.

    Parameters
    ----------
    arguments : list of str
        As in `sys.argv[1:]`; options may be spelt with dashes or underscores.

    Raises
    ------
    UsageError, UnknownLevel, MissingInput, OutputRefused
        What is wrong with it.
    """
    given = parser().given(arguments)
    config = given.pop("config", None)
    values = read_config(config) if config else {}
    if given["analysis_level"] == "group":
        values = {name: value for name, value in values.items() if name in GROUP_FIELDS}
        if values.get("combine_over", "participant") != "participant":
            # They say how a participant's masks are combined, not those of the group.
            values = {name: v for name, v in values.items() if not name.startswith("combine_")}
    values |= {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    options = Options(**values)
    check(options)
    options = normalised(options)
    check_text(options)
    return options


def read_config(path: Path) -> dict[str, Any]:
    """Return the fields that a TOML file sets.

    Raises
    ------
    MissingInput
        It is not there.
    UsageError
        It is no TOML, holds a name that is no option, or a value of the wrong kind.
    """
    table = read_toml(path)
    fields = {one.name: one for one in dataclasses.fields(Options) if one.metadata}
    values = {}
    for name, value in table.items():
        if name in ("bids_dir", "output_dir", "analysis_level"):
            continue
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=3)
            advice = f"Did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(path, f"has {name}, which is no option of bidsmask", advice)
        values[name] = config_value(path, fields[name], value)
    return values


def config_text(options: Options) -> str:
    """Return the TOML file that repeats these options."""
    lines = []
    for one in dataclasses.fields(options):
        value = getattr(options, one.name)
        if value is None or (one.metadata and value == one.default):
            continue
        if one.name == "filter" and value in ("butterworth", "none"):
            continue  # the cut-offs imply it, and may be changed beside --config
        if isinstance(value, tuple):
            value = [str(v) if isinstance(v, Path) else v for v in value]
        # JSON's strings, numbers, booleans and lists are TOML's, too, but for the sign DEL.
        text = json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
        lines.append(f"{one.name} = {text}".replace("\x7f", "\\u007f"))
    return "\n".join(lines) + "\n"


def normalised(options: Options) -> Options:
    """Return the options with whole paths, labels without prefix, and what others imply."""
    here = Path.cwd()
    changes: dict[str, Any] = {
        "bids_dir": here / options.bids_dir,
        "output_dir": here / options.output_dir,
        "derivatives": tuple(here / path for path in options.derivatives),
        "bids_filter_file": options.bids_filter_file and here / options.bids_filter_file,
        "mask_file": options.mask_file and here / options.mask_file,
        "atlas": tuple(whole_atlas(text) for text in options.atlas),
        "maps": tuple(whole_atlas(text) for text in options.maps),
        "seeds": tuple(here / path for path in options.seeds),
        "confounds": tuple(
            str(here / one) if one.endswith(".toml") else one for one in options.confounds
        ),
        "region_statistic": tuple(dict.fromkeys(options.region_statistic)),
        "participant_label": cut(options.participant_label, "sub-"),
        "session_label": cut(options.session_label, "ses-"),
        "task_label": cut(options.task_label, "task-"),
        "run_label": cut(options.run_label, "run-"),
    }
    if options.mask_file is not None:
        changes["mask_strategy"] = "file"
    if options.datatype == "anat":
        changes["mask_only"] = True
    if options.mask_only or options.datatype == "anat" or options.analysis_level == "group":
        return dataclasses.replace(options, **changes)
    if options.voxels is None:
        changes["voxels"] = not (options.atlas or options.maps or options.seeds)
    return with_filter(dataclasses.replace(options, **changes))


def whole_atlas(text: str) -> str:
    """Return `IMAGE[=TABLE]` or a folder with whole paths, and a name as it is."""
    here = Path.cwd()
    is_there = os.path.exists  # a Path raises OSError for a name too long to be one
    if ATLAS_NAME.fullmatch(text) and not is_there(text.partition(":")[0]):
        return text
    image, _, table = text.rpartition("=")
    # A file whose own name holds an = is that file.
    if not image or is_there(text):
        return str(here / text)
    return f"{here / image}={here / table}"


def cut(labels: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    """Return the labels without the prefix, each once, in their order."""
    return tuple(dict.fromkeys(label.removeprefix(prefix) for label in labels))

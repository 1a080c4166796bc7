"""The Boutiques descriptor: what the program takes and gives, made from the fields of Options."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bidsmask import __version__
from bidsmask.app.arguments import (
    BIDS_DIR_HELP,
    CONFIG_HELP,
    DESCRIPTION,
    EXIT_CODES,
    OUTPUT_DIR_HELP,
    help_text,
)
from bidsmask.app.options import Options, flag
from bidsmask.app.words import LEVELS, RUNNING, WORK

Input = dict[str, Any]

# Boutiques wants these right after the three positional arguments, in this order.
FIRST = ("participant_label", "session_label")
ABBREVIATIONS = {"bids", "dvars", "fd", "fwhm", "r", "t"}


def descriptor_text() -> str:
    """Return descriptor.json: indented, with a newline at the end."""
    return json.dumps(descriptor(), indent=2, ensure_ascii=False) + "\n"


def descriptor() -> dict[str, Any]:
    """Return the descriptor, Boutiques schema 0.5, as its validator wants it of a BIDS-App."""
    fields = [one for one in dataclasses.fields(Options) if one.metadata]
    fields.sort(key=lambda one: FIRST.index(one.name) if one.name in FIRST else len(FIRST))
    headings: dict[str, list[Input]] = {WORK: positional()}
    for one in fields:
        headings.setdefault(one.metadata["group"], []).extend(inputs_of(one))
    headings[RUNNING].append(
        option_input("config", "File", CONFIG_HELP, **{"command-line-flag": "--config"})
    )
    inputs = [one for members in headings.values() for one in members]
    keys = dict.fromkeys(one["value-key"] for one in inputs)
    return {
        "name": "bidsmask",
        "tool-version": __version__,
        "schema-version": "0.5",
        "author": "The bidsmask engineers",
        "description": DESCRIPTION,
        "command-line": f"mkdir -p [OUTPUT_DIR]; bidsmask {' '.join(keys)}",
        "container-image": {
            "type": "docker",
            "image": f"bidsmask/bidsmask:{__version__}",
            "entrypoint": True,
        },
        "inputs": inputs,
        "groups": groups(headings),
        "output-files": [
            {
                "id": "derivatives_dataset",
                "name": "Derivatives",
                "description": "BIDS Derivatives: masks, signals, column maps, volumes, logs",
                "path-template": "[OUTPUT_DIR]",
                "optional": False,
            }
        ],
        "error-codes": [
            {"code": code, "description": text} for code, text in EXIT_CODES.items() if code
        ],
        "tags": {
            "domain": ["neuroinformatics", "fMRI"],
            "app-type": ["BIDS-App"],
            "analysis-levels": list(LEVELS),
        },
    }


def positional() -> list[Input]:
    """Return the three arguments without a flag; the output twice, as a name and as a folder."""
    level = "participant: every run; group: all that the participant level wrote"
    return [
        option_input("bids_dir", "File", BIDS_DIR_HELP, optional=False),
        option_input("output_dir", "String", OUTPUT_DIR_HELP, optional=False),
        option_input(
            "existing_output_dir",
            "File",
            # Its rules want this form, but its command line leaves the second form out.
            "not used by bosh, which takes output_dir alone: the same folder, as its rules want it",
            **{"value-key": "[OUTPUT_DIR]"},
        ),
        option_input(
            "analysis_level", "String", level, optional=False, **{"value-choices": list(LEVELS)}
        ),
    ]


def option_input(name: str, kind: str, help: str, **more: Any) -> Input:
    """Return one input of the descriptor; `more` goes before what is the same for most."""
    return {
        "id": name,
        "name": title(name),
        "type": kind,
        "description": help,
        "value-key": f"[{name.upper()}]",
        "optional": True,
        **more,
    }


def title(name: str) -> str:
    """Return the name of a field as people read it: `fd_threshold` is `FD threshold`."""
    words = [word.upper() if word in ABBREVIATIONS else word for word in name.split("_")]
    first, *others = words
    return " ".join([first[0].upper() + first[1:], *others])


def inputs_of(one: dataclasses.Field[Any]) -> Iterator[Input]:
    """Yield the input of a field of Options; two for a switch that can be turned off, too."""
    metadata, text = one.metadata, help_text(one)
    if metadata["is_counted"]:
        # A word of its own: Boutiques cannot give a flag twice.
        short = metadata["flags"][0]
        twice = [short, short + short.removeprefix("-")]
        yield option_input(one.name, "String", text, **{"value-choices": twice})
    elif metadata["kind"] is bool:
        given = option_input(one.name, "Flag", text, **{"command-line-flag": flag(one.name)})
        if one.default is False:
            yield given
            return
        no = f"no_{one.name}"
        opposite = f"the opposite of {flag(one.name)}"
        yield given | {"disables-inputs": [no]}
        yield option_input(no, "Flag", opposite, **{"command-line-flag": flag(no)})
    else:
        yield option_input(one.name, kind_of(one), text, **value_of(one))


def kind_of(one: dataclasses.Field[Any]) -> str:
    """Return Boutiques' word for the type of a field's values."""
    return {int: "Number", float: "Number", Path: "File"}.get(one.metadata["kind"], "String")


def value_of(one: dataclasses.Field[Any]) -> Input:
    """Return what Boutiques should know of the values of a field.

    No default: Boutiques would write it on the command line, which goes before `--config`.
    """
    metadata = one.metadata
    known: Input = {"command-line-flag": flag(one.name)}
    if isinstance(one.default, tuple):
        known |= {"list": True, "min-list-entries": 1}
    if metadata["kind"] is int:
        known["integer"] = True
    if metadata["choices"]:
        known["value-choices"] = list(metadata["choices"])
    if metadata["minimum"] is not None:
        known["minimum"] = metadata["minimum"]
    return known


def groups(headings: dict[str, list[Input]]) -> list[dict[str, Any]]:
    """Return the headings of the help."""
    return [
        {
            "id": heading.replace(" ", "_"),
            "name": heading.capitalize(),
            "members": [one["id"] for one in members],
        }
        for heading, members in headings.items()
    ]

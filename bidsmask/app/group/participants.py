"""The table of participants: who is listed in an output, and what is told of them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import pandas as pd

from bidsmask.app.group.agreement import in_short
from bidsmask.bids.tables import read_table
from bidsmask.errors import DataError, Finding, UnusableTable

PARTICIPANTS: Final = "participants.tsv"


def read_participants(
    output: Path, having_runs: Collection[str]
) -> tuple[pd.DataFrame, list[Finding]]:
    """Read the table of participants.

    Parameters
    ----------
    output : Path
        Root of the outputs.
    having_runs : collection of str
        Labels without `sub-`, who has to have a row.

    Returns
    -------
    table : DataFrame
        By `participant_id`, its index, the first row of each; no row where it cannot be used.
    findings : list of Finding
        Warnings: why it cannot be used, who has several rows or none.
    """
    path = output / PARTICIPANTS
    try:
        table = read_table(path, text=("participant_id",))
        if "participant_id" not in table:
            raise UnusableTable(path, "has no column participant_id")
    except DataError as error:
        problem = f"{error.problem}; it is not joined"
        advice = "Remove it and run the participant level again."
        empty = pd.DataFrame(index=pd.Index([], dtype=object, name="participant_id"))
        return empty, [Finding("warning", error.code, str(path), problem, advice)]
    ids = table["participant_id"]
    doubled = list(dict.fromkeys(ids[ids.duplicated()].dropna()))
    missing = sorted({f"sub-{label}" for label in having_runs} - set(ids))
    findings = []
    if doubled:
        problem = f"has several rows for {in_short(doubled)}, of which the first is joined"
        advice = "Keep one row a participant in the table of the dataset, and here."
        findings.append(Finding("warning", "participant-doubled", str(path), problem, advice))
    if missing:
        problem = f"has no row for {in_short(missing)}"
        findings.append(Finding("warning", "participant-unknown", str(path), problem))
    return table.dropna(subset="participant_id").drop_duplicates("participant_id").set_index(
        "participant_id"
    ), findings

"""The record of one run of the program: `logs/run-<UTC>-<8 hex>/` in the output."""

from __future__ import annotations

import dataclasses
import json
import secrets
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from bidsmask.app.arguments import config_text
from bidsmask.app.job import Outcome
from bidsmask.app.options import Options
from bidsmask.bids.locks import remove_leftovers
from bidsmask.bids.publish import publish
from bidsmask.bids.tables import table_bytes
from bidsmask.errors import BidsmaskError, Finding, WritingFailed

SEVERITIES = ("error", "warning", "note")


class Ledger:
    """What was asked, what became of each Job, and what was found.

    Parameters
    ----------
    output : Path
        Root of the output dataset.
    options : Options
        Written as config.toml.
    """

    def __init__(self, output: Path, options: Options) -> None:
        started = datetime.now(UTC)
        name = f"run-{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        self.folder = output / "logs" / name
        self.findings: list[Finding] = []
        self.counts: Counter[str] = Counter()
        self._exit_codes: list[int] = []
        self._output = output
        remove_leftovers(output / "logs", recursive=False)
        publish(self.folder / "config.toml", config_text(options).encode())
        publish(output / "logs" / "CITATION.md", CITATION.encode())
        self._append("bidsmask.log", f"{started:%Y-%m-%d %H:%M:%S} start")

    def note(self, findings: Iterable[Finding]) -> None:
        """Keep findings that no Outcome holds."""
        for finding in findings:
            self.findings.append(finding)
            self._append("bidsmask.log", f"{now()} {finding.severity} {finding.code}: {finding}")

    def record(self, outcome: Outcome) -> None:
        """Keep an Outcome: a line in ledger.jsonl, and its findings."""
        self.counts[outcome.status] += 1
        self._exit_codes.append(outcome.exit_code)
        line = {
            "job": outcome.label,
            "status": outcome.status,
            "exit_code": outcome.exit_code,
            "seconds": round(outcome.seconds, 3),
            "peak_mb": round(outcome.peak_mb, 1),
            "outputs": [path.relative_to(self._output).as_posix() for path in outcome.outputs],
            "findings": [dataclasses.asdict(one) for one in outcome.findings],
        }
        self._append("ledger.jsonl", json.dumps(line))
        self._append("bidsmask.log", f"{now()} {outcome.status}: {outcome.label}")
        self.note(outcome.findings)
        if outcome.crash:
            publish(self.folder / f"crash-{outcome.label}.txt", outcome.crash.encode())

    def crash(self, error: Exception) -> BidsmaskError:
        """Keep the fault of ours that stopped everything; return it as what the user reads."""
        path = self.folder / "crash.txt"
        publish(path, "".join(traceback.format_exception(error)).encode())
        problem = f"was stopped by a fault of its own: {type(error).__name__}: {error}"
        return BidsmaskError("bidsmask", problem, f"Please report it, with {path}.")

    def close(self) -> None:
        """Write the table of findings."""
        findings = sorted(
            self.findings,
            key=lambda one: (SEVERITIES.index(one.severity), one.code, one.participant, one.where),
        )
        table = pd.DataFrame(
            [dataclasses.asdict(one) for one in findings],
            columns=pd.Index([one.name for one in dataclasses.fields(Finding)]),
        )
        publish(self.folder / "findings.tsv", table_bytes(table))
        self._append("bidsmask.log", f"{now()} end: {dict(self.counts)}")

    @property
    def exit_code(self) -> int:
        """That of the program, by what became of the Jobs so far."""
        return exit_code_of(self._exit_codes)

    def _append(self, name: str, line: str) -> None:
        """Add a line to a file of the record."""
        path = self.folder / name
        try:
            append(path, line + "\n")
        except OSError as error:
            advice = "The same command resumes once that is mended."
            raise WritingFailed(path, f"cannot be written: {error.strerror}", advice) from error


def exit_code_of(jobs: Sequence[int]) -> int:
    """Return the exit code of a run of the program whose Jobs have these.

    0 where nothing failed; 1 where only some did; else what made all fail.
    """
    failed = [code for code in jobs if code]
    if not failed:
        return 0
    if len(failed) < len(jobs):
        return 1
    # Our own faults first, then the machine's, then the data's.
    return next(code for code in (70, 73, 74, 75, 65) if code in [*failed, 65])


def append(path: Path, text: str) -> None:
    """Add text to a file."""
    with path.open("a", encoding="utf-8") as handle:
        handle.write(text)


def now() -> str:
    """Return the time, UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


CITATION = """\
# What to cite

- BIDS: Gorgolewski et al. 2016, Scientific Data, doi:10.1038/sdata.2016.44
- fMRIPrep, for its derivatives: Esteban et al. 2019, Nature Methods,
  doi:10.1038/s41592-018-0235-4
- pybids, nibabel, numpy, scipy and pandas, by their own citation files.
- The mask `epi` and the names of confounds strategies: nilearn, doi:10.5281/zenodo.8397156
- Filtering signals and confounds alike, before the regression: Lindquist et al. 2019, Human
  Brain Mapping, doi:10.1002/hbm.24528; Hallquist et al. 2013, NeuroImage,
  doi:10.1016/j.neuroimage.2013.05.116
- Censoring by framewise displacement and DVARS: Power et al. 2012 and 2014, NeuroImage,
  doi:10.1016/j.neuroimage.2011.10.018, doi:10.1016/j.neuroimage.2013.08.048
- 24 motion parameters: Friston et al. 1996, Magnetic Resonance in Medicine,
  doi:10.1002/mrm.1910350312; 36 parameters: Satterthwaite et al. 2013, NeuroImage,
  doi:10.1016/j.neuroimage.2012.08.052
- acompcor: Behzadi et al. 2007, NeuroImage, doi:10.1016/j.neuroimage.2007.04.042
"""

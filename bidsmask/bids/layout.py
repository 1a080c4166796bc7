"""One participant's runs, from the names of his files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from bidsmask.bids import companions
from bidsmask.bids.dataset import DATATYPES, Dataset, is_preprocessed
from bidsmask.bids.entities import natural_order
from bidsmask.bids.file import File
from bidsmask.bids.folder import Folder
from bidsmask.bids.run import Run, product_entities
from bidsmask.bids.selection import Selection
from bidsmask.errors import BidsmaskError, Finding

_TIMING: Final = ("RepetitionTime", "VolumeTiming")
_FROM_RAW: Final = (*_TIMING, "TaskName")


def find_runs(
    dataset: Dataset, participant: str, selection: Selection | None = None
) -> tuple[list[Run], list[Finding]]:
    """Find the runs of one participant.

    Where derivatives hold images of a datatype, these are the preprocessed ones
    (`desc-preproc_bold`, `…_T1w`) in every space; else the raw ones, each echo on its own.

    Parameters
    ----------
    dataset : Dataset
    participant : str
        Label without `sub-`.
    selection : Selection, optional
        All functional runs without it.

    Returns
    -------
    runs : list of Run
        In the order of their names.
    findings : list of Finding
        Errors for images that cannot become runs, warnings, and one note for each kind of
        image that is left out.
    """
    selection = selection or Selection()
    folders = [Folder(root, participant, selection.filters) for root in dataset.derivatives]
    only_raw = set(dataset.only_raw if folders else selection.datatypes) & {*selection.datatypes}
    raw = None
    if dataset.raw is not None:
        raw = Folder(dataset.raw, participant, selection.filters if only_raw else {})
    search = _Search(participant, selection, raw, only_raw, folders)
    for folder in folders:
        search.look_into(folder, {*selection.datatypes} - only_raw)
    if raw is not None and only_raw:
        search.look_into(raw, only_raw)
    return search.runs_in_order(), search.all_findings()


class _Search:
    """The search for one participant's runs: what was found so far, and what to say of it."""

    def __init__(
        self,
        participant: str,
        selection: Selection,
        raw: Folder | None,
        only_raw: Collection[str],
        derivatives: Sequence[Folder],
    ) -> None:
        self.participant = participant
        self.selection = selection
        self.raw = raw
        self.only_raw = only_raw
        self.derivatives = derivatives
        self.images: dict[object, File] = {}
        self.seen: set[str] = set()
        self.runs: list[Run] = []
        self.findings: list[Finding] = []
        self.left_out: Counter[str] = Counter()

    def look_into(self, folder: Folder, datatypes: Collection[str]) -> None:
        """Take the runs of some datatypes in one root."""
        for path in folder.unreadable:
            self.findings.append(
                Finding(
                    "error",
                    "unreadable-folder",
                    str(path),
                    "cannot be read",
                    "Check its permissions.",
                    self.participant,
                )
            )
        for datatype in sorted(datatypes):
            for file in sorted(folder.of_datatype(datatype), key=_depth_first):
                self._look_at(file, folder)

    def _look_at(self, file: File, folder: Folder) -> None:
        """Make a run of a file, or count why not."""
        kind = self._kind(file)
        if kind == "image":
            self.seen.add(file.datatype)
        if not self.selection.takes(file.entities) or not folder.selects(file):
            return
        if kind != "image":
            self.left_out.update([kind] if kind else [])
            return
        named = product_entities(file.entities)
        key = (file.datatype, named.meaning, named.left_over)
        if key in self.images:
            self._report_twin(file, self.images[key])
            return
        self.images[key] = file
        if not self.selection.takes_space(file.entities):
            self.left_out["other-space"] += 1
            return
        if not _is_in_place(file, folder):
            self.left_out["unusual-place"] += 1
        self._add(file, folder)

    def runs_in_order(self) -> list[Run]:
        """Return the runs in the order of their names."""
        return sorted(self.runs, key=lambda run: natural_order(run.path.name))

    def all_findings(self) -> list[Finding]:
        """Return the findings, the notes on what was left out last."""
        found = list(self.findings)
        missing = set(self.selection.datatypes) - self.seen
        found += [self._nothing(datatype) for datatype in sorted(missing)]
        notes = [
            Finding(
                "note",
                kind,
                f"sub-{self.participant}",
                f"{number} {_NOTES[kind]}",
                participant=self.participant,
            )
            for kind, number in sorted(self.left_out.items())
        ]
        return found + notes

    def _kind(self, file: File) -> str:
        """Return `image` for what can be masked, a kind of note for what cannot, else ``."""
        entities = file.entities
        if entities.extension.endswith(".dtseries.nii"):
            return "cifti"
        if entities.extension.endswith(".func.gii"):
            return "gifti"
        if not file.is_image:
            return ""
        if DATATYPES.get(entities.suffix) != file.datatype:
            return self._kind_of_other(file)
        if entities.get("part") in ("phase", "real", "imag"):
            return "part-phase"
        if file.datatype not in self.only_raw and not is_preprocessed(entities):
            return "other-desc"
        return "image"

    def _kind_of_other(self, file: File) -> str:
        """Return a kind of note for an image that is no BOLD series, T1w or T2w, else ``."""
        if file.datatype == "func":
            return "sbref" if file.entities.suffix == "sbref" else ""
        return "other-anatomy" if file.datatype in self.only_raw else ""

    def _add(self, file: File, folder: Folder) -> None:
        """Make a run of a series, or say why not."""
        unknown = file.entities.unknown
        if unknown:
            self._error(
                "unknown-entity",
                file,
                f"has {', '.join(f'`{part}`' for part in unknown)} in its name, "
                "which BIDS does not know",
                "Rename it, or leave it out with --bids-filter-file.",
            )
            return
        try:
            metadata = self._metadata(file, folder)
        except BidsmaskError as error:
            self.findings.append(Finding.of(error, self.participant))
            return
        confounds = companions.find_confounds(file, folder)
        events = companions.find_events(file, [self.raw, folder])
        if len(events) > 1:
            self._report_events(file, events)
        self.runs.append(
            Run(
                participant=self.participant,
                path=file.path,
                entities=file.entities,
                metadata=metadata,
                mask=companions.find_mask(file, folder),
                boldref=companions.find_boldref(file, folder),
                confounds=confounds,
                confounds_sidecar=companions.find_sidecar(confounds),
                events=events[0] if len(events) == 1 else None,
                denoised=companions.find_denoised(file, folder),
                tables=companions.find_tables(file, self.derivatives),
                segmentations=companions.find_segmentations(file, folder),
            )
        )

    def _metadata(self, file: File, folder: Folder) -> dict[str, object]:
        """Return an image's metadata, a series' timing from the raw run where it tells none."""
        own = folder.metadata(file)
        if self.raw is None or folder is self.raw or file.datatype != "func":
            return own
        lacking = [key for key in _FROM_RAW if key not in own]
        if any(key in own for key in _TIMING):
            lacking = [key for key in lacking if key not in _TIMING]
        if not lacking:
            return own
        sources = [self.raw.metadata(source) for source in companions.find_sources(file, self.raw)]
        agreed = {
            key: sources[0][key]
            for key in lacking
            if sources
            and key in sources[0]
            and all(source.get(key) == sources[0][key] for source in sources)
        }
        return {**agreed, **own}

    def _report_twin(self, file: File, first: File) -> None:
        """Say that of two images one would write over what the other wrote."""
        self.findings.append(
            Finding(
                "warning",
                "doubled-run",
                str(file.path),
                f"is left out, for {first.path} has the same entities",
                "Choose one of the derivatives with -d, or rename one.",
                self.participant,
            )
        )

    def _report_events(self, file: File, tables: Sequence[Path]) -> None:
        """Say that of several tables of events nobody knows which is a run's."""
        problem = f"has {len(tables)} tables of events that apply alike, and is left without any: "
        self.findings.append(
            Finding(
                "warning",
                "two-events",
                str(file.path),
                problem + " and ".join(path.name for path in tables),
                "Remove or rename those that are not its own.",
                self.participant,
            )
        )

    def _error(self, code: str, file: File, problem: str, advice: str) -> None:
        self.findings.append(
            Finding("error", code, str(file.path), problem, advice, self.participant)
        )

    def _nothing(self, datatype: str) -> Finding:
        """Say that a participant has no image of a datatype, or none that is preprocessed."""
        what = "BOLD series" if datatype == "func" else "T1w or T2w image"
        in_derivatives = datatype not in self.only_raw
        is_in_raw = (
            in_derivatives
            and self.raw is not None
            and any(
                file.is_image and DATATYPES.get(file.entities.suffix) == datatype
                for file in self.raw.of_datatype(datatype)
            )
        )
        return Finding(
            "warning",
            "no-derivatives" if is_in_raw else "no-series",
            f"sub-{self.participant}",
            f"has a raw {what}, but no preprocessed one"
            if is_in_raw
            else f"has no {'preprocessed ' if in_derivatives else ''}{what}",
            "Run fMRIPrep for this participant." if is_in_raw else "",
            self.participant,
        )


_NOTES: Final = {
    "cifti": "CIFTI files left out",
    "gifti": "GIFTI files left out",
    "sbref": "single-band references (sbref) left out",
    "part-phase": "phase, real or imaginary images (part-phase) left out",
    "other-desc": "images left out that are not desc-preproc",
    "other-space": "images in other spaces left out",
    "other-anatomy": "anatomical images left out that are no T1w or T2w",
    "unusual-place": "images taken from outside the participant's own folders of func or anat",
}


def _depth_first(file: File) -> tuple[int, str]:
    return len(file.path.parts), str(file.path)


def _is_in_place(file: File, folder: Folder) -> bool:
    """Say whether a file lies where BIDS has it: `sub-01[/ses-1]/func`, or `anat`."""
    session = [f"ses-{file.entities['ses']}"] if "ses" in file.entities else []
    return file.path.parent == folder.path.joinpath(*session, file.datatype)

"""How long a dataset takes to index, and how much memory, by its number of participants.

    python benchmarks/indexing.py [--participants 10000] [--whole 200] [--folder DIR]

A tree of 24 files a participant is written (raw and preprocessed; links to one small run of 200
volumes with 36 confounds). The whole program plans it, band-pass included: from the start of the
process to the first Job of the dry run, then one participant after another. Beside it stands, for
a smaller tree, pybids indexing the whole at once.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TASK = {"RepetitionTime": 2.0, "TaskName": "rest"}
AFTER_THE_FIRST = 300
CLEANING = ["--confounds", "none", "--confounds-columns", "c*", "--high-pass", "0.01"]
TARGETS = {
    "start to the first Job (s)": 2.5,
    "peak memory by then (MB)": 250.0,
    "each participant after that (s)": 0.2,
    "growth over the last 100 (MB)": 2.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--participants", type=int, default=10_000)
    parser.add_argument("--whole", type=int, default=200, help="participants pybids indexes whole")
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--child", choices=["ours", "pybids"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        {"ours": index_one_by_one, "pybids": index_whole}[options.child](options.folder)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        big, small = Path(folder, "big"), Path(folder, "small")
        n_files = write_tree(big, options.participants)
        write_tree(small, options.whole)
        program = plan(big)
        ours, ours_small, pybids = child("ours", big), child("ours", small), child("pybids", small)
    print(f"{options.participants:,} participants, {n_files:,} files\n")
    print(f"{'':<42}{'measured':>10}{'target':>10}")
    for what, numbers in (("the whole program", program), ("the index alone", ours)):
        print(what)
        for name, target in TARGETS.items():
            missed = "" if numbers[name] <= target else "  !"
            print(f"  {name:<40}{numbers[name]:>10.3f}{target:>10.3f}{missed}")
    print(f"\nthe whole of {options.whole:,} participants")
    print(f"{'':<42}{'bidsmask':>10}{'pybids':>10}{'ratio':>8}")
    every = (
        ours_small["start to the first Job (s)"]
        + (options.whole - 1) * (ours_small["each participant after that (s)"])
    )
    for name, one, other in (
        ("seconds to the first participant's runs", ours_small[next(iter(TARGETS))], pybids["s"]),
        ("seconds to all participants' runs", every, pybids["s"]),
        ("peak memory (MB)", ours_small["peak"], pybids["MB"]),
    ):
        print(f"{name:<42}{one:>10.3f}{other:>10.3f}{other / one:>8.1f}")


def write_tree(root: Path, n_participants: int) -> int:
    """Write raw data and derivatives of `n_participants` below `root`; return the file count."""
    derivatives = root / "derivatives/fmriprep"
    derivatives.mkdir(parents=True)
    described = {"Name": "Many", "BIDSVersion": "1.8.0"}
    made_by = {"DatasetType": "derivative", "GeneratedBy": [{"Name": "fMRIPrep"}]}
    (root / "dataset_description.json").write_text(json.dumps(described))
    (root / "task-rest_bold.json").write_text(json.dumps(TASK))
    (derivatives / "dataset_description.json").write_text(json.dumps(described | made_by))
    n_files = 3
    sources = Sources(root.with_name(f"{root.name}-sources"))
    for number in range(1, n_participants + 1):
        subject = f"sub-{number:05d}"
        for place in (root, derivatives):
            for kind in ("anat", "func"):
                (place / subject / kind).mkdir(parents=True)
        names = [f"{subject}/anat/{subject}_T1w{end}" for end in (".nii.gz", ".json")]
        names += [
            f"derivatives/fmriprep/{subject}/anat/{subject}_desc-{kind}{end}"
            for kind in ("preproc_T1w", "brain_mask")
            for end in (".nii.gz", ".json")
        ]
        for run in (1, 2):
            stem = f"{subject}/func/{subject}_task-rest_run-{run}"
            space = f"derivatives/fmriprep/{stem}_space-MNI152NLin2009cAsym"
            names += [f"{stem}_bold.nii.gz", f"{stem}_events.tsv"]
            names += [
                f"{space}_desc-{kind}{end}"
                for kind in ("preproc_bold", "brain_mask")
                for end in (".nii.gz", ".json")
            ]
            names += [f"{space}_boldref.nii.gz"]
            names += [
                f"derivatives/fmriprep/{stem}_desc-confounds_timeseries{end}"
                for end in (".tsv", ".json")
            ]
        for name in names:
            sources.give(root / name)
        n_files += len(names)
    return n_files


class Sources:
    """One small run, whose files stand in a tree by hard links."""

    # ext4 allows 65,000 links to a file.
    LINKS = 60_000

    def __init__(self, folder: Path) -> None:
        # Here, since the processes that are measured import this file.
        import numpy as np
        import pandas as pd

        from bidsmask.images.grid import Grid
        from bidsmask.images.write import nifti_bytes

        folder.mkdir()
        self._folder = folder
        self._used = dict.fromkeys(("series", "mask", "table", "events", "json"), 0)
        rng = np.random.default_rng(0)
        grid = Grid((4, 4, 4), np.diag([2.0, 2.0, 2.0, 1.0]))
        noise = rng.integers(900, 1100, (4, 4, 4, 200)).astype(np.int16)
        names = ["trans_x", "white_matter", *(f"c{number}" for number in range(34))]
        table = pd.DataFrame(rng.standard_normal((200, 36)).cumsum(axis=0), columns=names)
        self._content = {
            "series": nifti_bytes(noise, grid, t_r_s=2.0),
            "mask": nifti_bytes(np.ones((4, 4, 4), np.uint8), grid),
            "table": table.to_csv(sep="\t", index=False).encode(),
            "events": b"onset\tduration\n",
            "json": b"{}",
        }

    def give(self, path: Path) -> None:
        """Let the file that a name asks for stand there."""
        kind = "series" if path.name.endswith("bold.nii.gz") else "mask"
        if not path.name.endswith(".nii.gz"):
            kind = "json" if path.suffix == ".json" else "table"
        kind = "events" if path.name.endswith("_events.tsv") else kind
        source = self._folder / f"{kind}-{self._used[kind] // self.LINKS}"
        if not self._used[kind] % self.LINKS:
            source.write_bytes(self._content[kind])
        path.hardlink_to(source)
        self._used[kind] += 1


def plan(root: Path) -> dict[str, float]:
    """Let the program plan the tree, and stop it when it has told enough."""
    command = [sys.executable, "-m", "bidsmask", str(root), str(root / "derivatives/out")]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "participant", "--dry-run", *CLEANING],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    times, sizes = [], []
    peak = 0.0
    for line in process.stdout:
        if line.startswith("failed"):
            raise RuntimeError(line)
        if not line.startswith("to do") or "_run-1_" not in line:
            continue
        times.append(time.perf_counter() - start)
        sizes.append(status_mb(process.pid, "VmRSS"))
        peak = peak or status_mb(process.pid, "VmHWM")
        if len(times) > AFTER_THE_FIRST:
            break
    process.kill()
    process.wait()
    each = (times[-1] - times[0]) / (len(times) - 1)
    numbers = (times[0], peak, each, sizes[-1] - sizes[max(0, len(sizes) - 100)])
    return dict(zip(TARGETS, numbers, strict=True))


def status_mb(process: int, name: str) -> float:
    """Return a size that Linux tells of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def child(kind: str, folder: Path) -> dict[str, float]:
    """Run one way of indexing in a fresh process; the clock starts with the process."""
    command = [sys.executable, __file__, "--child", kind, "--folder", str(folder)]
    environment = os.environ | {"BENCHMARK_START": repr(time.time())}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def index_one_by_one(root: Path) -> None:
    from bidsmask.bids.dataset import find_dataset, participants
    from bidsmask.bids.layout import find_runs

    dataset = find_dataset(root, None, root / "derivatives/bidsmask")
    labels = participants(dataset)
    runs, _ = find_runs(dataset, labels[0])
    assert [run.metadata["RepetitionTime"] for run in runs] == [2.0, 2.0]
    first = since_start()
    peak = peak_mb()
    later = labels[1 : AFTER_THE_FIRST + 1]
    start, sizes = time.perf_counter(), []
    for label in later:
        find_runs(dataset, label)
        sizes.append(size_mb())
    each = (time.perf_counter() - start) / len(later)
    numbers = (first, peak, each, sizes[-1] - sizes[max(0, len(sizes) - 100)])
    print(json.dumps({**dict(zip(TARGETS, numbers, strict=True)), "peak": peak_mb()}))


def index_whole(root: Path) -> None:
    from bids.layout import BIDSLayout

    layout = BIDSLayout(root, derivatives=root / "derivatives/fmriprep", validate=False)
    found = layout.get(suffix="bold", desc="preproc", extension=".nii.gz")
    assert found[0].get_metadata() is not None
    print(json.dumps({"s": since_start(), "MB": peak_mb()}))


def since_start() -> float:
    return time.time() - float(os.environ["BENCHMARK_START"])


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def size_mb() -> float:
    """Return the resident memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()

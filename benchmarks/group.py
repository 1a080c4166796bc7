"""How long the group level takes, and how much memory, by the number of runs.

    python benchmarks/group.py [--runs 1000] [--regions 400] [--volumes 300] [--folder DIR]

Outputs of the participant level are made up: masks of 2 mm, coverage, volumes and signals of one
atlas, a few of each, which stand under many names as hard links. Beside the whole group level
(masks, coverage, quality, HDF5) stands a peer that makes the HDF5 alone, of the same files, by
pandas' read_csv, numpy's stack and h5py. Aims: 2 GB at most, and time in proportion to the runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

SPACE = "MNI152NLin2009cAsym"
SHAPE = (91, 109, 91)
N_CONTENTS = 8
RUNS_EACH = 2
LIMIT_MB = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--regions", type=int, default=400)
    parser.add_argument("--volumes", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        stack_by_pandas(options.peer)
        return
    print(f"{options.regions} regions x {options.volumes} volumes a run; CPU s of all processors\n")
    print(f"{'':10}{'the group level':^50}{'HDF5 by pandas':^30}")
    columns = ("runs", "s", "CPU s", "HDF5 s", "again s", "peak MB", "s", "CPU s", "peak MB")
    print("".join(f"{name:>10}" for name in columns))
    each = []
    for n_runs in (options.runs // 4, options.runs // 2, options.runs):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            root = Path(folder, "out")
            write_outputs(root, n_runs, options.regions, options.volumes)
            command = [sys.executable, "-m", "bidsmask", str(root / "none"), str(root), "group"]
            group, again = watched(command), watched(command)
            peer = watched([sys.executable, __file__, "--peer", str(root)])
        each.append(group.cpu_s / n_runs)
        hdf5 = next(line for line in group.said.splitlines() if "desc-simple in" in line)
        numbers = (group.s, group.cpu_s, float(hdf5.split()[-2]), again.s, group.peak_mb)
        numbers += (peer.s, peer.cpu_s, peer.peak_mb)
        print(f"{n_runs:>10}" + "".join(f"{one:>10.1f}" for one in numbers))
    missed = "" if group.peak_mb < LIMIT_MB else "  !"
    print(f"\npeak memory {group.peak_mb:.0f} MB, at most {LIMIT_MB}{missed}")
    print(f"CPU time a run of all runs, over that of a quarter of them: {each[-1] / each[0]:.2f}")


class Watched(NamedTuple):
    """What became of a program: seconds, those of the processors, memory in MB, words."""

    s: float
    cpu_s: float
    peak_mb: float
    said: str


def watched(command: list[str]) -> Watched:
    """Run a program to its end."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(said)
    seconds = time.perf_counter() - start
    return Watched(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


def write_outputs(root: Path, n_runs: int, n_regions: int, n_volumes: int) -> None:
    """Write what the participant level would have written of some runs."""
    from bidsmask.bids.description import Origin, prepare_output, publish_participants

    contents = Contents(root.with_name("contents"), n_regions, n_volumes)
    labels = [f"{number:04d}" for number in range(1, n_runs // RUNS_EACH + 1)]
    prepare_output(root, Origin({}))
    for label in labels:
        folder = root / f"sub-{label}/func"
        folder.mkdir(parents=True)
        for run in range(1, RUNS_EACH + 1):
            contents.give(folder, f"sub-{label}_task-rest_run-{run}")
    publish_participants(root, Origin({}))


class Contents:
    """The files of a few runs, which stand under many names."""

    def __init__(self, folder: Path, n_regions: int, n_volumes: int) -> None:
        import io

        import numpy as np
        import pandas as pd

        from bidsmask.bids.signals_table import write_signals
        from bidsmask.bids.tables import table_bytes
        from bidsmask.images.grid import Grid
        from bidsmask.images.write import nifti_bytes

        folder.mkdir()
        self._folder, self._given = folder, 0
        rng = np.random.default_rng(0)
        grid = Grid(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]))
        axes = np.meshgrid(*[np.linspace(-1.3, 1.3, length) for length in SHAPE], indexing="ij")
        names = [f"Region{number:04d}" for number in range(n_regions)]
        regions = pd.DataFrame({"index": np.arange(n_regions) + 1, "name": names})
        (folder / "atlas.nii.gz").write_bytes(
            nifti_bytes(np.ones((2, 2, 2), np.uint8), Grid((2, 2, 2), np.eye(4)))
        )
        (folder / "atlas.tsv").write_bytes(table_bytes(regions))
        for number in range(N_CONTENTS):
            inside = sum(axis**2 for axis in axes) < rng.uniform(0.9, 1.0)
            coverage = regions.assign(voxels=100, coverage=rng.uniform(0.4, 1, n_regions).round(6))
            volumes = pd.DataFrame(
                {
                    "volume": np.arange(n_volumes),
                    "row": np.arange(n_volumes),
                    "onset": np.arange(n_volumes) * 2.0,
                    "kept": True,
                    "reason": None,
                    "framewise_displacement": rng.uniform(0, 0.5, n_volumes).round(5),
                    "std_dvars": rng.uniform(0.8, 1.2, n_volumes).round(5),
                }
            )
            signals = io.BytesIO()
            write_signals(signals, names, rng.standard_normal((n_volumes, n_regions), np.float32))
            (folder / f"mask{number}.nii.gz").write_bytes(
                nifti_bytes(inside.astype(np.uint8), grid)
            )
            (folder / f"coverage{number}.tsv").write_bytes(table_bytes(coverage))
            (folder / f"volumes{number}.tsv").write_bytes(table_bytes(volumes))
            (folder / f"signals{number}.tsv").write_bytes(signals.getvalue())
        freedom = {
            "volumes": n_volumes,
            "censored": 0,
            "regressors": 24,
            "remaining": n_volumes - 26,
        }
        said = {
            "mask": {"Strategy": "derivative", "Voxels": 2000, "VolumeMillilitres": 1480.2},
            "atlas": {},
            "coverage": {},
            "volumes": {"RepetitionTime": 2.0},
            "signals": {"RepetitionTime": 2.0, "DegreesOfFreedom": freedom, "Units": "zscore"},
        }
        for kind, about in said.items():
            (folder / f"{kind}.json").write_text(json.dumps({**about, "Fingerprint": "0" * 32}))

    def give(self, folder: Path, stem: str) -> None:
        """Let the files of a run stand in a folder."""
        number = self._given % N_CONTENTS
        self._given += 1
        space = f"{stem}_space-{SPACE}"
        for kind, name, extensions in (
            (f"mask{number}", f"{space}_desc-derivative_mask", [".nii.gz"]),
            ("atlas", f"{space}_atlas-made_dseg", [".nii.gz", ".tsv"]),
            (f"coverage{number}", f"{space}_atlas-made_stat-coverage_bold", [".tsv"]),
            (f"volumes{number}", f"{stem}_desc-simple_volumes", [".tsv"]),
            (f"signals{number}", f"{space}_atlas-made_stat-mean_desc-simple_timeseries", [".tsv"]),
        ):
            for extension in extensions:
                (folder / f"{name}{extension}").hardlink_to(self._folder / f"{kind}{extension}")
            sidecar = self._folder / f"{kind.rstrip('0123456789')}.json"
            (folder / f"{name}.json").hardlink_to(sidecar)


def stack_by_pandas(root: Path) -> None:
    """Make an HDF5 of all signals as one would by hand."""
    import h5py
    import numpy as np
    import pandas as pd

    paths = sorted(root.glob("sub-*/func/*_timeseries.tsv"))
    tables = [pd.read_csv(path, sep="\t", na_values="n/a").to_numpy(np.float32) for path in paths]
    with h5py.File(root / "by_pandas.h5", "w") as file:
        file.create_dataset("signals", data=np.stack(tables))


if __name__ == "__main__":
    main()

"""Maskers beside nilearn's, and beside the program's own way, on the same file in the same run.

    python benchmarks/maskers.py [--folder DIR] [--volumes 200] [--only WORD ...]

Every measurement is a process of its own, reading included, the imports not; the fastest of
several counts. The outputs are compared.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.speed import MASK, SERIES, T_R_S, TABLE, make
from benchmarks.speed import ours as program_way

# case -> parameters of NiftiMasker, whether with confounds, least ratio to nilearn's time
CASES: dict[str, tuple[dict[str, Any], bool, float]] = {
    "plain": ({"standardize": None}, False, 3),
    "z-scored": ({"standardize": "zscore_sample"}, False, 3),
    "cleaned": (
        {
            "detrend": True,
            "standardize": "zscore_sample",
            "high_pass": 0.01,
            "low_pass": 0.1,
            "t_r": T_R_S,
        },
        True,
        30,
    ),
}
# How much longer than the program's own way, from the same file, a masker may take.
SLOWER_THAN_PROGRAM = 1.15
PLACES = {"bidsmask": "bidsmask.maskers.nifti_masker", "nilearn": "nilearn.maskers"}


def measured(folder: Path, who: str, case: str, keep: Path) -> None:
    """Measure one call in this warm process; print seconds and peak memory as JSON."""
    import numpy as np
    import pandas as pd

    parameters, has_confounds, _ = CASES[case]
    module = importlib.import_module(PLACES.get(who, "bidsmask.signals.extract"))
    start, cpu = time.perf_counter(), time.process_time()
    if who == "program":
        signals = program_way(folder, case)
    else:
        masker = module.NiftiMasker(folder / MASK, reports=False, **parameters)
        table = pd.read_csv(folder / TABLE, sep="\t") if has_confounds else None
        signals = masker.fit().transform(folder / SERIES, confounds=table)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.save(keep, np.asarray(signals)[:, ::97])
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mb": peak}))


def child(folder: Path, who: str, case: str, keep: Path, repeat: int) -> dict[str, float]:
    """Run a measurement in a process of its own; the fastest of several."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.maskers", "--folder", str(folder)]
    runs = []
    for _ in range(repeat):
        done = subprocess.run(
            [*command, "--measure", who, case, "--keep", str(keep)],
            check=True,
            capture_output=True,
            text=True,
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return min(runs, key=lambda run: run["seconds"])


def compare(folder: Path, cases: list[str]) -> int:
    """Measure every case and print one table; 1 where a target is missed."""
    import numpy as np

    missed = []
    for case in cases:
        peers = ["bidsmask", "nilearn", *(["program"] if case != "z-scored" else [])]
        with tempfile.TemporaryDirectory() as temporary:
            kept = {who: Path(temporary, f"{who}.npy") for who in peers}
            runs = {
                who: child(folder, who, case, kept[who], 1 if who == "nilearn" else 3)
                for who in peers
            }
            arrays = {who: np.load(path) for who, path in kept.items()}
        mine = runs["bidsmask"]
        for who, run in runs.items():
            apart = np.abs(arrays[who] - arrays["bidsmask"]).max()
            print(
                f"{case:9} {who:9} {run['seconds']:8.2f} s {run['cpu']:8.2f} s CPU "
                f"{run['peak_mb']:7.0f} MB {run['seconds'] / mine['seconds']:6.2f}x time "
                f"{run['cpu'] / mine['cpu']:6.2f}x CPU   greatest difference {apart:.2g}"
            )
        least = CASES[case][2]
        if runs["nilearn"]["seconds"] < least * mine["seconds"]:
            missed.append(f"{case}: under {least}x nilearn")
        if "program" in runs:
            ratio = mine["seconds"] / runs["program"]["seconds"]
            if ratio > SLOWER_THAN_PROGRAM:
                missed.append(f"{case}: {ratio:.2f} of the program's time")
    print("\nall targets reached" if not missed else "\nmissed: " + "; ".join(missed))
    return int(bool(missed))


def main() -> int:
    """Print the table, then the targets that were reached or missed."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--volumes", type=int, default=200)
    arguments.add_argument("--only", nargs="+", default=list(CASES))
    arguments.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.measure:
        measured(given.folder, *given.measure, given.keep)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        make(folder, given.volumes)
        return compare(folder, given.only)


if __name__ == "__main__":
    sys.exit(main())

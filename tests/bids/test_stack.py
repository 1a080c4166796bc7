"""Stacks hold every value and word of their runs, and are the same bytes for the same runs."""

from __future__ import annotations

import io
import time

import h5py
import numpy as np
import pandas as pd
import pytest

from bidsmask.bids import disk
from bidsmask.bids.publish import publish
from bidsmask.bids.stack import StackedRun, write_stack
from bidsmask.errors import WritingFailed

COLUMNS = pd.DataFrame({"index": [3, 7], "name": ["Amygdala", "Präcuneus"]})
PARTICIPANTS = pd.DataFrame(
    {
        "participant_id": ["sub-01", "sub-02", "sub-03"],
        "age": [31.5, np.nan, 40],
        "group": pd.Series(["a", np.nan, "b"], dtype=object),
        "is_left": [True, False, True],
    }
)


def runs(n=3, seed=0):
    """Return some runs of two columns."""
    rng = np.random.default_rng(seed)
    for number in range(n):
        values = rng.standard_normal((5 + number, 2)).astype(np.float32)
        values[0, 1] = np.nan
        volumes = pd.DataFrame(
            {
                "volume": np.arange(6 + number),
                "kept": np.arange(6 + number) > 0,
                "reason": pd.Series(["fd"] + [np.nan] * (5 + number), dtype=object),
            }
        )
        yield StackedRun(
            f"sub-{number % 2 + 1:02d}_run-{number}",
            f"sub-{number % 2 + 1:02d}",
            values,
            volumes,
            {"RepetitionTime": 2.0 + number},
        )


def written(some=None, **changes):
    """Return the bytes of a stack."""
    handle = io.BytesIO()
    arguments = {
        "columns": COLUMNS,
        "participants": PARTICIPANTS,
        "attributes": {"Units": "zscore"},
    }
    write_stack(handle, runs=runs() if some is None else some, **{**arguments, **changes})
    return handle.getvalue()


def opened(content):
    return h5py.File(io.BytesIO(content))


def table_of(group):
    """Read a table back, as the documentation does."""
    return pd.DataFrame(
        {
            name: column.asstr()[:] if column.dtype.kind == "S" else column[:]
            for name, column in group.items()
        }
    )


def test_signals_come_back_to_their_bits():
    with opened(written()) as file:
        assert list(file["signals"]) == ["sub-01_run-0", "sub-01_run-2", "sub-02_run-1"]
        for run in runs():
            dataset = file["signals"][run.name]
            assert dataset.dtype == np.float32
            assert dataset[:].tobytes() == run.values.tobytes()
            assert dict(dataset.attrs) == {
                "participant_id": run.participant_id,
                "RepetitionTime": run.attributes["RepetitionTime"],
            }
        assert dict(file.attrs) == {"Units": "zscore"}


def test_tables_come_back_with_their_types_and_their_order():
    with opened(written()) as file:
        columns = table_of(file["columns"])
        assert list(columns.columns) == ["index", "name"]
        assert columns["index"].tolist() == [3, 7]
        assert columns["name"].tolist() == ["Amygdala", "Präcuneus"]
        volumes = table_of(file["volumes/sub-02_run-1"])
        assert list(volumes.columns) == ["volume", "kept", "reason"]
        assert volumes["volume"].tolist() == list(range(7))
        assert volumes["kept"].tolist() == [False] + [True] * 6
        assert volumes["reason"].tolist() == ["fd"] + [""] * 6


def test_participants_are_joined_as_far_as_they_have_a_run():
    with opened(written()) as file:
        found = table_of(file["participants"])
    assert list(found.columns) == list(PARTICIPANTS.columns)
    assert found["participant_id"].tolist() == ["sub-01", "sub-02"]
    np.testing.assert_array_equal(found["age"], [31.5, np.nan])
    assert found["group"].tolist() == ["a", ""]
    assert found["is_left"].tolist() == [True, False]


def test_the_same_runs_give_the_same_bytes_whenever():
    before = written()
    time.sleep(1.1)  # HDF5 counts times in seconds
    assert written() == before
    assert written(some=runs(seed=1)) != before


def test_a_run_without_rows_or_without_volumes_is_held():
    empty = StackedRun("sub-01", "sub-01", np.zeros((0, 2), np.float32))
    with opened(written([empty])) as file:
        assert file["signals/sub-01"].shape == (0, 2)
        assert list(file["volumes"]) == []


def test_a_stack_without_runs_is_its_tables():
    with opened(written([])) as file:
        assert list(file["signals"]) == []
        assert table_of(file["participants"])["participant_id"].tolist() == []


@pytest.mark.parametrize(
    ("names", "links"),
    [
        (["height/cm", "height_cm"], ["height_cm", "height_cm_"]),
        ([".", "/"], ["_", "__"]),
        (["alter", "größe"], ["alter", "größe"]),
    ],
)
def test_columns_may_have_names_that_hdf5_cannot_hold(names, links):
    table = pd.DataFrame([["sub-01", 1, 2]], columns=["participant_id", *names])
    with opened(written(participants=table)) as file:
        assert list(file["participants"]) == ["participant_id", *links]
        assert [file["participants"][link][0] for link in links] == [1, 2]


def test_a_thousand_columns_of_participants_are_held():
    table = pd.DataFrame(
        [["sub-01", *range(1500)]],
        columns=["participant_id", *(f"a_rather_long_name_{n}" for n in range(1500))],
    )
    with opened(written(participants=table)) as file:
        assert len(file["participants"]) == 1501


def test_one_run_is_in_memory_at_a_time():
    alive = []

    def stream():
        for run in runs(5):
            alive.append(len(taken))
            taken.append(run.name)
            yield run

    taken: list[str] = []
    written(stream())
    assert alive == [0, 1, 2, 3, 4]


def test_a_thousand_runs_are_held_though_hdf5_reads_back_what_it_wrote(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    volumes = pd.DataFrame({"volume": [0, 1, 2]})
    many = (
        StackedRun(f"sub-{n:04d}", f"sub-{n:04d}", values + np.float32(n), volumes, {"a": n})
        for n in range(1000)
    )
    path = tmp_path / "stack.h5"
    publish(path, lambda handle: write_stack(handle, COLUMNS, PARTICIPANTS, many, {}))
    with h5py.File(path) as file:
        for n, (name, dataset) in enumerate(file["signals"].items()):
            assert (name, dataset.attrs["a"]) == (f"sub-{n:04d}", n)
            np.testing.assert_array_equal(dataset[:], values + n)
            assert file["volumes"][name]["volume"][:].tolist() == [0, 1, 2]


# Damage and failures


def test_a_flipped_bit_in_the_signals_is_found_when_they_are_read():
    content = bytearray(written())
    [run] = [one for one in runs() if one.name == "sub-02_run-1"]
    place = content.index(run.values.tobytes())
    content[place + 9] ^= 4
    with opened(bytes(content)) as file, pytest.raises(OSError, match="filter returned failure"):
        file["signals/sub-02_run-1"][:]


def calls_of(monkeypatch, path, fail_at):
    """Publish a stack of which the n-th change of the disk fails; return how many there were."""
    count = [0]
    names = ("create", "write", "truncate", "sync", "rename", "remove", "sync_folder")
    originals = {name: getattr(disk, name) for name in names}

    def watched(original):
        def inner(*arguments):
            count[0] += 1
            if count[0] == fail_at:
                raise OSError(28, "No space left on device")
            return original(*arguments)

        return inner

    for name, original in originals.items():
        monkeypatch.setattr(disk, name, watched(original))
    try:
        publish(path, lambda handle: write_stack(handle, COLUMNS, PARTICIPANTS, runs(), {}))
    finally:
        monkeypatch.undo()
    return count[0]


def test_whichever_write_fails_the_older_stack_stays(tmp_path, monkeypatch):
    path = tmp_path / "stack.h5"
    n_calls = calls_of(monkeypatch, path, 0)
    whole = path.read_bytes()
    assert n_calls > 20
    for n in range(1, n_calls + 1):
        path.write_bytes(b"older")
        with pytest.raises(WritingFailed, match="the disk is full"):
            calls_of(monkeypatch, path, n)
        is_named = n == n_calls  # only the folder was still to be flushed
        assert path.read_bytes() == (whole if is_named else b"older"), n
        assert list(tmp_path.iterdir()) == [path]


def test_what_the_runs_raise_passes_through_and_leaves_nothing(tmp_path):
    def stream():
        yield from runs(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path / "a.h5", lambda h: write_stack(h, COLUMNS, PARTICIPANTS, stream(), {}))
    assert list(tmp_path.iterdir()) == []

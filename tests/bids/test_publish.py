"""Files appear whole or not at all, wherever their writing fails or is killed."""

import errno
import gzip
import io
import json
import os
import signal
import stat
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bidsmask.bids import disk
from bidsmask.bids import publish as module
from bidsmask.bids.disk import withdraw
from bidsmask.bids.locks import is_temporary, remove_leftovers
from bidsmask.bids.publish import gzipped, publish, publish_json, publish_product
from bidsmask.errors import WritingFailed
from tests.make_faults import CALLS_OF_DISK


@pytest.fixture
def interrupt(monkeypatch):
    """Let `act(name)` happen before the n-th call that touches the disk; count the calls."""

    def interrupt(n, act):
        count = [0]

        def watched(name, call):
            def inner(*arguments):
                count[0] += 1
                if count[0] == n:
                    act(name)
                return call(*arguments)

            return inner

        for name in CALLS_OF_DISK:
            monkeypatch.setattr(disk, name, watched(name, ORIGINALS[name]))
        return count

    return interrupt


ORIGINALS = {name: getattr(disk, name) for name in CALLS_OF_DISK}


def full_disk(name):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def temporaries(folder):
    return [path for path in folder.rglob("*") if is_temporary(path)]


# One file


def test_a_file_and_its_folders_are_made(tmp_path):
    path = tmp_path / "sub-01" / "func" / "a.tsv"
    publish(path, b"content")
    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]


def test_content_may_write_itself(tmp_path):
    def content(handle):
        assert handle.writable()
        handle.write(b"one ")
        handle.write(memoryview(np.frombuffer(b"two!", np.uint8)))

    publish(tmp_path / "a", content)
    assert (tmp_path / "a").read_bytes() == b"one two!"


def test_a_short_write_is_continued(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "write", lambda fd, piece: os.write(fd, piece[:3]))
    publish(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_content_may_seek_read_back_and_truncate(tmp_path):
    def content(handle):
        assert handle.seekable()
        assert handle.readable()
        handle.write(b"....456789")
        handle.seek(0)
        handle.write(b"0123")
        assert handle.tell() == 4
        assert handle.read(2) == b"45"
        assert handle.truncate() == 6
        assert handle.truncate(8) == 8

    publish(tmp_path / "a", content)
    assert (tmp_path / "a").read_bytes() == b"012345\0\0"


def test_a_large_file_begins_its_way_to_the_disk_while_it_is_made(tmp_path, monkeypatch):
    begun, synced = [], []
    originals = {"begin": disk.begin, "sync": disk.sync}

    def watched(name, sizes):
        def call(descriptor):
            sizes.append(os.fstat(descriptor).st_size)
            originals[name](descriptor)

        return call

    monkeypatch.setattr(module, "_BEGIN_AFTER", 100)
    monkeypatch.setattr(disk, "begin", watched("begin", begun))
    monkeypatch.setattr(disk, "sync", watched("sync", synced))
    publish(tmp_path / "a", lambda handle: [handle.write(bytes(30)) for _ in range(9)])
    assert begun == [120, 240]
    assert synced == [270]


def test_the_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    publish(tmp_path / "a", b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_in_the_place_is_replaced_not_written_through(tmp_path):
    outside = tmp_path / "outside.tsv"
    outside.write_bytes(b"not ours")
    path = tmp_path / "output" / "a.tsv"
    path.parent.mkdir()
    path.symlink_to(outside)
    publish(path, b"ours")
    assert outside.read_bytes() == b"not ours"
    assert not path.is_symlink()
    assert path.read_bytes() == b"ours"


def test_the_content_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    order = []

    def watched(name, *arguments):
        order.append(name)
        return ORIGINALS[name](*arguments)

    for name in ORIGINALS:
        monkeypatch.setattr(disk, name, partial(watched, name))
    publish(tmp_path / "a", b"content")
    assert order == ["make_folder", "create", "write", "sync", "rename", "sync_folder"]


@pytest.mark.parametrize("n", range(1, 7))
def test_any_call_that_fails_leaves_the_old_file_or_the_new_one(tmp_path, interrupt, n):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    interrupt(n, full_disk)
    with pytest.raises(WritingFailed):
        publish(path, b"new")
    assert path.read_bytes() == (b"new" if n == 6 else b"old")
    assert temporaries(tmp_path) == []


def test_what_the_content_raises_passes_through_and_leaves_nothing(tmp_path):
    def content(handle):
        handle.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path / "a", content)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_that_cannot_be_cleaned_up_is_told_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "write", lambda *_: full_disk("write"))
    monkeypatch.setattr(disk, "remove", lambda *_: full_disk("remove"))
    with pytest.raises(WritingFailed, match="the disk is full"):
        publish(tmp_path / "a", b"content")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, r"the disk is full \([\d.]+ MB free\)\. Make room"),
        (errno.EDQUOT, r"your disk quota is used up \([\d.]+ MB free\)\. Make room"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "you are not allowed to"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_the_message_says_where_and_why(tmp_path, monkeypatch, number, sentence):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(disk, "write", fail)
    with pytest.raises(WritingFailed, match=sentence) as caught:
        publish(tmp_path / "a.tsv", b"content")
    assert str(caught.value).startswith(f"a.tsv cannot be written into {tmp_path}: ")


def test_a_file_where_a_folder_is_needed_is_told(tmp_path):
    (tmp_path / "sub-01").write_bytes(b"")
    with pytest.raises(WritingFailed, match="cannot be written into"):
        publish(tmp_path / "sub-01" / "func" / "a", b"")


def test_a_folder_in_the_place_is_told_and_stays(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(WritingFailed, match="directory"):
        publish(tmp_path / "a", b"")
    assert temporaries(tmp_path) == []


def test_a_file_system_that_cannot_flush_folders_is_fine(tmp_path, monkeypatch):
    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    number = errno.EINVAL
    publish(tmp_path / "a", b"content")
    number = errno.EIO
    with pytest.raises(WritingFailed, match="Input/output error"):
        publish(tmp_path / "a", b"content")


# JSON


def test_json_is_indented_ordered_and_reads_back(tmp_path):
    mapping = {"z": 0.1, "a": [1e-300, 2**60], "é": None, "n": {"x": np.float64(1 / 3)}}
    publish_json(tmp_path / "a.json", mapping)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "z": 0.1,\n  "a": [\n')
    assert text.endswith("}\n")
    assert '"é"' in text
    assert json.loads(text) == mapping


def test_numpy_values_are_plain_in_json(tmp_path):
    mapping = {"i": np.int64(3), "f": np.float32(0.5), "b": np.True_, "v": np.arange(2)}
    publish_json(tmp_path / "a.json", mapping)
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "i": 3,
        "f": 0.5,
        "b": True,
        "v": [0, 1],
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
def test_nan_is_no_json(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        publish_json(tmp_path / "a.json", {"a": value})
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_form_in_json_is_refused(tmp_path):
    with pytest.raises(TypeError, match="no form in JSON"):
        publish_json(tmp_path / "a.json", {"a": tmp_path})


# Products


@pytest.fixture
def product(tmp_path):
    """Publish a product of two files; tell whether what stands there is one whole version."""

    def paths():
        return tmp_path / "a.nii.gz", tmp_path / "a.tsv", tmp_path / "a.json"

    def make(version):
        first, second, sidecar = paths()
        publish_product({first: version, second: version * 2}, sidecar, {"v": version.decode()})

    def is_complete_and_consistent():
        first, second, sidecar = paths()
        if not sidecar.exists():
            return False
        version = json.loads(sidecar.read_text())["v"].encode()
        assert first.read_bytes() == version
        assert second.read_bytes() == version * 2
        return True

    make.is_whole = is_complete_and_consistent
    return make


def count_of_calls(product, interrupt):
    product(b"old")
    count = interrupt(0, None)
    product(b"new")
    return count[0]


def test_a_failure_anywhere_never_leaves_a_sidecar_beside_other_data(product, interrupt):
    total = count_of_calls(product, interrupt)
    for n in range(1, total + 1):
        interrupt(0, None)
        product(b"old")
        interrupt(n, full_disk)
        with pytest.raises(WritingFailed):
            product(b"new")
        product.is_whole()
        interrupt(0, None)
        product(b"new")
        assert product.is_whole()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_kill_anywhere_never_leaves_a_sidecar_beside_other_data(product, interrupt, tmp_path):
    total = count_of_calls(product, interrupt)
    for n in range(1, total + 1):
        interrupt(0, None)
        product(b"old")
        child = os.fork()
        if child == 0:
            try:
                interrupt(n, lambda name: os.kill(os.getpid(), signal.SIGKILL))
                product(b"new")
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        product.is_whole()
        remove_leftovers(tmp_path)
        product(b"new")
        assert product.is_whole()
        assert {path.name for path in tmp_path.iterdir()} == {"a.json", "a.nii.gz", "a.tsv"}


def test_metadata_that_is_no_json_costs_no_older_product(tmp_path, product):
    product(b"old")
    with pytest.raises(ValueError, match="JSON"):
        publish_product({tmp_path / "a.tsv": b""}, tmp_path / "a.json", {"v": float("nan")})
    assert product.is_whole()


def test_a_sidecar_tells_how_long_its_data_are(tmp_path):
    long, short = tmp_path / "a.nii.gz", tmp_path / "a.tsv"
    contents = {long: lambda handle: [handle.write(b"x" * 70) for _ in range(3)], short: b"n\n"}
    publish_product(contents, tmp_path / "a.json", {"v": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"v": 1, "Bytes": [210, 2]}


def test_withdrawing_what_is_not_there_is_fine_and_what_cannot_be_is_told(tmp_path):
    withdraw(tmp_path / "none" / "a.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(WritingFailed):
        withdraw(tmp_path / "folder")


# Compressed


def test_gzip_has_neither_time_nor_name_and_reads_back(tmp_path):
    rows = [f"{n}\t{n**2}\n".encode() for n in range(10_000)]
    path = tmp_path / "a.tsv.gz"
    publish(path, gzipped(lambda handle: [handle.write(row) for row in rows]))
    content = path.read_bytes()
    assert gzip.decompress(content) == b"".join(rows)
    flags, seconds = content[3], content[4:8]
    assert flags == 0
    assert seconds == bytes(4)
    publish(path, gzipped(b"".join(rows)))
    assert gzip.decompress(path.read_bytes()) == b"".join(rows)


def test_gzip_hands_on_what_it_gets(tmp_path):
    handle, sizes = io.BytesIO(), []
    noise = np.random.default_rng(0).bytes(1 << 20)

    def content(sink):
        for _ in range(4):
            sink.write(noise)
            sizes.append(handle.tell())

    gzipped(content)(handle)
    assert sizes == sorted(sizes)
    assert sizes[0] > 0.9 * len(noise)


def test_no_descriptor_stays_open(tmp_path, interrupt):
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for n in range(1, 7):
        interrupt(n, full_disk)
        with pytest.raises(WritingFailed):
            publish(tmp_path / "a", b"content")
    (tmp_path / ".bidsmask-0123456789abcdef.part").write_bytes(b"half")
    remove_leftovers(tmp_path)
    assert count() == before

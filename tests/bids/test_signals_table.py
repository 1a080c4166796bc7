"""Signals in and out: every float comes back, and what is no signal is refused by its place."""

import gzip
import io
import os
import signal
from decimal import Decimal, localcontext

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bidsmask.bids import signals_table, signals_text
from bidsmask.bids.signals_table import read_names, read_signals, write_signals
from bidsmask.bids.tables import read_table
from bidsmask.errors import DamagedFile, UnusableTable


def written(names, values, n_processes=1):
    handle = io.BytesIO()
    write_signals(handle, names, values, n_processes=n_processes)
    return handle.getvalue()


@pytest.fixture
def read(tmp_path):
    """Read signals from the text or bytes that a file shall hold."""

    def read(content, name="signals.tsv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_signals(path)

    return read


# Writing signals


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
@settings(max_examples=100)
def test_every_finite_float_reads_back_to_its_bits(dtype, data):
    width = np.dtype(dtype).itemsize * 8
    shape = data.draw(arrays.array_shapes(min_dims=2, max_dims=2, max_side=8))
    values = data.draw(arrays.arrays(dtype, shape, elements=st.floats(width=width)))
    lines = written([f"v{n}" for n in range(shape[1])], values).decode().split("\n")
    assert lines.pop() == ""
    cells = np.array([line.split("\t") for line in lines[1:]], dtype=object)
    assert cells.shape == shape
    finite = np.isfinite(values)
    assert (cells[~finite] == "n/a").all()
    back = np.array([dtype(text) for text in cells[finite]], dtype)
    assert back.tobytes() == values[finite].tobytes()


def test_the_edges_of_float32_read_back_and_are_short():
    info = np.finfo(np.float32)
    edges = [1e-45, -0.0, info.tiny, info.max, -info.max, 16777216, 0.1, 1 / 3, 123456789]
    values = np.array([edges], np.float32)
    cells = written([f"v{n}" for n in range(len(edges))], values).split(b"\n")[1].split(b"\t")
    assert np.array(cells).astype(str).astype(np.float32).tobytes() == values.tobytes()
    for cell, value in zip(cells, values[0], strict=True):
        digits = cell.decode().lower().split("e")[0].replace(".", "").strip("-0")
        shortest = np.format_float_scientific(value, unique=True, trim="-").split("e")[0]
        assert len(digits) <= len(shortest.replace(".", "").strip("-0"))


@pytest.mark.parametrize(
    "turn",
    [
        np.asfortranarray,
        lambda values: np.repeat(values, 2, axis=1)[:, ::2],
        lambda values: values.astype(">f4"),
    ],
    ids=["fortran", "strided", "big-endian"],
)
def test_memory_order_and_byte_order_do_not_matter(turn):
    values = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    assert written(["a", "b", "c"], turn(values)) == written(["a", "b", "c"], values)


def test_blocks_of_rows_join_without_a_seam():
    values = np.arange(300_000, dtype=np.float32).reshape(-1, 3)
    table = pd.read_csv(io.BytesIO(written(["a", "b", "c"], values)), sep="\t")
    np.testing.assert_array_equal(table.to_numpy(), values)


def test_rows_longer_than_a_block_join_without_a_seam():
    values = np.random.default_rng(1).standard_normal((3, 150_000)).astype(np.float32)
    values[1, [0, 65_535, 65_536, 149_999]] = np.nan
    names = [f"v{number}" for number in range(150_000)]
    lines = written(names, values).decode().splitlines()
    assert [len(line.split("\t")) for line in lines] == [150_000] * 4
    read = [[float(cell.replace("n/a", "nan")) for cell in line.split("\t")] for line in lines[1:]]
    np.testing.assert_array_equal(np.array(read, np.float32), values)


class Full(io.RawIOBase):
    """A disk with room for the header alone."""

    def write(self, piece):
        if len(piece) > 100:
            raise OSError(28, "No space left on device")
        return len(piece)


def test_what_a_failing_disk_raises_in_the_writing_thread_reaches_the_caller():
    with pytest.raises(OSError, match="No space left"):
        write_signals(Full(), ["a", "b"], np.full((500_000, 2), 1 / 3, np.float32))


@pytest.fixture
def forked(monkeypatch):
    """The processes that were made by copying this one, as a list that grows."""
    processes, fork = [], os.fork

    def noted():
        process = fork()
        processes.append(process)
        return process

    monkeypatch.setattr(os, "fork", noted)
    return processes


def assert_ended(processes):
    for process in processes:
        with pytest.raises(ChildProcessError):
            os.waitpid(process, os.WNOHANG)


@pytest.fixture(params=["all", "one that dies", "none that starts"])
def helpers(request, forked, monkeypatch):
    """Let the processes that help with the text work, die midway, or never start."""
    parent, fill = os.getpid(), signals_text._fill

    def dies(place, values, number):
        if number > 1 and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return fill(place, values, number)

    def is_refused():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    if request.param == "one that dies":
        monkeypatch.setattr(signals_text, "_fill", dies)
    if request.param == "none that starts":
        monkeypatch.setattr(os, "fork", is_refused)
    return request.param


@pytest.mark.parametrize("shape", [(600_000, 4), (20, 150_000), (30, 3)])
def test_the_bytes_are_the_same_from_any_number_of_processes(helpers, forked, shape):
    values = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    values[::7, 0] = np.nan
    names = [f"v{number}" for number in range(shape[1])]
    expected = written(names, values)
    for n_processes in (2, 50):
        assert written(names, values, n_processes) == expected
    assert_ended(forked)


@pytest.mark.skipif(not signals_text._CAN_FORK, reason="only Linux shares the text out")
def test_each_process_makes_its_share_of_the_text(monkeypatch):
    made, fill = [], signals_text._fill
    monkeypatch.setattr(
        signals_text, "_fill", lambda *piece: made.append(piece[-1]) or fill(*piece)
    )
    written(["a", "b"], np.ones((1_500_000, 2), np.float32), 2)
    assert made == [0, 2]


def test_processes_that_help_end_when_the_disk_is_full(forked):
    with pytest.raises(OSError, match="No space left"):
        write_signals(Full(), ["a", "b"], np.ones((1_500_000, 2), np.float32), n_processes=3)
    assert len(forked) == (2 if signals_text._CAN_FORK else 0)
    assert_ended(forked)


def test_the_text_is_written_in_pieces_of_some_megabytes():
    sizes = []

    class Handle(io.RawIOBase):
        def write(self, piece):
            sizes.append(len(piece))
            return len(piece)

    write_signals(Handle(), ["a", "b"], np.full((2_000_000, 2), 1 / 3, np.float32))
    assert max(sizes) < 10_000_000
    assert len(sizes) > 4


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (["a"], np.zeros((2, 2), np.float32)),
        (["a"], np.zeros(1, np.float32)),
        ([], np.zeros((2, 0), np.float32)),
        (["a"], np.zeros((1, 1), np.int32)),
    ],
    ids=["count", "1d", "no-columns", "integers"],
)
def test_signals_that_do_not_fit_are_refused(names, values):
    with pytest.raises(ValueError, match="signals"):
        written(names, values)


def test_signals_without_rows_are_their_header():
    assert written(["a", "b"], np.zeros((0, 2), np.float32)) == b"a\tb\n"


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "", " ", 3, None])
def test_a_name_that_cannot_stand_in_a_header_is_refused(name):
    with pytest.raises(ValueError, match="cannot be named"):
        written([name], np.zeros((1, 1), np.float32))


def test_a_name_that_starts_with_a_quote_reads_back(read):
    names, values = read(written(['"a" b', "c"], np.ones((1, 2), np.float32)))
    assert names == ['"a" b', "c"]
    assert values.tolist() == [[1, 1]]


# Reading


@given(data=st.data())
@settings(max_examples=150)
def test_what_is_written_reads_back_to_its_bits(tmp_path_factory, data):
    n_columns = data.draw(st.integers(1, 8))
    shape = (data.draw(st.integers(0, 8)), n_columns)
    values = data.draw(arrays.arrays(np.float32, shape, elements=st.floats(width=32)))
    text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1)
    drawn = data.draw(st.lists(text, min_size=n_columns, max_size=n_columns, unique=True))
    names = [f"r{name}" for name in drawn]
    path = tmp_path_factory.mktemp("signals") / "signals.tsv"
    path.write_bytes(written(names, values))
    read_names, read_values = read_signals(path)
    assert read_names == names
    assert read_values.dtype == np.float32
    assert read_values.shape == shape
    finite = np.isfinite(values)
    assert np.isnan(read_values[~finite]).all()
    assert read_values[finite].tobytes() == values[finite].tobytes()


@given(bits=arrays.arrays(np.uint32, (50, 40), elements=st.integers(0, 2**32 - 1)))
@settings(max_examples=20)
def test_any_bits_that_are_a_number_read_back(tmp_path_factory, bits):
    values = bits.view(np.float32)
    path = tmp_path_factory.mktemp("signals") / "signals.tsv"
    path.write_bytes(written([f"r{n}" for n in range(40)], values))
    _, back = read_signals(path)
    expected = np.where(np.isfinite(values), values, np.float32(np.nan))
    np.testing.assert_array_equal(
        back.view(np.uint32)[np.isfinite(values)], bits[np.isfinite(values)]
    )
    np.testing.assert_array_equal(back, expected)


def test_the_edges_of_float32_come_back(read):
    info = np.finfo(np.float32)
    values = np.array([[1e-45, -1e-45, -0.0, info.tiny, info.max, -info.max, 0.1]], np.float32)
    _, back = read(written([f"v{n}" for n in range(values.size)], values))
    assert back.tobytes() == values.tobytes()


# Among the 2^31 float32 from 0 on, those whose shortest text float64 takes for the middle of two.
AMBIGUOUS = np.array([0x15AE43FD], np.uint32).view(np.float32)


def test_what_float64_cannot_tell_from_the_middle_of_two_comes_back(read):
    texts = [np.format_float_scientific(one, unique=True) for one in AMBIGUOUS]
    assert (np.array([float(text) for text in texts]).astype(np.float32) != AMBIGUOUS).all()
    values = np.concatenate([AMBIGUOUS, -AMBIGUOUS])[None]
    _, back = read(written([f"v{n}" for n in range(values.size)], values))
    assert back.tobytes() == values.tobytes()


@given(data=st.data())
@settings(max_examples=200)
def test_any_number_is_read_as_the_float32_next_to_it(tmp_path_factory, data):
    below = data.draw(st.floats(0, 2.0**127, width=32))
    above = float(np.nextafter(np.float32(below), np.float32(np.inf)))
    with localcontext(prec=200):
        middle = (Decimal(below) + Decimal(above)) / 2
        shift = data.draw(st.sampled_from([-1, 1])) * (Decimal(above) - Decimal(below))
        number = middle + shift * Decimal(10) ** -data.draw(st.integers(1, 12))
    path = tmp_path_factory.mktemp("signals") / "signals.tsv"
    path.write_text(f"a\n{number:e}\n")
    _, values = read_signals(path)
    assert float(values[0, 0]) == (below if shift < 0 else above)


def test_blocks_of_lines_join_without_a_seam(read, monkeypatch):
    values = np.random.default_rng(2).standard_normal((500, 3)).astype(np.float32)
    values[[0, 250, 499], 1] = np.nan
    content = written(["a", "b", "c"], values)
    for size in (1, 30, 31, 32, len(content)):
        monkeypatch.setattr(signals_table, "_BLOCK_BYTES", size)
        np.testing.assert_array_equal(read(content)[1], values)


def test_the_fast_and_the_plain_way_read_alike(read, tmp_path):
    values = np.random.default_rng(3).standard_normal((40, 5)).astype(np.float32)
    values[3:5, 2] = np.nan
    content = written(list("abcde"), values)
    fast = read(content)
    plain = read(content.replace(b"\n", b"\r\n"))
    assert fast[0] == plain[0]
    assert fast[1].tobytes() == plain[1].tobytes()
    np.testing.assert_array_equal(fast[1], read_table(tmp_path / "signals.tsv").to_numpy("f4"))


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa\tb\n1\tn/a\n-2e3\t.5\n",
        b"a\tb\r\n1\tn/a\r\n-2e3\t0.5\r\n",
        b"a\tb\n1\tn/a\n-2e3\t0.5",
        b"a\tb\n1\tn/a\n-2e3\t0.5\n\n\n",
        b'"a"\t"b"\n"1"\tn/a\n-2e3\t"0.5"\n',
        b"a \t b\n 1\tn/a\n-2e3\t 0.5 \n",
        b"a\tb\n+1.\tn/a\n-002E+3\t.5\n",
    ],
    ids=["bom", "crlf", "no-last-newline", "blank-end", "quotes", "blanks", "other-spellings"],
)
def test_what_a_hand_or_another_program_wrote_is_understood(read, content):
    names, values = read(content)
    assert names == ["a", "b"]
    np.testing.assert_array_equal(values, np.array([[1, np.nan], [-2000, 0.5]], np.float32))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("a\tb\ta\n1\t2\t3\n", "two columns named 'a': 1 and 3"),
        ("a\t\n1\t2\n", "no name for column 2"),
        ("1\t2\n1\t2\n", "has no header"),
        ("a\tb\n1\t2\n3\n", r"has 1 cells in line 3, but 2 columns: nothing for column 2 \('b'\)"),
        ("a\tb\n1\t2\t3\n", "has 3 cells in line 2, but 2 columns"),
        ("a\tb\n1\t2\n\n3\t4\n", "empty line 3"),
        ("a\tb\n1\t2\n3\tabc\n", "has 'abc' in line 3, column 'b'"),
        ("a\tb\n1\t2\n3\ttrue\n", "has 'true' in line 3, column 'b'"),
        ("a\tb\n1\t2\n3\tnull\n", "has 'null' in line 3, column 'b'"),
        ("a\tb\n1\t2\n3\t\n", "has '' in line 3, column 'b'"),
        ("a\tb\n1\tn/an/a\n3\t4\n", "has 'n/an/a' in line 2, column 'b'"),
        ("a\tb\n1\t1n/a\n3\t4\n", "has '1n/a' in line 2, column 'b'"),
        ("a\tb\n1\t1e39\n", "has '1e39' in line 2, column 'b'. Signals are numbers within"),
        ("a\tb\n1\t1e999\n", "has '1e999' in line 2, column 'b'"),
        ("a\tb\ninf\t1\n", "has 'inf' in line 2, column 'a'"),
        ("a\tb\nnan\t1\n", "has 'nan' in line 2, column 'a'"),
        ("a\tb\n1,2\t3\n", "has '1,2' in line 2, column 'a'"),
        ("a\tb\n1.2.3\t3\n", "has '1.2.3' in line 2, column 'a'"),
        ("a\tb\n1-2\t3\n", "has '1-2' in line 2, column 'a'"),
        (b"a\tb\n\xff\t2\n", "not UTF-8 text: byte 4 is 0xff"),
        (b"\xff\tb\n1\t2\n", "not UTF-8 text: byte 0 is 0xff"),
    ],
)
def test_what_is_no_signal_is_refused_by_its_place(read, content, sentence):
    with pytest.raises(UnusableTable, match=sentence):
        read(content)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_names_are_read_alone(tmp_path, end):
    path = tmp_path / "signals.tsv"
    path.write_bytes(b"a\t\xc3\xa4" + end + (b"1\t2\n" if end else b""))
    assert read_names(path) == ["a", "ä"]
    path.write_bytes(b"a\ta" + end)
    with pytest.raises(UnusableTable, match="two columns"):
        read_names(path)


def test_names_of_gzipped_signals_are_read_alone(tmp_path):
    path = tmp_path / "signals.tsv.gz"
    path.write_bytes(GZIPPED)
    assert read_names(path) == ["a", "b"]
    path.write_bytes(b"more")
    with pytest.raises(DamagedFile):
        read_names(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UnusableTable, match="does not exist"):
        read_names(tmp_path / "none.tsv")
    with pytest.raises(UnusableTable, match="No such file"):
        read_signals(tmp_path / "none.tsv")
    with pytest.raises(DamagedFile, match="does not exist"):
        read_signals(tmp_path / "none.tsv.gz")


GZIPPED = gzip.compress(written(["a", "b"], np.arange(2000, dtype=np.float32).reshape(-1, 2)))


def test_gzipped_signals_read_alike_in_one_member_or_many(read):
    halves = [b"a\tb\n1\t2\n", b"3\t4\n"]
    _, values = read(b"".join(map(gzip.compress, halves)), "signals.tsv.gz")
    assert values.tolist() == [[1, 2], [3, 4]]
    assert read(GZIPPED, "signals.tsv.gz")[1].tolist()[-1] == [1998, 1999]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-1],
        lambda content: content[:-9],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-8] + b"\0\0\0\0" + content[-4:],
        lambda content: content[:600] + bytes([content[600] ^ 16]) + content[601:],
        lambda content: content + b"more",
        lambda content: b"",
        lambda content: b"a\tb\n1\t2\n",
        lambda content: b"/annex/objects/MD5E-s1--a.tsv.gz\n",
    ],
    ids=["1-byte", "trailer", "half", "checksum", "bit", "more", "empty", "plain", "annex"],
)
def test_gzipped_signals_that_are_not_whole_are_refused(read, spoil):
    with pytest.raises(DamagedFile, match=r"signals\.tsv\.gz"):
        read(spoil(GZIPPED), "signals.tsv.gz")

"""Every line of every file is in exactly one part, that of its trade, with its line number."""

from bisect import bisect_right
from pathlib import Path

import pytest
from batches import TERMS, cut_up, plain_files, simulated, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traderecon.batch.inputs import Input
from traderecon.batch.split import CHUNK_BYTES, MAX_PARTS, boundaries, split
from traderecon.intake import Rows
from traderecon.records import Source

E = Source.EXECUTIONS
REORDERED = "ticker,trade_id,quantity,price,timestamp"

each_example_overwrites_the_last = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

plain = st.sampled_from(("T1", "é", "é 2", "🙂", " é "))
odd = st.sampled_from(("", '"é"', '"a,b"', '"'))
lines = st.lists(st.lists(plain, max_size=4).map(",".join), max_size=30)
odd_lines = st.lists(st.lists(plain | odd, max_size=4).map(",".join), max_size=3)


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    """The data lines of a file, as bytes."""
    sent = draw(lines) + draw(st.just([]) | odd_lines)
    end = draw(st.sampled_from((b"\n", b"\r\n")))
    return end.join(line.encode() for line in sent) + draw(st.sampled_from((b"", end)))


def opened(folder: Path, content: bytes, header: str = TERMS) -> Input:
    (opened,) = written(folder, {E: header.encode() + b"\n" + content})
    return opened


def parts_of(file: Input, bounds: list[str], chunk_bytes: int, folder: Path) -> list[list[tuple[int, str]]]:
    """The numbers and lines of a file per part; the same in memory and on disk."""
    held, spilled = cut_up(file, bounds, chunk_bytes), cut_up(file, bounds, chunk_bytes, folder)
    parts = [spilled.read(part) for part in range(len(bounds) + 1)]
    assert all(held.read(number).equals(part) for number, part in enumerate(parts))
    return [part.select("number", "line").rows() for part in parts]


def numbered(content: bytes) -> list[tuple[int, str]]:
    """The lines of a file that are not blank, by their numbers; the header is line 1."""
    sent = content.decode().replace("\r\n", "\n").split("\n")
    return [(number, line) for number, line in enumerate(sent, start=2) if line]


@each_example_overwrites_the_last
@given(contents(), st.integers(1, 200))
def test_chunks_of_any_size_are_all_lines_under_their_numbers(tmp_path: Path, content: bytes, bytes_each: int) -> None:
    file = opened(tmp_path, content)
    assert parts_of(file, [], bytes_each, tmp_path) == [numbered(content)]
    chunks = file.chunks(bytes_each)
    edges = [file.start, *(chunk.end for chunk in chunks)]
    assert [chunk.start for chunk in chunks] == edges[:-1]
    assert edges[-1] == file.size


@pytest.mark.parametrize("bytes_each", [1, 25, 1000, CHUNK_BYTES])
def test_an_invalid_utf8_byte_stays_in_its_line(tmp_path: Path, bytes_each: int) -> None:
    file = opened(tmp_path, b"T1,\xff\r\nT2,\xc3\nT3,\xe2\x82\n\xf0\nT4,\xc3\xa9")
    (lines,) = parts_of(file, [], bytes_each, tmp_path)
    assert lines == [(2, "T1,\ufffd"), (3, "T2,\ufffd"), (4, "T3,\ufffd"), (5, "\ufffd"), (6, "T4,é")]


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\r\n"])
def test_a_file_of_a_header_and_blank_lines_has_no_lines(tmp_path: Path, content: bytes) -> None:
    assert parts_of(opened(tmp_path, content), ["M"], 100, tmp_path) == [[], []]


@each_example_overwrites_the_last
@given(
    contents(), st.lists(plain | odd, min_size=3, max_size=6), st.integers(1, 200), st.sampled_from((TERMS, REORDERED))
)
def test_a_line_is_in_the_one_part_of_its_trade(
    tmp_path: Path, content: bytes, names: list[str], bytes_each: int, header: str
) -> None:
    file, rows = opened(tmp_path, content, header), Rows(E, header)
    bounds = sorted(set(names))
    parts = parts_of(file, bounds, bytes_each, tmp_path)
    assert sorted(line for part in parts for line in part) == numbered(content)
    assert all(part == sorted(part) for part in parts), "the lines of a part keep their order"
    for number, part in enumerate(parts):
        assert {bisect_right(bounds, key) for _, line in part if (key := rows.key(line))} <= {number}


def test_a_name_beyond_ascii_finds_its_part_beside_a_quote_or_not(tmp_path: Path) -> None:
    names = ["Börse", "Börse 2"]
    sent = [f"{name},AAPL,1,1,2025-07-26T10:01:23Z" for name in names]
    for beside in ([], ['"T1",AAPL,1,1,2025-07-26T10:01:23Z']):
        file = opened(tmp_path, "\n".join([*sent, *beside]).encode())
        low, high = parts_of(file, ["Börse 2"], CHUNK_BYTES, tmp_path)
        assert (2, sent[0]) in low
        assert (3, sent[1]) in high


def test_the_parts_are_as_many_bytes_as_the_chunk(tmp_path: Path) -> None:
    for file in written(tmp_path, simulated("typical", trades=300)):
        for chunk in file.chunks(5000):
            spill = split(chunk, ["S7-00000100", "S7-00000200"], tmp_path / "spill")
            assert sum(spill.bytes_of(part) for part in range(3)) == chunk.end - chunk.start
            assert spill.bytes_of(3) == 0


def test_small_files_are_one_part(tmp_path: Path) -> None:
    assert boundaries(written(tmp_path, simulated("typical", trades=300))) == []


def test_boundaries_are_quantiles_of_the_trades_of_all_files(tmp_path: Path) -> None:
    inputs = written(tmp_path, simulated("typical", trades=2000))
    total = sum(file.size for file in inputs)
    bounds = boundaries(inputs, total // 4)
    assert len(bounds) == 3
    for bound, expected in zip(bounds, (500, 1000, 1500), strict=True):
        assert abs(int(bound.removeprefix("S7-")) - expected) < 100
    assert boundaries(inputs, total // 4) == bounds


def test_the_number_of_parts_is_bounded_by_open_files(tmp_path: Path) -> None:
    bounds = boundaries(written(tmp_path, simulated("typical", trades=2000)), part_bytes=1)
    assert bounds == sorted(set(bounds))
    assert MAX_PARTS // 2 < len(bounds) < MAX_PARTS


@pytest.mark.parametrize("line", ["", "T1", '"T1', "\udcff"])
def test_boundaries_of_files_with_little_in_them(tmp_path: Path, line: str) -> None:
    files = plain_files([line] * 3, [line])
    bounds = boundaries(written(tmp_path, files), part_bytes=1)
    assert len(bounds) <= 1


def test_the_keys_of_a_quoted_line_and_a_bare_one_are_the_same(tmp_path: Path) -> None:
    file = opened(tmp_path, b'"T1",x\n T1 ,x\nT1\n"T1"\n"T1"x,1\n')
    assert cut_up(file).read(0)["trade_id"].to_list() == ["T1", "T1", "T1", "T1", ""]


@pytest.mark.parametrize("name", ["[a]", "*", "a?", "{a,b}", "a b", "é", "%20", "~"])
def test_a_spill_is_read_from_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    assert parts_of(opened(tmp_path, b"T1,x\n"), [], CHUNK_BYTES, folder) == [[(2, "T1,x")]]

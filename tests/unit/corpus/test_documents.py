"""Reading corpus files: every format, every fault by name and place, and cut archives."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tttnn.corpus.documents import ArchiveError, CorpusError, Document, Rejection, read_documents

GOOD = [
    {"text": "One.", "meta": {"pile_set_name": "ArXiv"}},
    {"text": "Zwei, 二.\n", "meta": {"pile_set_name": "Github", "stars": 3}},
    {"text": "Three.", "meta": {"pile_set_name": "FreeLaw"}},
]


def line(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def frame(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(data)


def read(path: Path, needs_subset: bool = True) -> list[Document]:
    return list(read_documents(path, needs_subset=needs_subset))


def rejections(path: Path, needs_subset: bool = True) -> tuple[list[int], list[Rejection]]:
    """Lines of the accepted documents, and what was rejected."""
    rejected: list[Rejection] = []
    reader = read_documents(path, needs_subset=needs_subset, rejected=rejected.append)
    return [document.line for document in reader], rejected


@pytest.fixture
def jsonl(tmp_path: Path):
    def write(*lines: bytes) -> Path:
        path = tmp_path / "00.jsonl"
        path.write_bytes(b"".join(lines))
        return path

    return write


def write_in(form: str, folder: Path) -> Path:
    """The good records as one of the supported files."""
    path = folder / f"00{form.split()[0]}"
    if form == ".jsonl.zst":
        path.write_bytes(frame(b"".join(map(line, GOOD))))
    elif form == ".jsonl":
        path.write_bytes(b"".join(map(line, GOOD)).removesuffix(b"\n"))
    elif form == ".parquet struct":
        pq.write_table(pa.Table.from_pylist(GOOD), path, row_group_size=2)
    else:
        rows = [{"text": r["text"], "pile_set_name": r["meta"]["pile_set_name"]} for r in GOOD]
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("form", [".jsonl.zst", ".jsonl", ".parquet struct", ".parquet column"])
def test_every_format_gives_the_same_documents(form: str, tmp_path: Path) -> None:
    documents = read(write_in(form, tmp_path))
    assert [(d.line, d.text, d.pile_set_name) for d in documents] == [
        (1, "One.", "ArXiv"),
        (2, "Zwei, 二.\n", "Github"),
        (3, "Three.", "FreeLaw"),
    ]
    assert all(d.meta["pile_set_name"] == d.pile_set_name for d in documents)
    if form != ".parquet column":
        assert documents[1].meta["stars"] == 3


def test_all_frames_are_read_wherever_they_are_cut(tmp_path: Path) -> None:
    data = b"".join(map(line, GOOD))
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"note"  # as parallel compressors write
    path = tmp_path / "00.jsonl.zst"
    for cut in range(0, len(data), 7):
        path.write_bytes(frame(data[:cut]) + skippable + frame(data[cut:]))
        assert [d.text for d in read(path)] == [r["text"] for r in GOOD], f"cut at {cut}"


def test_lines_longer_than_a_block(tmp_path: Path) -> None:
    texts = ["a" * 3_000_000, "b", "ü" * 1_000_000]
    records = [{"text": text, "meta": {"pile_set_name": "Books3"}} for text in texts]
    path = tmp_path / "00.jsonl.zst"
    path.write_bytes(frame(b"".join(map(line, records))))
    assert [d.text for d in read(path)] == texts


def subset(name: object) -> bytes:
    return line({"text": "x", "meta": {"pile_set_name": name}})


FAULTS = {
    "cut JSON": (b'{"text": "a\n', "malformed JSON"),
    "blank line": (b"\n", "malformed JSON"),
    "too deep": (b"[" * 200_000 + b"\n", "malformed JSON"),
    "byte order mark": (b"\xef\xbb\xbf" + line(GOOD[0]), "malformed JSON"),
    "latin-1": ('{"text": "caf\xe9"}\n'.encode("latin-1"), "not UTF-8"),
    "a list": (b'["text"]\n', "not a JSON object"),
    "no text": (b'{"meta": {"pile_set_name": "ArXiv"}}\n', "no text"),
    "null text": (line({"text": None, "meta": {"pile_set_name": "ArXiv"}}), "no text"),
    "number": (line({"text": 1, "meta": {"pile_set_name": "ArXiv"}}), "text is not a string"),
    "empty": (line({"text": "", "meta": {"pile_set_name": "ArXiv"}}), "empty text"),
    "blank": (line({"text": " \n\t\u3000", "meta": {"pile_set_name": "ArXiv"}}), "empty text"),
    "surrogate": (
        b'{"text": "\\ud800", "meta": {"pile_set_name": "ArXiv"}}\n',
        "text has a lone surrogate",
    ),
    "no meta": (b'{"text": "x"}\n', "no subset"),
    "null subset": (subset(None), "no subset"),
    "meta as string": (line({"text": "x", "meta": "ArXiv"}), "meta is not an object"),
    "subset as number": (subset(7), "subset is not a string"),
    "unknown subset": (subset("Pile-CCC"), "unknown subset"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_line_fails_with_its_place_or_is_rejected(fault: str, jsonl) -> None:
    bad, reason = FAULTS[fault]
    path = jsonl(line(GOOD[0]), bad, line(GOOD[2]))
    reader = read_documents(path, needs_subset=True)
    assert next(reader).text == "One."
    with pytest.raises(CorpusError) as raised:
        next(reader)
    assert f"{path}, line 2: {reason}" in str(raised.value)
    assert "on_bad_record: reject" in str(raised.value)
    assert not isinstance(raised.value, ArchiveError)

    accepted, rejected = rejections(path)
    assert accepted == [1, 3]
    assert [(r.line, r.reason) for r in rejected] == [(2, reason)]
    assert len(rejected[0].excerpt) <= 200


def test_a_surrogate_pair_is_a_character(jsonl) -> None:
    path = jsonl(b'{"text": "\\ud83d\\ude00", "meta": {"pile_set_name": "ArXiv"}}\n')
    assert read(path)[0].text == "\N{GRINNING FACE}"


def test_an_unknown_subset_names_the_nearest(jsonl) -> None:
    with pytest.raises(CorpusError, match=r"'Wikipedia'.*Did you mean 'Wikipedia \(en\)'"):
        read(jsonl(subset("Wikipedia")))


def test_a_subset_may_be_missing_but_not_unknown_where_none_is_needed(jsonl) -> None:
    path = jsonl(b'{"text": "x"}\n', b'{"text": "y", "meta": {}}\n', subset("Books4"))
    accepted, rejected = rejections(path, needs_subset=False)
    assert accepted == [1, 2]
    assert [r.reason for r in rejected] == ["unknown subset"]


def test_parquet_rows_are_checked_too(tmp_path: Path) -> None:
    texts = pa.array([b"good", b"caf\xe9", b" ", None], pa.binary()).view(pa.string())
    path = tmp_path / "00.parquet"
    pq.write_table(pa.table({"text": texts}), path)
    accepted, rejected = rejections(path, needs_subset=False)
    assert accepted == [1]
    assert [(r.line, r.reason) for r in rejected] == [
        (2, "not UTF-8"),
        (3, "empty text"),
        (4, "no text"),
    ]
    with pytest.raises(CorpusError, match="row 1: no subset"):
        read(path)


def test_a_parquet_file_without_texts_lists_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "00.parquet"
    pq.write_table(pa.table({"content": ["x"], "text": [1]}), path)
    with pytest.raises(CorpusError, match="content: string, text: int64"):
        read(path)


@pytest.mark.parametrize("lost", [1, 5, 1000])
def test_a_cut_archive_is_an_error_even_where_records_may_be_rejected(
    lost: int, tmp_path: Path
) -> None:
    # a flushed block after the first line, so that this line arrives whatever is cut off
    compressor = zstandard.ZstdCompressor().compressobj()
    whole = compressor.compress(line(GOOD[0]))
    whole += compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    rest = line({"text": bytes(range(32, 127)).decode() * 50, "n": list(range(5000))})
    whole += compressor.compress(rest) + compressor.flush()
    path = tmp_path / "00.jsonl.zst"
    path.write_bytes(whole[:-lost])
    with pytest.raises(ArchiveError) as raised:
        rejections(path)
    assert f"{path} is cut short or damaged after line 1" in str(raised.value)
    assert "Fetch the file again" in str(raised.value)


def test_a_cut_second_frame_and_bytes_of_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "00.jsonl.zst"
    whole = frame(line(GOOD[0])) + frame(line(GOOD[2]))
    for content in (whole[:-1], whole[:-20], whole + b"no frame"):
        path.write_bytes(content)
        with pytest.raises(ArchiveError, match=r"damaged after line [12]"):
            rejections(path)


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    path = write_in(".parquet struct", tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ArchiveError, match="damaged after row 0"):
        rejections(path)


def test_a_missing_file_is_no_damaged_one(tmp_path: Path) -> None:
    for name in ("00.jsonl.zst", "00.jsonl", "00.parquet"):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / name)


def test_other_formats_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"00\.jsonl\.gz.*\.jsonl\.zst, \.jsonl, \.parquet"):
        read(tmp_path / "00.jsonl.gz")


def test_real_text(shared: Path) -> None:
    path = shared / "data" / "pile-mini" / "val.jsonl.zst"
    documents = read(path)
    assert len(documents) == 910  # what the data's own description says
    assert len({d.pile_set_name for d in documents}) == 19

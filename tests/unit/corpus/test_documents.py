"""Reading corpus files: every format, every fault by name and place, and cut archives."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import re
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tttnn.corpus import raw
from tttnn.corpus.documents import Document, Rejection, read_documents, write_records
from tttnn.corpus.formats import ArchiveError, CorpusError

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
    "too deep": (b"[" * 200_000 + b"\n", "malformed JSON"),
    "two objects": (line(GOOD[0])[:-1] + line(GOOD[1]), "malformed JSON"),
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
    "meta as list": (line({"text": "x", "meta": ["ArXiv"]}), "meta is not an object"),
    "meta as JSON of a list": (line({"text": "x", "meta": "[1]"}), "meta is not an object"),
    "meta as code": (line({"text": "x", "meta": "dict(a=1)"}), "meta is not an object"),
    "deep meta": (
        b'{"text": "x", "meta": {"a": ' + b"[" * 500 + b"]" * 500 + b"}}\n",
        "meta is too deep",
    ),
    "subset as number": (subset(7), "subset is not a string"),
    "subset as a deep list": (
        b'{"text": "x", "pile_set_name": ' + b"[" * 900 + b"]" * 900 + b"}\n",
        "subset is not a string",
    ),
    "unknown subset": (subset("Pile-CCC"), "unknown subset"),
    "a subset of another data set": (line({"text": "x", "subset": "c4"}), "unknown subset"),
    "two subsets": (
        line({"text": "x", "meta": {"pile_set_name": "ArXiv"}, "pile_set_name": "Github"}),
        "two subsets",
    ),
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


# --- what other libraries and systems write ------------------------------------------------------

BOM = b"\xef\xbb\xbf"
TEXTS = ["One.", "Zwei, 二.\n", "Three."]
SUBSETS = ["ArXiv", "Github", "FreeLaw"]


def write_lines(path: Path, data: bytes) -> Path:
    path.write_bytes(frame(data) if path.suffix == ".zst" else data)
    return path


@pytest.mark.parametrize("name", ["00.jsonl", "00.jsonl.zst"])
@pytest.mark.parametrize(
    "data",
    [
        BOM + b"".join(map(line, GOOD)),
        b"".join(BOM + line(record) for record in GOOD),  # files with marks, joined
        b"".join(line(record).replace(b"\n", b"\r\n") for record in GOOD),
        BOM + b"\r\n".join(line(record)[:-1] for record in GOOD) + b"\r\n\r\n",
        b"\n \t\n" + b"\n\n".join(map(line, GOOD)) + b"\n\n\n",
        BOM + b"\n" + b"".join(map(line, GOOD)) + BOM,
    ],
)
def test_marks_line_ends_and_blank_lines_are_no_text(name: str, data: bytes, tmp_path) -> None:
    documents = read(write_lines(tmp_path / name, data))
    assert [(d.text, d.pile_set_name) for d in documents] == list(zip(TEXTS, SUBSETS, strict=True))


def test_blank_lines_are_counted_so_that_places_are_the_editor_s(jsonl) -> None:
    path = jsonl(b"\n", line(GOOD[0]), b"\r\n", b"{\n")
    accepted, rejected = rejections(path)
    assert (accepted, [r.line for r in rejected]) == ([2], [4])


def test_a_mark_cut_in_two_by_frames_is_still_one(tmp_path: Path) -> None:
    path = tmp_path / "00.jsonl.zst"
    path.write_bytes(frame(BOM[:1]) + frame(BOM[1:] + line(GOOD[0])))
    assert [d.text for d in read(path)] == ["One."]


STRINGS = {
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "large dictionary": pa.dictionary(pa.int8(), pa.large_string()),
    "binary": pa.binary(),
    "large_binary": pa.large_binary(),
    "binary_view": pa.binary_view(),
    "dictionary of binary": pa.dictionary(pa.int16(), pa.binary()),
}


def strings(values: list[str | None], form: str) -> pa.Array:
    kind = STRINGS[form]
    if "binary" in form:
        inner = pa.binary() if pa.types.is_dictionary(kind) else kind
        encoded = pa.array([value and value.encode() for value in values], inner)
        return encoded.dictionary_encode() if pa.types.is_dictionary(kind) else encoded
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def metas(form: str, names: str) -> dict[str, pa.Array]:
    """Columns that say the subsets, in one of the ways of libraries."""
    column = strings(SUBSETS, names)
    kind = column.type
    match form:
        case "struct":
            return {"meta": pa.StructArray.from_arrays([column], ["pile_set_name"])}
        case "map" | "pairs":
            keys = pa.array(["pile_set_name"] * 3)
            if form == "map":
                return {"meta": pa.MapArray.from_arrays([0, 1, 2, 3], keys, column)}
            pairs = pa.StructArray.from_arrays([keys, column], ["key", "value"])
            return {"meta": pa.ListArray.from_arrays([0, 1, 2, 3], pairs)}
        case "json":
            return {"meta": strings([json.dumps({"pile_set_name": s}) for s in SUBSETS], names)}
        case "python":
            return {"meta": strings([str({"pile_set_name": s}) for s in SUBSETS], names)}
        case "column beside null":
            return {"meta": pa.nulls(3), "pile_set_name": column}
        case "column beside null struct":
            empty = pa.nulls(3, pa.struct({"n": pa.int64(), "pile_set_name": kind}))
            return {"meta": empty, "pile_set_name": column}
        case "column beside empty text":
            return {"meta": strings(["", " ", "null"], names), "pile_set_name": column}
        case _:
            return {form: column}


META_FORMS = [
    "struct", "map", "pairs", "json", "python",
    "column beside null", "column beside null struct", "column beside empty text",
    "pile_set_name", "meta.pile_set_name", "meta_pile_set_name", "subset", "set_name", "domain",
]  # fmt: skip


PLAIN = {"string_view": "string", "binary_view": "binary"}


def write_columns(names: str, form: str, path: Path) -> None:
    """Texts and subsets as columns of this type, in two row groups.

    pyarrow cannot write views in a struct, and polars does: as plain strings, and a schema beside
    them that says what they are to be read as.
    """
    claimed, stored = (
        pa.table({"text": strings(TEXTS, kind), "id": [1, 2, 3], **metas(form, kind)})
        for kind in (names, PLAIN.get(names, names))
    )
    with pq.ParquetWriter(path, stored.schema, store_schema=names not in PLAIN) as writer:
        writer.write_table(stored, row_group_size=2)
        if names in PLAIN:
            schema = base64.b64encode(claimed.schema.serialize().to_pybytes()).decode()
            writer.add_key_value_metadata({"ARROW:schema": schema})
    if names in PLAIN:
        assert pq.ParquetFile(path).schema_arrow.types == claimed.schema.types


@pytest.mark.parametrize("names", STRINGS)
@pytest.mark.parametrize("form", META_FORMS)
def test_parquet_text_is_text_and_the_subset_is_found_in_every_form(
    form: str, names: str, tmp_path: Path
) -> None:
    write_columns(names, form, tmp_path / "00.parquet")
    documents = read(tmp_path / "00.parquet")
    assert [(d.line, d.text, d.pile_set_name) for d in documents] == [
        (row, *both) for row, both in enumerate(zip(TEXTS, SUBSETS, strict=True), start=1)
    ]
    assert [d.meta["pile_set_name"] for d in documents] == SUBSETS
    write_records(tmp_path / "new.jsonl.zst", ({"text": d.text, "meta": d.meta} for d in documents))
    again = read(tmp_path / "new.jsonl.zst")
    assert [d[:3] for d in again] == [d[:3] for d in documents]


@pytest.mark.parametrize(
    "record",
    [
        {"meta": {"pile_set_name": "Github", "n": 1}},
        {"meta": None, "pile_set_name": "Github"},
        {"meta": {"pile_set_name": None}, "pile_set_name": "Github"},
        {"meta": '{"pile_set_name": "Github"}'},
        {"meta": "{'pile_set_name': 'Github', 'n': None}"},
        {"meta": "null", "pile_set_name": "Github"},
        {"meta": "", "meta.pile_set_name": "Github"},
        {"meta": [{"key": "pile_set_name", "value": "Github"}]},
        {"meta_pile_set_name": "Github"},
        {"meta": {"subset": "Github"}},
        {"meta": {"pile_set_name": "Github"}, "pile_set_name": "Github", "subset": "Github"},
        {"meta": {"pile_set_name": "Github"}, "subset": "train", "domain": 7},
        {"set_name": "Github", "subset": "train"},
    ],
)
def test_the_subset_is_found_wherever_a_line_says_it(record: dict, jsonl) -> None:
    for needs_subset in (True, False):
        path = jsonl(line({"text": "x", **record}))
        [document] = read(path, needs_subset)
        assert document.pile_set_name == document.meta["pile_set_name"] == "Github"


PLACES = [
    (
        {"meta": {"pile_set_name": "ArXiv"}, "pile_set_name": "Github"},
        "meta.pile_set_name says 'ArXiv', pile_set_name says 'Github'",
    ),
    (
        {"meta": '{"pile_set_name": "ArXiv"}', "subset": "Github"},
        "meta.pile_set_name says 'ArXiv', subset says 'Github'",
    ),
    ({"set_name": "ArXiv", "domain": "Github"}, "set_name says 'ArXiv', domain says 'Github'"),
    (
        {"meta": {"subset": "ArXiv"}, "domain": "Github"},
        "meta.subset says 'ArXiv', domain says 'Github'",
    ),
    (
        {"pile_set_name": "ArXiv", "meta": {"subset": "Github"}},
        "pile_set_name says 'ArXiv', meta.subset says 'Github'",
    ),
]


@pytest.mark.parametrize(("record", "said"), PLACES)
def test_places_that_disagree_are_both_named(record: dict, said: str, jsonl) -> None:
    _, [rejected] = rejections(jsonl(line({"text": "x", **record})), needs_subset=False)
    assert (rejected.reason, rejected.detail) == ("two subsets", said)


def test_a_long_subset_does_not_fill_the_message(jsonl) -> None:
    _, [rejected] = rejections(jsonl(subset("x" * 1_000_000)))
    assert rejected.reason == "unknown subset"
    assert len(rejected.detail) < 1000


def test_numbers_are_no_text_though_arrow_could_print_them(tmp_path: Path) -> None:
    path = tmp_path / "00.parquet"
    for column in ([1.5], [True], [["a"]], [{"a": "b"}]):
        pq.write_table(pa.table({"text": column}), path)
        with pytest.raises(CorpusError, match="has no column text of strings"):
            read(path)


def test_a_parquet_file_with_two_columns_of_a_name(tmp_path: Path) -> None:
    path = tmp_path / "00.parquet"
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, path)
    with pytest.raises(CorpusError, match="more than one column text"):
        read(path)


def test_what_meta_holds_besides_survives_to_a_line_of_json(tmp_path: Path) -> None:
    """Dates, bytes, and keys that are bytes, as writers without string types leave them."""
    values = pa.array(
        [[(b"pile_set_name", b"ArXiv"), (b"raw", b"\xff")]], pa.map_(pa.binary(), pa.binary())
    )
    path = tmp_path / "00.parquet"
    pq.write_table(pa.table({"text": ["x"], "meta": values}), path)
    [document] = read(path)
    assert document.meta == {"pile_set_name": "ArXiv", "raw": b"\xff"}
    write_records(tmp_path / "0.jsonl.zst", [{"text": "x", "meta": document.meta}])
    assert read(tmp_path / "0.jsonl.zst")[0].pile_set_name == "ArXiv"


def test_a_row_whose_meta_cannot_be_read_is_one_row(tmp_path: Path) -> None:
    """A year that Python's dates have not; a map with a key twice."""
    years = pa.array([0, 2**61], pa.timestamp("us"))
    meta = pa.StructArray.from_arrays([pa.array(["ArXiv"] * 2), years], ["pile_set_name", "when"])
    path = tmp_path / "00.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], "meta": meta}), path)
    accepted, rejected = rejections(path)
    assert (accepted, [(r.line, r.reason) for r in rejected]) == ([1], [(2, "meta cannot be read")])
    twice = pa.array([[("a", "1"), ("a", "2")]], pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"text": ["a"], "meta": twice}), path)
    assert [r.reason for r in rejections(path)[1]] == ["meta cannot be read"]


# --- files under a wrong name --------------------------------------------------------------------

JSONL = b"".join(map(line, GOOD))


def archived(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            member = tarfile.TarInfo("00.jsonl")
            member.size = len(JSONL)
            archive.addfile(member, io.BytesIO(JSONL))
    elif kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("00.jsonl", JSONL)
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(GOOD), buffer)
    else:
        table = pa.Table.from_pylist(GOOD)
        new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
        with new(buffer, table.schema) as writer:
            writer.write_table(table)
    return buffer.getvalue()


DISGUISES = {
    "gzip": (gzip.compress(JSONL), "by gzip: .*gzip -dc"),
    "bzip2": (bz2.compress(JSONL), "by bzip2: .*bzip2 -dc"),
    "xz": (lzma.compress(JSONL), "by xz: .*xz -dc"),
    "zip": (archived("zip"), "a zip archive: .*unzip"),
    "tar": (archived("tar"), "a tar archive: .*tar -xf"),
    "arrow": (archived("arrow"), "an Arrow file: .*parquet"),
    "arrow stream": (archived("stream"), "an Arrow stream: .*parquet"),
    "annex": (b"/annex/objects/SHA256E-s12--00.jsonl.zst\n", "git-annex pointer.*git annex get"),
    "annex link": (b"../.git/annex/objects/aB/cD/SHA256E-s12--00/SHA256E-s12--00", "git annex get"),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        "a Git LFS pointer.*git lfs pull",
    ),
    "page": (b"\n<!doctype HTML><p>Sign in</p>", "web page.*login"),
    "page without doctype": (b"<html lang=en><head>", "web page.*login"),
    "store's error": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', "XML.*login"),
    "UTF-16": (JSONL.decode().encode("utf-16"), "UTF-16.*iconv"),
    "big-endian UTF-16": (b"\xfe\xff" + JSONL.decode().encode("utf-16-be"), "UTF-16.*iconv"),
    "zstd": (frame(JSONL), r"by zstd: rename it to end in \.jsonl\.zst"),
    "zstd after a note": (struct.pack("<II", 0x184D2A5F, 1) + b"x" + frame(JSONL), "by zstd"),
    "parquet": (archived("parquet"), r"a parquet file: rename it to end in \.parquet"),
    "text": (JSONL, r"plain text: rename it to end in \.jsonl"),
    "text with a mark": (BOM + b"\r\n" + JSONL, r"plain text: rename it to end in \.jsonl"),
}


@pytest.mark.parametrize("suffix", [".jsonl.zst", ".jsonl", ".parquet"])
@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_file_under_a_wrong_name_is_called_what_it_is(
    disguise: str, suffix: str, tmp_path: Path
) -> None:
    content, said = DISGUISES[disguise]
    path = tmp_path / f"00{suffix}"
    path.write_bytes(content)
    right = {"zstd": ".jsonl.zst", "text": ".jsonl", "parquet": ".parquet"}
    if right.get(disguise.split()[0]) == suffix:
        assert len(read(path)) == 3
        return
    with pytest.raises(CorpusError, match=f"{path} is named {suffix} but is .*{said}") as raised:
        rejections(path)
    assert not isinstance(raised.value, ArchiveError)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("disguise", [name for name in DISGUISES if "text" not in name])
def test_what_a_compressed_file_holds_is_called_what_it_is(disguise: str, tmp_path: Path) -> None:
    content, said = DISGUISES[disguise]
    path = tmp_path / "00.jsonl.zst"
    path.write_bytes(frame(content))
    with pytest.raises(CorpusError, match=rf"{path}, decompressed, is .*{said.partition(':')[0]}"):
        rejections(path)


@pytest.mark.parametrize("suffix", [".jsonl.zst", ".parquet"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"text,subset\r\nOne.,ArXiv\r\n",
            r"other text, which begins 'text,subset.*the shard itself",
        ),
        ("Größe;二\n".encode() * 100, "other text, which begins 'Größe;二"),
        (b'[{"text": "x"}]', r"other text, which begins .*jq -c '\.\[\]'"),
        (b'{"error": "no such dataset"}', "a server's message, which begins .*no such dataset"),
        (b'{\n "message": "Not Found"\n}', "a server's message, which begins .*Not Found"),
    ],
)
def test_text_is_no_damaged_archive(content: bytes, said: str, suffix: str, tmp_path) -> None:
    path = tmp_path / f"00{suffix}"
    path.write_bytes(content)
    with pytest.raises(CorpusError, match=f"{path} is named {suffix} but is {said}") as raised:
        rejections(path)
    assert not isinstance(raised.value, ArchiveError)


@pytest.mark.parametrize("content", [b"\x28\xb5\x2f", b"\x00\x01", bytes(range(128, 192))])
def test_bytes_that_are_no_text_are_a_damaged_archive(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "00.jsonl.zst"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="Fetch the file again"):
        rejections(path)


@pytest.mark.parametrize("suffix", [".jsonl.zst", ".jsonl", ".parquet"])
@pytest.mark.parametrize("form", ["text", "parquet"])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_remedies_lead_to_a_file_that_is_read(form, frames, suffix, tmp_path: Path) -> None:
    """What the messages say is done, each once, to a file compressed so many times."""
    content = JSONL if form == "text" else archived("parquet")
    for _ in range(frames):
        content = frame(content)
    path = tmp_path / f"00{suffix}"
    path.write_bytes(content)
    for _ in range(6):
        try:
            assert len(read(path)) == 3
            return
        except ArchiveError:
            raise
        except CorpusError as error:
            path = follow(str(error), path, form == "parquet" and frames == 1)
    pytest.fail("the remedies lead in a circle")


def follow(said: str, path: Path, holds_parquet: bool) -> Path:
    """Where the file is after what a message about it said."""
    first, once, then = said.partition("Decompress it once, `zstd -dc OLD > NEW`; then, with NEW:")
    remedy = then or first
    content = path.read_bytes()
    path.unlink()
    if once or ("zstd -dc OLD > NEW.parquet" in remedy and holds_parquet):
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    if "zstd -dc OLD > NEW.parquet" in remedy and holds_parquet and not once:
        right = ".parquet"
    else:
        [right] = re.findall(r"rename it to end in (\.[\w.]*\w)", remedy)
    path = path.with_name(f"00{right}")
    path.write_bytes(content)
    return path


FORMS = {
    "an array on one line": (json.dumps(GOOD).encode(), r"jq -c '\.\[\]'"),
    "an array over lines": (json.dumps(GOOD, indent=1).encode(), r"jq -c '\.\[\]'"),
    "records over lines": (
        b"\n".join(json.dumps(r, indent=1).encode() for r in GOOD),
        r"jq -c \. ",
    ),
}


@pytest.mark.parametrize("name", ["00.jsonl", "00.jsonl.zst"])
@pytest.mark.parametrize("form", FORMS)
def test_json_in_another_form_comes_with_a_hint(form: str, name: str, tmp_path: Path) -> None:
    content, said = FORMS[form]
    path = write_lines(tmp_path / name, content)
    with pytest.raises(CorpusError, match=f"line 1: .*{said}"):
        read(path)


def test_a_faulty_record_comes_without_that_hint(jsonl) -> None:
    for bad in (b'{"text": "cut\n', b"nothing\n", b'{"text": ["x"]}\n'):
        with pytest.raises(CorpusError) as raised:
            read(jsonl(bad))
        assert "jq" not in str(raised.value)


CASES = {"blank": 4, "bom": 4, "bomzst": 4, "map": 4, "view": 4, "viewmeta": 4}


@pytest.mark.parametrize("case", CASES)
def test_cases_from_public_reports_are_read(case: str, shared: Path) -> None:
    [path] = (shared / "cases/corpus" / case / "train").iterdir()
    documents = read(path)
    assert [d.text for d in documents] == [
        f"document number {number} says hello" for number in range(CASES[case])
    ]
    assert {d.pile_set_name for d in documents} == {"Github"}


@pytest.mark.parametrize(
    ("case", "said"),
    [("gz", "by gzip"), ("lfs", "git lfs pull"), ("plainaszst", r"rename.*\.jsonl\.")],
)
def test_cases_from_public_reports_are_named(case: str, said: str, shared: Path) -> None:
    with pytest.raises(CorpusError, match=said):
        read(shared / "cases/corpus" / case / "train/00.jsonl.zst")


# --- bounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["00.jsonl", "00.jsonl.zst"])
def test_a_line_has_a_limit(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(raw, "LONGEST_LINE", 1000)
    record = {"text": "x", "meta": {"pile_set_name": "ArXiv"}, "n": ""}
    short = line(record | {"n": "a" * (1000 - len(line(record)))})
    assert len(short) == 1000
    assert len(read(write_lines(tmp_path / name, short + short))) == 2
    path = write_lines(tmp_path / name, short + short[:-2] + b"a" + short[-2:])
    with pytest.raises(CorpusError, match=f"{path}, line 2 is longer than 1,000 bytes"):
        rejections(path)


def test_a_line_that_could_not_be_read_is_not_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tttnn.corpus.documents.LONGEST_LINE", 1000)
    good = {"text": "x", "meta": {}}
    with pytest.raises(CorpusError, match=r"document 2 needs a line of 1,2.. bytes"):
        write_records(tmp_path / "0.jsonl.zst", [good, {"text": "二" * 200, "meta": {}}])


def test_a_window_that_nobody_needs_is_refused(tmp_path: Path) -> None:
    """`zstd --long=31`: reading it takes 2 GiB, whatever the file holds."""
    path = tmp_path / "00.jsonl.zst"
    for log, accepted in ((27, True), (28, False)):
        parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=log)
        compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        path.write_bytes(compressor.compress(line(GOOD[0])) + compressor.flush())
        if accepted:
            assert len(read(path)) == 1
        else:
            with pytest.raises(CorpusError, match=r"window of more than .*--long=31"):
                read(path)


def read_elsewhere(path: Path) -> tuple[str, int]:
    """What reading a file in another process says, and the bytes by which that process grew."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from tttnn.corpus.documents import read_documents\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: print(len(list(read_documents(Path(sys.argv[1]), needs_subset=False))))\n"
        "except ValueError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=os.environ | {"PYTHONPATH": str(Path(raw.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    said, grown = done.stdout.splitlines()
    return said, 1024 * int(grown)


def test_an_expanding_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """1 GiB in 32 KiB."""
    path = tmp_path / "00.jsonl.zst"
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as writer:
        for _ in range(1024):
            writer.write(b"a" * 2**20)
    said, grown = read_elsewhere(path)
    assert "line 1 is longer than" in said
    assert grown < 3 * raw.LONGEST_LINE


def varint(value: int) -> bytes:
    """As Thrift's compact protocol writes a number."""
    value *= 2  # zigzag
    digits = []
    while value:
        digits.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
    return bytes(digits)


def test_the_size_that_a_damaged_page_claims_is_not_allocated(tmp_path: Path) -> None:
    """The fuzz found it: 1.5 GB and nine seconds for a file of 3 KB."""
    path = tmp_path / "00.parquet"
    table = pa.table({"text": ["a" * 1000, "b" * 1000]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    content = path.read_bytes()
    # PAR1, then the page's header: its type, its size, its compressed size, each after a 0x15
    first = content.index(b"\x15", 6)
    second = content.index(b"\x15", first + 1)
    end = second + 2 if content[second + 1] < 128 else second + 3
    claimed = varint(1_600_000_000)
    path.write_bytes(content[: second + 1] + claimed + content[end:])
    said, grown = read_elsewhere(path)
    assert f"{path} is cut short or damaged after row 0" in said
    assert grown < 200_000_000


def test_a_column_whose_name_is_no_utf8(tmp_path: Path) -> None:
    """The fuzz found it: Arrow decodes names only when they are asked for."""
    path = tmp_path / "00.parquet"
    meta = pa.array([{"pile_set_name": "ArXiv", "valuation": 1}])
    pq.write_table(pa.table({"text": ["x"], "meta": meta}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"valuation", b"valuat\xb5on"))
    with pytest.raises(CorpusError, match=f"{path} is cut short or damaged") as raised:
        rejections(path)
    assert isinstance(raised.value.__cause__, UnicodeDecodeError)


def test_progress_is_the_share_of_the_file(tmp_path: Path) -> None:
    for form in (".jsonl.zst", ".jsonl", ".parquet struct"):
        progress = raw.Progress()
        shares = [
            progress.share
            for _ in read_documents(write_in(form, tmp_path), needs_subset=True, progress=progress)
        ]
        assert shares == sorted(shares)
        assert shares[-1] == 1


def test_real_text(shared: Path) -> None:
    path = shared / "data" / "pile-mini" / "val.jsonl.zst"
    documents = read(path)
    assert len(documents) == 910  # what the data's own description says
    assert len({d.pile_set_name for d in documents}) == 19

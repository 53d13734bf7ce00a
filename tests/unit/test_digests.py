"""What is not what was written is noticed: each form of digest, bit by bit where that is cheap."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tttnn.digests import (
    DamagedError,
    block_digests,
    check_blocks,
    check_model,
    check_seal,
    read_record,
    seal,
    write_record,
)
from tttnn.files import reserve, sha256, write_json
from tttnn.retrieval.rows import Rows, RowWriter
from tttnn.retrieval.tensors import load_tensors, save_tensors
from tttnn.tables import check_table, open_table, read_table, table_digest, write_table

TESTS = Path(__file__).parents[1]
VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)
TABLE = pa.table({"id": [3, 1, 2], "text": ["drei", "eins", None]})


def make_record(path):
    write_record(path, {"rows": 3, "names": ["a", "ö"], "share": 0.1})


def make_rows(path):
    with RowWriter(path, VECTORS.shape, "float32", anew=True) as writer:
        writer.write(0, VECTORS)


def make_seal(path):
    path.write_bytes(b"whatever another library writes")
    seal(path, {"environments": [{"python": "3"}]}, path)


FORMS = {
    "record": (make_record, read_record),
    "seal": (make_seal, check_seal),
    "table": (lambda path: write_table(path, TABLE), read_table),
    "rows": (make_rows, lambda path: Rows(path)[:]),
    "tensors": (lambda path: save_tensors(path, {"v": VECTORS}, {"by": "x"}), load_tensors),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_byte_of_a_file_is_covered(form, tmp_path):
    """A flip is an error, or changes nothing of what is read (a space in a header or in JSON)."""
    generator = random.Random(0)
    make, read = FORMS[form]
    path = tmp_path / "file"
    make(path)
    content, expected = path.read_bytes(), repr(read(path))
    harmless = 0
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << generator.randrange(8)
        path.write_bytes(flipped)
        try:
            found = read(path)
        except DamagedError as error:
            assert str(path) in str(error)
            assert "remove it and run again" in str(error)
        else:
            assert repr(found) == expected
            harmless += 1
    assert harmless < len(content) / 4


def test_every_bit_of_a_header_of_vectors_is_covered(tmp_path):
    """Numpy's own reader of headers raises more than it says."""
    path = tmp_path / "v.npy"
    make_rows(path)
    content = path.read_bytes()
    for bit in range(8 * 128):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with suppress(DamagedError):
            assert np.array_equal(Rows(path)[:], VECTORS)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_short_or_of_another_program_is_named(form, tmp_path):
    make, read = FORMS[form]
    path = tmp_path / "file"
    make(path)
    content = path.read_bytes()
    for broken in (content[:-2], content[:10], b"", b"PAR1", b"{}", bytes(len(content))):
        path.write_bytes(broken)
        with pytest.raises(DamagedError, match=f"{path} .*run again"):
            read(path)


def test_a_sealed_table_is_one_for_other_readers(tmp_path):
    path = tmp_path / "t.parquet"
    write_table(path, TABLE)
    assert pq.read_table(path).equals(TABLE)
    assert read_table(path, ["text"]).column_names == ["text"]
    pq.write_table(TABLE, path)
    with pytest.raises(DamagedError, match=r"t\.parquet has no digest before its footer"):
        open_table(path)


def test_a_tables_digest_is_of_its_content_and_read_without_its_pages(tmp_path):
    one, two = tmp_path / "1/a/b/x.parquet", tmp_path / "2/a/b/x.parquet"
    write_table(one, TABLE)
    write_table(two, TABLE.slice(1))
    assert table_digest(one) != table_digest(two)
    shutil.copy(one, two)
    assert table_digest(one) == table_digest(two)
    content = bytearray(one.read_bytes())
    content[40] ^= 1  # of a page
    one.write_bytes(content)
    assert table_digest(one) == table_digest(two)
    with pytest.raises(DamagedError, match="has content of SHA-256"):
        check_table(one)
    with pytest.raises(OSError, match=r"[Cc]hecksum"):
        open_table(one).read()


def make_tensors(path):
    save_tensors(path, {"vectors": VECTORS}, {"embedder": "some"})


@pytest.mark.parametrize("form", ["table", "seal", "tensors"])
def test_a_whole_file_in_another_one_s_place_is_named(form, tmp_path):
    """Candidates of another index, a shard's index of another type: every bit of them is right."""
    make, read = FORMS.get(form, (make_tensors, load_tensors))
    run = tmp_path / "run/candidates/test"
    for name in ("flat/pile_github", "flat/pile_arxiv", "random/pile_github"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        make(run / name)
        read(run / name)
    for other in ("flat/pile_arxiv", "random/pile_github"):
        shutil.copy(run / other, run / "flat/pile_github")
        with pytest.raises(
            DamagedError, match=r"flat/pile_github .*or of another place\): remove it"
        ):
            read(run / "flat/pile_github")
    make(run / "flat/pile_github")
    (tmp_path / "run").rename(tmp_path / "elsewhere")  # the run may move
    read(tmp_path / "elsewhere/candidates/test/flat/pile_github")


def test_numpy_reads_rows_and_only_rows_that_are_read_are_compared(tmp_path):
    path = tmp_path / "v.npy"
    make_rows(path)
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), VECTORS)
    content = bytearray(path.read_bytes())
    content[128 + 2 * 12 + 5] ^= 4
    path.write_bytes(content)
    rows = Rows(path)
    np.testing.assert_array_equal(rows[np.array([0, 3])], VECTORS[[0, 3]])
    with pytest.raises(DamagedError, match=r"v\.npy, row 2: the vector has CRC-32"):
        rows[np.array([3, 2])]
    with pytest.raises(DamagedError, match="row 2"):
        rows[1:3]


def test_blocks_name_where_a_file_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr("tttnn.digests.BLOCK", 100)
    path = tmp_path / "lists"
    path.write_bytes(bytes(range(250)))
    digests = block_digests(path, 3)
    assert len(digests) == 3
    check_blocks(path, 250, digests, 2, "again")
    path.write_bytes(bytes(range(150)) + bytes(100))
    with pytest.raises(DamagedError, match=r"lists has SHA-256 \w+ from byte 100, .*: again"):
        check_blocks(path, 250, digests, 1, "again")


def test_a_models_files_are_those_of_its_manifest(tmp_path):
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_text(name)
    files = {name: sha256(tmp_path / name) for name in ("config.json", "tokenizer.json")}
    write_json(tmp_path / "manifest.json", {"files": files})
    check_model(tmp_path)
    (tmp_path / "config.json").write_text("another")
    check_model(tmp_path, ["tokenizer.json"])
    remedy = f"remove {tmp_path} and run again"
    with pytest.raises(DamagedError, match=rf"config\.json has SHA-256 .*{remedy}"):
        check_model(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(DamagedError, match=f"lacks config.json, .*{remedy}"):
        check_model(tmp_path)
    with pytest.raises(DamagedError, match=r"lists no model\.safetensors"):
        check_model(tmp_path, ["model.safetensors"])
    write_json(tmp_path / "manifest.json", {"kind": "local"})
    with pytest.raises(DamagedError, match="has no list of digests"):
        check_model(tmp_path)


# --- full disks ------------------------------------------------------------------------------


def no_room(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_an_error_with_the_file_and_the_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(OSError, match=r"No space left.*: 196 bytes are needed .*v\.npy"):
        make_rows(tmp_path / "v.npy")


def test_space_that_cannot_be_reserved_is_written_plainly(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    make_rows(tmp_path / "v.npy")
    np.testing.assert_array_equal(Rows(tmp_path / "v.npy")[:], VECTORS)


def test_reserved_space_is_there(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        reserve(file.fileno(), tmp_path / "file", 1 << 20)
    status = (tmp_path / "file").stat()
    assert status.st_size == 1 << 20
    assert status.st_blocks * 512 >= 1 << 20


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one MB; root alone can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_does_not_kill_the_process(small_disk):
    with pytest.raises(OSError, match=r"2097\d+ bytes are needed .* 10\d+ are free"):
        RowWriter(small_disk / "v.npy", (2048, 255), "float32", anew=True)


# --- all of it -------------------------------------------------------------------------------


def test_no_flipped_bit_is_silent_and_none_ends_a_process():
    """Two of each kind of file and stage; the script's own exit status says it."""
    done = subprocess.run(
        [sys.executable, TESTS / "bitflips.py", "--flips", "2", "--seed", "5"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{TESTS.parent}/workflow", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "| neighbours | evaluate_part | 2 | 0 | 2 |" in done.stdout

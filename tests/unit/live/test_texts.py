"""Texts in memory: those of the workflow's own reader, bounded, and damage is still noticed."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from live_run import ROOT, SUBSET, write_run
from shards import write_passages
from tttnn.corpus.passages import PassageStore
from tttnn.digests import DamagedError
from tttnn.live import texts
from tttnn.live.texts import Kept, KeptPassages

COUNTS = (700, 0, 300)  # passages of each file; a row group has 256


@pytest.fixture
def files(tmp_path):
    found, row = [], 0
    for number, count in enumerate(COUNTS):
        ids = list(range(row, row + count))
        named = [f"passage {passage}" for passage in ids]
        found.append(write_passages(tmp_path / f"{number}.parquet", ids, named, SUBSET))
        row += count
    return found


@pytest.fixture
def reads(monkeypatch):
    """The row groups that were read, by file's name."""
    done, read = [], texts._Open.read

    def counted(self, group):
        done.append((self.path.stem, group))
        return read(self, group)

    monkeypatch.setattr(texts._Open, "read", counted)
    return done


@pytest.mark.parametrize("most", [1, 60_000, 1 << 20])
def test_texts_are_those_of_the_workflows_reader_whatever_is_kept(most, files):
    kept = Kept(most)
    store, plain = KeptPassages(files, kept), PassageStore(files)
    generator = np.random.default_rng(0)
    for _ in range(20):
        ids = generator.integers(0, 1000, 12).tolist()
        assert store.fetch(ids) == plain.fetch(ids) == {p: (f"passage {p}", SUBSET) for p in ids}
        assert kept.bytes <= most


def test_a_row_group_that_is_kept_is_not_read_again(files, reads):
    store = KeptPassages(files, Kept())
    for _ in range(3):
        store.fetch([0, 255, 256, 699, 700])
    assert reads == [("0", 0), ("0", 1), ("0", 2), ("2", 0)]


def test_what_was_used_least_recently_is_let_go():
    kept = Kept(10)
    for key in "abc":
        kept.keep(key, key.upper(), 3)
    assert kept.get("a") == "A"
    kept.keep("d", "D", 3)
    assert [kept.get(key) for key in "abcd"] == ["A", None, "C", "D"]
    kept.keep("a", "A", 5)  # anew, and larger
    assert (kept.get("c"), kept.get("d"), kept.bytes) == (None, "D", 8)
    kept.keep("e", "E", 11)
    assert (kept.get("e"), kept.bytes) == (None, 0)


def test_threads_that_ask_at_once_read_a_row_group_once(files, reads):
    store = KeptPassages(files, Kept())
    found, start = [], threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(store.fetch(range(0, 1000, 3)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(each == found[0] for each in found)
    assert len(reads) == 5


@pytest.mark.parametrize(
    ("passage", "reason"),
    [(-1, "before every chunk"), (1000, "beyond the 300 rows of .*2.parquet")],
)
def test_an_id_that_no_file_holds_is_an_error(passage, reason, files):
    with pytest.raises(ValueError, match=reason):
        KeptPassages(files, Kept()).fetch([0, passage])


def test_a_text_that_changed_in_memory_is_noticed(files):
    kept = Kept()
    store = KeptPassages(files, kept)
    store.fetch([5])
    rows = kept.get((files[0], 0))
    changed = pa.array(["another", *rows.column(2).to_pylist()[1:]])
    columns = [rows.column(0), rows.column(1), changed, rows.column(3)]
    kept.keep((files[0], 0), pa.record_batch(columns, names=rows.schema.names), 1)
    with pytest.raises(DamagedError, match=r"passage 0 has a text of SHA-256 .* remove it and run"):
        store.fetch([0])
    assert store.fetch([5]) == {5: ("passage 5", SUBSET)}


def test_a_page_that_changed_on_disk_is_noticed(files):
    column = pq.ParquetFile(files[0]).metadata.row_group(0).column(2)
    data = bytearray(files[0].read_bytes())
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    files[0].write_bytes(data)
    with pytest.raises(DamagedError, match=r"0.parquet: row group 0 of passages cannot be read"):
        KeptPassages(files, Kept()).fetch([1])


def test_nothing_large_is_imported_by_the_first_question(tmp_path):
    write_run(tmp_path, [[30]], np.random.default_rng(0).normal(size=(30, 4)))
    program = """
import sys
from pathlib import Path
import numpy as np
from tttnn.live.client import Servers
from tttnn.live.limits import Limits
from tttnn.live.server import Server
from tttnn.live.shard import OpenShard, Run
root = Path(sys.argv[1])
run = Run(root / "results/live")
shard = OpenShard(run, "00")
assert "pandas" not in sys.modules
server = Server("grpc://127.0.0.1:0", run.build(), [shard], Limits(grace_seconds=1.0))
(root / "servers").write_text(f"127.0.0.1:{server.port}")
with Servers(root / "servers") as servers:
    before = set(sys.modules)
    found = servers.search(np.zeros((1, 4), np.float32), 3)
    assert len(servers.texts(found.build, found.ids[0].tolist())) == 3
    new = {name.partition(".")[0] for name in set(sys.modules) - before}
server.stop()
assert "pandas" not in new, new
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={"PYTHONPATH": f"{ROOT / 'workflow'}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr

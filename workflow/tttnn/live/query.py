"""`tttnn query`: the passages nearest to a text, from this machine's files or from servers."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tttnn.digests import check_model
from tttnn.files import sha256
from tttnn.live import security
from tttnn.live.client import Found, Servers
from tttnn.live.registry import split_location
from tttnn.live.shard import OpenShard, Run, number_of
from tttnn.retrieval.search import merged

Rows = list[dict[str, Any]]


def _text(text: str | None, file: Path | None) -> str:
    if (text is None) == (file is None):
        raise ValueError("give the text, or --file with it (--file - is the standard input)")
    if file is not None:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{file} is not UTF-8 ({error}): convert it first") from None
    assert text is not None
    if not text.strip():
        raise ValueError("the text is empty")
    return text


class Embedder:
    """A run's embedder, loaded once."""

    def __init__(self, run: Run) -> None:
        # torch, which servers do without
        from tttnn.models.folder import choose_window, load_encoder
        from tttnn.models.representation import representation_of

        if not run.embedder.is_dir():
            raise ValueError(f"{run.embedder} is missing: run the workflow to its embeddings first")
        check_model(run.embedder)
        self._folder, self._spec = run.embedder, run.config.embed
        self._encoder, self._tokenizer = load_encoder(run.embedder)
        choose_window(self._encoder, self._spec.max_tokens, "embed.max_tokens", self._tokenizer)
        self._representation = representation_of(run.embedder)

    def vector(self, text: str) -> np.ndarray:
        """A text's vector (1, d), as the run's embedder gives it and the run stores it."""
        from tttnn.retrieval.embed import embed_texts

        vector = embed_texts(
            self._encoder, self._tokenizer, [text], self._spec, self._representation
        ).astype(self._spec.dtype)
        if not np.isfinite(vector).all():
            raise ValueError(f"the text has an embedding that is not finite: check {self._folder}")
        return vector.astype(np.float32)


class Finder:
    """A run's embedder and shards, opened once for any number of texts."""

    def __init__(self, run: Run) -> None:
        self._embedder = Embedder(run)
        self._shards = {int(name): OpenShard(run, name) for name in run.build().shards}

    def neighbors(self, text: str, k: int) -> Rows:
        """The `k` passages nearest to a text, from the run's own files: rows as `query` prints."""
        if k < 1:
            raise ValueError(f"k is {k}: it must be 1 or more")
        vector = self._embedder.vector(text)
        distances, ids = merged([shard.search(vector, k) for shard in self._shards.values()], k)
        found = [int(passage) for passage in ids[0] if passage >= 0]
        texts: dict[int, tuple[str, str | None]] = {}
        for number, shard in self._shards.items():
            if members := [passage for passage in found if number_of(passage) == number]:
                texts |= shard.texts(members)
        return _rows(found, distances[0], texts)


def _rows(ids: list[int], distances: np.ndarray, texts: dict[int, tuple[str, str | None]]) -> Rows:
    return [
        {
            "rank": rank,
            "passage_id": passage,
            "distance": float(distances[rank]),
            "subset": texts.get(passage, (None, None))[1],
            "text": texts.get(passage, (None, None))[0],
        }
        for rank, passage in enumerate(ids)
    ]


def _there(
    run: Run, text: str, k: int, source: Path, allow_partial: bool, **options: Any
) -> tuple[Rows, Found]:
    """From servers."""
    with Servers(source, allow_partial=allow_partial, **options) as servers:
        build = servers.build()
        mine = sha256(run.embedder / "manifest.json")
        if (build.run, build.embedder) != (run.config.run, mine) or build.index != run.index:
            raise ValueError(
                f"the servers hold index {build.index} of run {build.run} (embedder "
                f"{build.embedder[:12]}), asked is {run.index} of {run.config.run} ({mine[:12]}): "
                "give that --run and --index"
            )
        found = servers.search(Embedder(run).vector(text), k)
        ids = [int(passage) for passage in found.ids[0] if passage >= 0]
        return _rows(ids, found.distances[0], servers.texts(found.build, ids)), found


def table(rows: Rows, width: int) -> list[str]:
    """For people: a line each, the text shortened to what is left of the line."""
    if not rows:
        return ["nothing was found"]
    subsets = max(6, *(len(str(row["subset"])) for row in rows))
    wide = max(10, *(len(str(row["passage_id"])) for row in rows))
    lines = [f"rank  {'passage_id':>{wide}}  {'distance^2':>10}  {'subset':<{subsets}}  text"]
    for row in rows:
        head = (
            f"{row['rank']:>4}  {row['passage_id']:>{wide}}  {row['distance']:>10.4g}  "
            f"{row['subset'] or '-'!s:<{subsets}}  "
        )
        text = "(not to be had)" if row["text"] is None else " ".join(row["text"].split())
        printable = "".join(each if each.isprintable() else "?" for each in text)
        room = max(20, width - len(head))
        lines.append(head + (printable if len(printable) <= room else printable[: room - 1] + "…"))
    return lines


def query(
    text: str | None = None,
    /,
    *,
    run: Path,
    k: int = 20,
    index: str | None = None,
    file: Path | None = None,
    json: bool = False,
    servers: Path | None = None,
    allow_partial: bool = False,
    deadline: float = 10.0,
    token_file: Path | None = None,
    tls_ca: Path | None = None,
    insecure: bool = False,
) -> None:
    """Find the passages of a run nearest to a text, by the run's own embedder and index.

    TEXT           the text; or give --file
    --file         a file with the text; - is the standard input
    -k             how many
    --run          the run: its name in this folder, or the path of its results/NAME
    --index        the run's index; without: its first
    --json         an object a line, with the whole text; a line for people is shortened
    --servers      ask servers (tttnn serve) instead of this machine's files: a file of HOST:PORT
                   lines, or the folder in which they are registered
    --allow-partial  answer with the shards that can be had, and say which are missing
    --deadline     seconds, for all that servers are asked
    --token-file   the servers' token; without: TTTNN_TOKEN in the environment
    --tls-ca       certificates, PEM, of whom to trust; the connection is TLS then
    --insecure     send token and texts beyond this machine without TLS
    """
    wanted = _text(text, file)
    if k < 1:
        raise ValueError(f"-k is {k}: it must be 1 or more")
    if not deadline > 0:
        raise ValueError(f"--deadline is {deadline}: it must be more than 0 seconds")
    opened = Run(run, index)
    found = None
    if servers is None:
        rows = Finder(opened).neighbors(wanted, k)
    else:
        token = security.read_token(token_file)
        roots = tls_ca.read_bytes() if tls_ca else None

        def check(location: str) -> None:
            scheme, host, _ = split_location(location, servers)
            security.check_reach(host, token, has_tls=scheme == "grpc+tls", insecure=insecure)

        rows, found = _there(
            opened,
            wanted,
            k,
            servers,
            allow_partial,
            token=token,
            roots=roots,
            deadline=deadline,
            check=check,
        )
    _print(rows, found, json)


def _print(rows: Rows, found: Found | None, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
    else:
        print("\n".join(table(rows, shutil.get_terminal_size((120, 24)).columns)))
    if found is not None:
        print(f"index {found.build.index}, build {found.build.digest}", file=sys.stderr)
        if found.missing:
            print(
                f"warning: without shards {', '.join(found.missing)}: {'; '.join(found.reasons)}",
                file=sys.stderr,
            )

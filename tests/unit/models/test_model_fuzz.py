"""Model folders damaged at random: an error in one line, or a model that can be used.

About twenty seconds; TTTNN_FUZZ_SECONDS sets another time, and TTTNN_FUZZ_SEED another start.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

from families import save_decoder, save_masked
from tttnn.methods.likelihood import log_likelihood, prefix_token, rolling_windows
from tttnn.models.folder import ModelError, choose_window, load_causal, load_encoder
from tttnn.models.tokens import tokens
from tttnn.retrieval.embed import embed_texts
from tttnn.sections.embed import Embed

SECONDS = float(os.environ.get("TTTNN_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("TTTNN_FUZZ_SEED", "0"))
MEMORY = 2**30  # bytes that one input may take beside what is held already
LONGEST = 20  # seconds for one input
TEXT = "A text, äöü, of more than one window.\n"
NUMBERS = [-1, 0, 1, 2, 3, 5, 63, 65, 10**4, 10**6, 10**9, 10**18, 10**30, -(10**9)]
VALUES = [
    *(None, True, False, *NUMBERS, 0.5, 1e-30, 1e30, float("nan"), float("inf")),
    *("", "text", "\ud800", "../x", "a\n\0", [], [1], [[]], {}, {"a": 1}),
    {"type": "yarn", "rope_type": "yarn", "factor": "x"},
]


class TooLong(BaseException):
    """An input took more than `LONGEST` seconds."""


@contextmanager
def limits() -> Iterator[None]:
    """Within, memory and time are bounded."""

    def stop(*_: object) -> None:
        raise TooLong

    lines = Path("/proc/self/status").read_text().splitlines()
    held = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData"))
    before = resource.getrlimit(resource.RLIMIT_DATA)
    handler = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST)
    resource.setrlimit(resource.RLIMIT_DATA, (held + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths to all values within a JSON value; of long lists and objects, the first ones."""
    found = [path] if path else []
    if isinstance(value, dict):
        children = list(value.items())[:40]
    else:
        children = list(enumerate(value))[:8] if isinstance(value, list) else []
    for key, child in children:
        found += places(child, (*path, key))
    return found


def mutate_json(text: str, chance: random.Random) -> str:
    value = json.loads(text)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        path = chance.choice(places(value) or [()])
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        if not path:
            continue
        action = chance.random()
        if action < 0.2:
            del parent[path[-1]]
        elif action < 0.3 and isinstance(parent, dict):
            parent[str(path[-1]) + "s"] = parent.pop(path[-1])
        elif action < 0.45:
            other = chance.choice(places(value))
            taken = value
            for key in other:
                taken = taken[key]
            parent[path[-1]] = json.loads(json.dumps(taken))
        else:
            parent[path[-1]] = chance.choice(VALUES)
    return json.dumps(value)


def mutate_bytes(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 8])):
        place = chance.randrange(len(changed) + 1)
        action = chance.random()
        if action < 0.5 and place < len(changed):
            changed[place] ^= 1 << chance.randrange(8)
        elif action < 0.7:
            changed[place:place] = chance.randbytes(chance.choice([1, 2, 8]))
        elif action < 0.9:
            del changed[place : place + chance.choice([1, 8, 1000])]
        else:
            del changed[place:]
    return bytes(changed)


def mutate(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    if path.suffix == ".safetensors":  # its header; weights are numbers, any of which may be right
        length = int.from_bytes(content[:8], "little")
        header, rest = content[8 : 8 + length], content[8 + length :]
        action = chance.random()
        if action < 0.6:
            header = mutate_json(header.decode(), chance).encode("utf-8", "surrogatepass")
            length = len(header)
        elif action < 0.8:
            header = mutate_bytes(header, chance)
        elif action < 0.9:
            length = chance.choice([0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1])
        else:
            rest = rest[: chance.randrange(len(rest))]
        path.write_bytes(length.to_bytes(8, "little") + header + rest)
    elif chance.random() < 0.75:
        path.write_text(mutate_json(content.decode(), chance))
    else:
        path.write_bytes(mutate_bytes(content, chance))


def use(folder: Path, causal: bool) -> None:
    """What the workflow does with a model: finite numbers, or `ModelError`."""
    if causal:
        model, tokenizer = load_causal(folder)
        ids = tokens(tokenizer, TEXT)
        windows = rolling_windows(ids, prefix_token(tokenizer), choose_window(model, 16, "window"))
        if windows:
            assert np.isfinite(log_likelihood(model, windows))
    else:
        model, tokenizer = load_encoder(folder)
        longest = choose_window(model, 16, "max_tokens", tokenizer)
        texts = [TEXT, "short"]
        vectors = embed_texts(model, tokenizer, texts, Embed(max_tokens=longest))
        assert np.isfinite(vectors).all()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, bool]]:
    """Model folders, and is each a causal one?"""
    root = tmp_path_factory.mktemp("models")
    causal = [save_decoder(root / kind, kind) for kind in ("gpt2", "llama", "gptj", "mamba", "opt")]
    parts = save_decoder(root / "parts", "gpt2")
    (parts / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(root / "gpt2").save_pretrained(
        parts, max_shard_size="10KB"
    )
    encoders = [save_masked(root / kind, kind) for kind in ("bert", "xlm-roberta", "deberta")]
    return [(folder, True) for folder in [*causal, parts]] + [(each, False) for each in encoders]


def test_a_damaged_model_is_refused_in_one_line_or_usable(
    folders: list[tuple[Path, bool]], tmp_path: Path
) -> None:
    for folder, causal in folders:
        use(folder, causal)
    end = time.monotonic() + SECONDS
    counts = {"refused": 0, "used": 0}
    number = SEED * 10**6
    faults: list[str] = []
    while time.monotonic() < end:
        number += 1
        chance = random.Random(number)
        source, causal = chance.choice(folders)
        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(source, folder)
        names = sorted(path.name for path in folder.iterdir() if path.name != "manifest.json")
        name = chance.choice([*names, "config.json", "tokenizer.json"])
        mutate(folder / name, chance)
        try:
            with limits(), warnings.catch_warnings(action="ignore"):
                use(folder, causal)
            counts["used"] += 1
        except ModelError as error:
            counts["refused"] += 1
            if "\n" in str(error) or len(str(error)) > 2000:
                faults.append(f"{number} {source.name}/{name}: not one line: {error!r}")
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            faults.append(f"{number} {source.name}/{name}: {type(error).__name__}: {error}"[:300])
    print(counts, *faults, sep="\n")
    assert faults == []
    assert min(counts.values()) > 0

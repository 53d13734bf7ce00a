"""Vectors equal a plain loop's, whatever the batches."""

from __future__ import annotations

import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tokenizers.processors import TemplateProcessing
from transformers import AutoModel, AutoTokenizer

from shards import write_passages, write_queries
from tiny import save_encoder, write_manifest
from tttnn.digests import read_record
from tttnn.environment import environment
from tttnn.files import sha256
from tttnn.models.folder import load_encoder
from tttnn.retrieval.embed import embed_chunk as embed_chunk_with_manifest
from tttnn.retrieval.embed import embed_queries, embed_texts
from tttnn.sections.embed import Embed
from tttnn.tables import table_digest

SPEC = Embed(max_tokens=32)


def embed_chunk(spec, passages, folder, output):
    """Embed a chunk, with the manifest in its place."""
    embed_chunk_with_manifest(spec, passages, folder, output, output.with_suffix(".json"))


TEXTS = [
    "one",
    "a text that is cut, because it is longer than what the encoder is given of a text",
    "Grüße aus Köln \N{FROG FACE}",
    "x",
    "def f(x):\n    return x + 1\n",
    "thirty-two bytes exactly, I hope",
] * 3  # equal lengths and unequal ones


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_encoder(tmp_path_factory.mktemp("encoder"))


def plain(folder, texts, max_tokens=32):
    """The definition, a text at a time: the mean over the tokens of the last hidden state."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    vectors = []
    for text in texts:
        batch = tokenizer(text, truncation=True, max_length=max_tokens, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None]
        vectors.append(((hidden * mask).sum(1) / mask.sum(1))[0].numpy())
    return np.stack(vectors)


@pytest.mark.parametrize("batch_tokens", [1, 70, 16384])
def test_a_batch_gives_what_single_texts_give_in_their_order(batch_tokens, folder):
    spec = Embed(max_tokens=32, batch_tokens=batch_tokens)
    vectors = embed_texts(*load_encoder(folder), TEXTS, spec)
    assert vectors.shape == (len(TEXTS), 32)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, plain(folder, TEXTS), atol=1e-5)


def test_short_texts_are_not_padded_to_long_ones_however_few_there_are(folder):
    model, tokenizer = load_encoder(folder)
    widths = []
    hook = model.register_forward_pre_hook(
        lambda _, __, given: widths.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    texts = ["x" * size for size in (20, 3, 19, 20, 18, 17, 3)]
    vectors = embed_texts(model, tokenizer, texts, Embed(max_tokens=32))
    hook.remove()
    assert widths[-3:] == [(4, 20), (1, 17), (2, 3)]  # a tenth of 20 may be padding
    np.testing.assert_allclose(vectors, plain(folder, texts), atol=1e-5)


def test_texts_are_told_apart(folder):
    """The tolerance above is far below what distinguishes texts."""
    vectors = plain(folder, TEXTS[:6])
    distances = np.abs(vectors[:, None] - vectors[None]).max(-1) + np.eye(6)
    assert distances.min() > 1e-2


def test_a_text_is_its_first_tokens(folder):
    network = load_encoder(folder)
    spec = Embed(max_tokens=8)
    long, short, other = embed_texts(*network, ["12345678 and so on", "12345678", "1234567"], spec)
    np.testing.assert_allclose(long, short, atol=1e-6)
    assert np.abs(short - other).max() > 1e-3


def test_special_tokens_count_in_length_and_mean(tmp_path):
    """As in the paper's code: a tokenizer that adds tokens has so many fewer for the text."""
    folder = save_encoder(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="a $A z", special_tokens=[(c, tokenizer.convert_tokens_to_ids(c)) for c in "az"]
    )
    tokenizer.save_pretrained(folder)
    vectors = embed_texts(*load_encoder(folder), ["12345678"], Embed(max_tokens=6))
    bare = save_encoder(tmp_path / "bare")
    np.testing.assert_allclose(vectors, plain(bare, ["a1234z"]), atol=1e-5)


def test_bfloat16_is_close(folder):
    vectors = embed_texts(*load_encoder(folder), TEXTS, Embed(max_tokens=32, precision="bfloat16"))
    exact = plain(folder, TEXTS)
    assert vectors.dtype == np.float32
    assert 0 < np.abs(vectors - exact).max() < 0.05
    cosines = (vectors * exact).sum(1) / np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(cosines / np.linalg.norm(exact, axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_file_has_a_row_for_each_passage(dtype, folder, tmp_path):
    passages = write_passages(tmp_path / "0.parquet", list(range(1500)), TEXTS * 83 + TEXTS[:6])
    output = tmp_path / "0.npy"
    embed_chunk(Embed(max_tokens=32, dtype=dtype), passages, folder, output)
    vectors = np.load(output, mmap_mode="r", allow_pickle=False)
    assert vectors.shape == (1500, 32)
    assert vectors.dtype == dtype
    exact = plain(folder, TEXTS[:6])
    atol = 1e-5 if dtype == "float32" else 2e-3
    for first in range(0, 1500, 6):
        np.testing.assert_allclose(vectors[first : first + 6], exact, atol=atol)


def test_groups_that_are_sorted_apart_stay_in_order(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("tttnn.retrieval.embed.SORTED_AT_ONCE", 4)
    passages = write_passages(tmp_path / "0.parquet", list(range(18)), TEXTS)
    embed_chunk(SPEC, passages, folder, tmp_path / "0.npy")
    np.testing.assert_allclose(np.load(tmp_path / "0.npy"), plain(folder, TEXTS), atol=1e-5)


def test_queries_of_all_files_in_one(folder, tmp_path):
    files = [
        write_queries(tmp_path / f"{number}.parquet", ids, texts)
        for number, (ids, texts) in enumerate(
            [([4, 2], TEXTS[:2]), ([], []), ([1, 3, 9, 7], TEXTS[2:6])]
        )
    ]
    embed_queries(SPEC, files, folder, tmp_path / "queries.safetensors")
    tensors = load_file(tmp_path / "queries.safetensors")
    assert tensors["query_id"].tolist() == [4, 2, 1, 3, 9, 7]
    np.testing.assert_allclose(tensors["vectors"], plain(folder, TEXTS[:6]), atol=1e-5)
    assert not list(tmp_path.glob(".*"))


def test_no_texts_give_no_rows(folder, tmp_path):
    embed_chunk(SPEC, write_passages(tmp_path / "0.parquet", [], []), folder, tmp_path / "0.npy")
    assert np.load(tmp_path / "0.npy", mmap_mode="r", allow_pickle=False).shape == (0, 32)


def test_a_vector_that_is_not_finite_names_its_passage(folder, tmp_path):
    """The embedding of the byte `#` is broken, and passage 12 is the only one that has it."""
    model, tokenizer = load_encoder(folder)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[tokenizer.convert_tokens_to_ids("#")] = torch.nan
    model.save_pretrained(tmp_path / "broken")
    tokenizer.save_pretrained(tmp_path / "broken")
    write_manifest(tmp_path / "broken")
    passages = write_passages(tmp_path / "0.parquet", [11, 12, 13], ["long enough", "# a", "b"])
    with pytest.raises(ValueError, match=r"0\.parquet: passage_id 12 has an embedding that is not"):
        embed_chunk(SPEC, passages, tmp_path / "broken", tmp_path / "0.npy")
    assert not list(tmp_path.glob("*.npy"))


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_vector_too_large_for_float16_is_an_error(folder, tmp_path):
    model, tokenizer = load_encoder(folder)
    with torch.no_grad():
        model.encoder.layer[-1].output.LayerNorm.weight *= 1e6
    model.save_pretrained(tmp_path / "large")
    tokenizer.save_pretrained(tmp_path / "large")
    write_manifest(tmp_path / "large")
    passages = write_passages(tmp_path / "0.parquet", [11], ["text"])
    embed_chunk(SPEC, passages, tmp_path / "large", tmp_path / "0.npy")
    half = Embed(max_tokens=32, dtype="float16")
    with pytest.raises(ValueError, match="passage_id 11"):
        embed_chunk(half, passages, tmp_path / "large", tmp_path / "0.npy")


def test_an_embedder_with_fewer_positions_than_max_tokens_is_an_error(folder, tmp_path):
    passages = write_passages(tmp_path / "0.parquet", [1], ["text"])
    embed_chunk(Embed(max_tokens=64), passages, folder, tmp_path / "0.npy")
    with pytest.raises(ValueError, match=r"max_tokens is 65 tokens, but .* has positions for 64"):
        embed_chunk(Embed(max_tokens=65), passages, folder, tmp_path / "0.npy")


# --- told to end, or killed ------------------------------------------------------------------


@pytest.fixture
def chunk(tmp_path, monkeypatch):
    """A chunk of 18 passages, which are embedded four at a time."""
    monkeypatch.setattr("tttnn.retrieval.embed.SORTED_AT_ONCE", 4)
    return write_passages(tmp_path / "0.parquet", list(range(18)), TEXTS)


def embedding(event, at: int):
    """`embed_texts`, with something that happens during its call number `at`; and its calls."""
    calls = []

    def embed(model, tokenizer, texts, spec, how):
        calls.append(len(texts))
        if len(calls) == at:
            event()
        return embed_texts(model, tokenizer, texts, spec, how)

    return embed, calls


def fall_dead():
    raise KeyboardInterrupt


@pytest.fixture
def stopped(chunk, folder, tmp_path, monkeypatch, capsys):
    """What a job left that was told to end during its third group, of five."""
    embed, _ = embedding(lambda: os.kill(os.getpid(), signal.SIGUSR1), 3)
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as left:
        patch.setattr("tttnn.retrieval.embed.embed_texts", embed)
        embed_chunk(SPEC, chunk, folder, tmp_path / "0.npy")
    assert left.value.code == 75
    assert "saved 12 of 18 texts, going on at the next attempt" in capsys.readouterr().err
    assert not (tmp_path / "0.npy").exists()
    assert json.loads((tmp_path / ".0.partial.json").read_text())["done"] == 12  # status reads it
    return chunk


def go_on(spec, chunk, folder, output, monkeypatch) -> list[int]:
    """Embed; the sizes of the groups that were."""
    embed, calls = embedding(lambda: None, 0)
    with monkeypatch.context() as patch:
        patch.setattr("tttnn.retrieval.embed.embed_texts", embed)
        embed_chunk(spec, chunk, folder, output)
    return calls


def test_a_job_told_to_end_saves_and_goes_on(stopped, folder, tmp_path, monkeypatch, capsys):
    assert go_on(SPEC, stopped, folder, tmp_path / "0.npy", monkeypatch) == [4, 2]
    assert "going on after 12 of 18" in capsys.readouterr().err
    embed_chunk(SPEC, stopped, folder, tmp_path / "whole.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "0.npy"), np.load(tmp_path / "whole.npy"))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "0.json",
        "0.npy",
        "0.parquet",
        "whole.json",
        "whole.npy",
    ]


def test_a_killed_job_goes_on_after_what_was_saved_last(chunk, folder, tmp_path, monkeypatch):
    embed, _ = embedding(fall_dead, 3)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tttnn.retrieval.embed.embed_texts", embed)
        patch.setattr("tttnn.retrieval.embed.SAVE_SECONDS", 0)
        embed_chunk(SPEC, chunk, folder, tmp_path / "0.npy")
    assert go_on(SPEC, chunk, folder, tmp_path / "0.npy", monkeypatch) == [4, 4, 2]
    np.testing.assert_allclose(np.load(tmp_path / "0.npy"), plain(folder, TEXTS), atol=1e-5)


@pytest.mark.parametrize("what", ["empty note", "other note", "bit of a vector", "shape", "cut"])
def test_half_a_file_that_is_damaged_is_done_again_and_said(
    what, stopped, folder, tmp_path, monkeypatch, capsys
):
    partial, note = tmp_path / ".0.partial", tmp_path / ".0.partial.json"
    content = bytearray(partial.read_bytes())
    if what == "empty note":
        note.write_text("")
    elif what == "other note":
        note.write_text(note.read_text().replace('"done": 12', '"done": 13'))
    elif what == "bit of a vector":
        content[128 + 11 * 32 * 4 + 7] ^= 2
        partial.write_bytes(content)
    elif what == "shape":
        partial.write_bytes(content.replace(b"(18, 32)", b"(32, 18)"))
    else:
        partial.write_bytes(content[:-1])
    assert go_on(SPEC, stopped, folder, tmp_path / "0.npy", monkeypatch) == [4, 4, 4, 4, 2]
    said = capsys.readouterr().err
    assert "half-done work is thrown away and done again: " in said
    assert ".0.partial" in said
    np.testing.assert_allclose(np.load(tmp_path / "0.npy"), plain(folder, TEXTS), atol=1e-5)


def test_vectors_behind_what_was_saved_may_be_anything(stopped, folder, tmp_path, monkeypatch):
    partial = tmp_path / ".0.partial"
    content = bytearray(partial.read_bytes())
    content[128 + 12 * 32 * 4 + 7] ^= 2
    partial.write_bytes(content)
    assert go_on(SPEC, stopped, folder, tmp_path / "0.npy", monkeypatch) == [4, 2]


def test_the_manifest_says_what_the_vectors_are(folder, tmp_path, monkeypatch):
    passages = write_passages(tmp_path / "0.parquet", list(range(18)), TEXTS)
    half = Embed(max_tokens=32, dtype="float16", precision="bfloat16")
    embed_chunk(half, passages, folder, tmp_path / "0.npy")
    manifest = read_record(tmp_path / "0.json")
    (made_with,) = manifest.pop("environments")
    assert manifest == {
        "rows": 18,
        "dimension": 32,
        "dtype": "float16",
        "sha256": sha256(tmp_path / "0.npy"),
        "passages": table_digest(passages),
        "embedder": sha256(folder / "manifest.json"),
        "representation": {"pooling": "mean", "normalize": False, "prompt": ""},
    }
    assert made_with == environment("cpu", "bfloat16")


def test_what_was_gone_on_with_elsewhere_names_both(stopped, folder, tmp_path, monkeypatch):
    other = environment() | {"torch": "another"}
    monkeypatch.setattr("tttnn.retrieval.embed.environment", lambda *_: other)
    go_on(SPEC, stopped, folder, tmp_path / "0.npy", monkeypatch)
    assert read_record(tmp_path / "0.json")["environments"] == [environment(), other]


@pytest.mark.parametrize("what", ["settings", "model", "passages", "code"])
def test_half_a_file_of_something_else_is_not_gone_on_with(
    what, stopped, folder, tmp_path, monkeypatch
):
    spec, texts = SPEC, TEXTS
    if what == "settings":
        spec = Embed(max_tokens=8)
    elif what == "model":
        folder = shutil.copytree(folder, tmp_path / "model")
        (folder / "note").write_text("another model")
        write_manifest(folder)
    elif what == "passages":
        texts = TEXTS[::-1]
        write_passages(stopped, list(range(18)), texts)
    else:
        monkeypatch.setattr("tttnn.resume.fingerprint", lambda module: "edited")
    assert go_on(spec, stopped, folder, tmp_path / "0.npy", monkeypatch) == [4, 4, 4, 4, 2]
    exact = plain(folder, texts, spec.max_tokens)
    np.testing.assert_allclose(np.load(tmp_path / "0.npy"), exact, atol=1e-5)


@pytest.mark.parametrize("note", [b"", b"garbage", b"[]", b'{"done": 12}'])
def test_a_damaged_note_is_thrown_away(note, stopped, folder, tmp_path, monkeypatch):
    (tmp_path / ".0.partial.json").write_bytes(note)
    assert go_on(SPEC, stopped, folder, tmp_path / "0.npy", monkeypatch) == [4, 4, 4, 4, 2]
    np.testing.assert_allclose(np.load(tmp_path / "0.npy"), plain(folder, TEXTS), atol=1e-5)


@pytest.mark.parametrize("size", [0, 5, 300])
def test_half_done_vectors_that_are_cut_short_are_thrown_away(
    size, stopped, folder, tmp_path, monkeypatch, capsys
):
    partial = tmp_path / ".0.partial"
    partial.write_bytes(partial.read_bytes()[:size])
    assert go_on(SPEC, stopped, folder, tmp_path / "0.npy", monkeypatch) == [4, 4, 4, 4, 2]
    assert f"thrown away and done again: {partial}" in capsys.readouterr().err

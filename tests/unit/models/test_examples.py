"""Training examples: which texts, how they become tokens, and in which order they are fed."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zstandard
from transformers import PreTrainedTokenizerFast

from tttnn.corpus.documents import CorpusError
from tttnn.models.examples import (
    IGNORED,
    Examples,
    packed_blocks,
    pad_to,
    read_texts,
    train_tokenizer,
    truncated_texts,
)
from tttnn.models.kinds.train import TrainedModel

AWKWARD = "Ünï\tcode  \n\n 一二 \x00 🦜 <|endoftext >"


def spec(**values: object) -> TrainedModel:
    return TrainedModel.model_validate(
        {
            "kind": "train",
            "objective": "causal",
            "architecture": {"model_type": "gpt2"},
            "vocabulary": 300,
            "documents": 100,
            "steps": 1,
            "batch_size": 1,
            "sequence_tokens": 16,
            "learning_rate": 1e-3,
            **values,
        }
    )


def write_shard(path: Path, documents: list[tuple[str | None, str]]) -> Path:
    lines = []
    for subset, text in documents:
        meta = {} if subset is None else {"pile_set_name": subset}
        lines.append(json.dumps({"text": text, "meta": meta}))
    path.write_bytes(zstandard.ZstdCompressor().compress("\n".join(lines).encode()))
    return path


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    documents = {
        "00": [("ArXiv", "a0"), ("Github", "g0"), ("ArXiv", "a1"), ("ArXiv", "a2")],
        "01": [("Github", "g1")],
        "02": [("ArXiv", "a3"), ("Enron Emails", "e0"), ("ArXiv", "a4")],
    }
    return [write_shard(tmp_path / f"{name}.jsonl.zst", rows) for name, rows in documents.items()]


@pytest.mark.parametrize(
    ("chosen", "limit", "texts"),
    [
        ({}, 4, ["a0", "g1", "a3", "g0"]),
        ({}, 99, ["a0", "g1", "a3", "g0", "e0", "a1", "a4", "a2"]),
        ({"subsets": ["ArXiv"]}, 3, ["a0", "a3", "a1"]),
        ({"exclude": ["ArXiv"]}, 99, ["g0", "g1", "e0"]),
        ({"subsets": ["ArXiv", "Github"], "exclude": ["ArXiv"]}, 99, ["g0", "g1"]),
        ({"subsets": ["USPTO Backgrounds"]}, 99, []),
    ],
)
def test_texts_come_from_the_shards_in_turn(
    shards: list[Path], chosen: dict, limit: int, texts: list[str]
) -> None:
    assert list(read_texts(spec(**chosen), shards, limit)) == texts


def test_only_a_filter_needs_subsets(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "00.jsonl.zst", [(None, "unlabelled")])
    assert list(read_texts(spec(), [shard], 9)) == ["unlabelled"]
    with pytest.raises(CorpusError, match=r"00\.jsonl\.zst, line 1: no subset"):
        list(read_texts(spec(exclude=["ArXiv"]), [shard], 9))


WORDS = ["the", "retrieval", "of", "neighbours", "improves", "a", "model", "at", "test", "time"]
TEXTS = [" ".join(random.Random(i).choices(WORDS, k=5 + i)) for i in range(40)]


@pytest.fixture(scope="module", params=["causal", "masked"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    return train_tokenizer(spec(objective=request.param), TEXTS)


def test_the_tokenizer_has_the_size_asked_for_and_loses_nothing(tokenizer) -> None:
    assert len(tokenizer) == 300
    ids = tokenizer(AWKWARD, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == AWKWARD
    assert len(tokenizer("neighbours", add_special_tokens=False)["input_ids"]) < len("neighbours")


def test_the_tokenizer_stays_the_same_when_saved_and_trained_again(tokenizer, tmp_path) -> None:
    tokenizer.save_pretrained(tmp_path)
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert again(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
    assert again.model_max_length == 16
    assert again.special_tokens_map == tokenizer.special_tokens_map
    objective = "masked" if tokenizer.mask_token else "causal"
    twin = train_tokenizer(spec(objective=objective), TEXTS)
    assert twin.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_the_vocabulary_is_no_larger_than_the_text_can_fill() -> None:
    assert len(train_tokenizer(spec(vocabulary=5000), ["aab aab"])) < 270


def test_blocks_hold_each_text_after_an_end_of_text() -> None:
    tokenizer = train_tokenizer(spec(), TEXTS)
    blocks = packed_blocks(TEXTS, tokenizer, 16)
    assert (blocks.shape[1], blocks.dtype) == (16, np.int32)
    expected = "".join("<|endoftext|>" + text for text in TEXTS)
    packed = tokenizer.decode(blocks.reshape(-1))
    assert expected.startswith(packed)
    rest = tokenizer(expected[len(packed) :])["input_ids"]
    assert len(rest) < 16
    assert packed_blocks(["a"], tokenizer, 16).shape == (0, 16)
    assert packed_blocks([], tokenizer, 16).shape == (0, 16)


def test_texts_are_cut_at_the_length_between_their_special_tokens() -> None:
    tokenizer = train_tokenizer(spec(objective="masked"), TEXTS)
    rows = truncated_texts(["the", TEXTS[-1]], tokenizer, 16)
    assert tokenizer.decode(rows[0]) == "<s>the</s>"
    assert len(rows[1]) == 16
    assert tokenizer.convert_ids_to_tokens(rows[1][[0, -1]]) == ["<s>", "</s>"]
    assert TEXTS[-1].startswith(tokenizer.decode(rows[1][1:-1]))


def test_every_epoch_feeds_every_sequence_once_in_an_order_of_its_own() -> None:
    sequences = np.arange(10).repeat(3).reshape(10, 3)
    examples = Examples(sequences, 25, seed=1)
    fed = [int(examples[index]["input_ids"][0]) for index in range(len(examples))]
    assert len(fed) == 25
    assert sorted(fed[:10]) == sorted(fed[10:20]) == list(range(10))
    assert fed[:10] != fed[10:20]
    assert max(Counter(fed[20:]).values()) == 1
    # asked for one by one and backwards, as after going on from a checkpoint
    again = Examples(sequences, 25, seed=1)
    assert [int(again[index]["input_ids"][0]) for index in reversed(range(25))] == fed[::-1]
    other = Examples(sequences, 25, seed=2)
    assert [int(other[index]["input_ids"][0]) for index in range(25)] != fed


def test_masking_spares_special_tokens_and_labels_exactly_what_it_hides() -> None:
    mask = 4
    sequence = np.concatenate([[0], np.arange(100, 298), [2]])
    examples = Examples([sequence], 200, seed=3, masking=(0.15, mask))
    hidden = 0
    for index in range(len(examples)):
        example = examples[index]
        is_hidden = example["input_ids"] == mask
        assert not is_hidden[[0, -1]].any()
        assert (example["labels"][is_hidden] == sequence[is_hidden]).all()
        assert (example["labels"][~is_hidden] == IGNORED).all()
        assert (example["input_ids"][~is_hidden] == sequence[~is_hidden]).all()
        hidden += int(is_hidden.sum())
    trials = 200 * 198
    assert abs(hidden / trials - 0.15) < 4 * (0.15 * 0.85 / trials) ** 0.5
    again = Examples([sequence], 200, seed=3, masking=(0.15, mask))
    assert (again[17]["input_ids"] == examples[17]["input_ids"]).all()
    assert (examples[18]["input_ids"] != examples[17]["input_ids"]).any()


def test_even_the_shortest_text_has_a_label() -> None:
    examples = Examples([np.array([0, 9, 2])], 50, seed=0, masking=(0.01, 4))
    assert all(list(examples[index]["labels"]) == [IGNORED, 9, IGNORED] for index in range(50))


def test_padding_is_neither_attended_to_nor_learnt() -> None:
    no = IGNORED
    short = {"input_ids": np.array([0, 4, 2]), "labels": np.array([no, 7, no])}
    long = {"input_ids": np.array([0, 5, 6, 4, 2]), "labels": np.array([no, no, no, 8, no])}
    batch = pad_to(1)([short, long])
    assert batch["input_ids"].tolist() == [[0, 4, 2, 1, 1], [0, 5, 6, 4, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [[no, 7, no, no, no], [no, no, no, 8, no]]

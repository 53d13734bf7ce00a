"""Text as training examples: a tokenizer trained on it, packed blocks, masked texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tttnn.corpus.documents import read_documents
from tttnn.models.kinds.train import TrainedModel

END_OF_TEXT = "<|endoftext|>"  # GPT-2's
BOS, PAD, EOS, UNK, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"  # RoBERTa's, in its order
IGNORED = -100  # label of a position that no loss is taken at
TOKENIZED_AT_ONCE = 256  # texts


def read_texts(spec: TrainedModel, shards: list[Path], limit: int) -> Iterator[str]:
    """Up to `limit` texts of the chosen subsets, one from each shard in turn."""

    def texts_of(path: Path) -> Iterator[str]:
        chosen = None if spec.subsets is None else set(spec.subsets)
        filtered = chosen is not None or bool(spec.exclude)
        for document in read_documents(path, needs_subset=filtered):
            subset = document.pile_set_name
            if (chosen is None or subset in chosen) and subset not in spec.exclude:
                yield document.text

    def in_turn() -> Iterator[str]:
        streams = [texts_of(path) for path in shards]
        while streams:
            for stream in list(streams):
                text = next(stream, None)
                if text is None:
                    streams.remove(stream)
                else:
                    yield text

    return islice(in_turn(), limit)


def train_tokenizer(spec: TrainedModel, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer: GPT-2's kind for `causal`, RoBERTa's for `masked`.

    It covers all 256 bytes, so that no text is out of its vocabulary. Has `spec.vocabulary` tokens,
    or fewer where the texts have not that many pairs to merge.
    """
    masked = spec.objective == "masked"
    special = [BOS, PAD, EOS, UNK, MASK] if masked else [END_OF_TEXT]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=spec.vocabulary,
            special_tokens=special,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    if masked:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A {EOS}",
            special_tokens=[(BOS, special.index(BOS)), (EOS, special.index(EOS))],
        )
        names = {"bos_token": BOS, "eos_token": EOS, "cls_token": BOS, "sep_token": EOS}
        names |= {"pad_token": PAD, "unk_token": UNK, "mask_token": MASK}
    else:
        names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=spec.sequence_tokens,
        clean_up_tokenization_spaces=False,
        **names,
    )


def _in_groups(texts: Iterable[str]) -> Iterator[list[str]]:
    texts = iter(texts)
    while group := list(islice(texts, TOKENIZED_AT_ONCE)):
        yield group


def packed_blocks(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, length: int
) -> np.ndarray:
    """Texts end to end, each after an end-of-text token: int32 of shape (blocks, `length`).

    The last tokens, too few for a block, are left out.
    """
    pieces = []
    for group in _in_groups(texts):
        for ids in tokenizer(group, add_special_tokens=False, verbose=False)["input_ids"]:
            pieces.append(np.array([tokenizer.eos_token_id, *ids], dtype=np.int32))
    tokens = np.concatenate(pieces) if pieces else np.empty(0, np.int32)
    blocks = len(tokens) // length
    return tokens[: blocks * length].reshape(blocks, length)


def truncated_texts(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, length: int
) -> list[np.ndarray]:
    """The first `length` tokens of each text, special tokens at both ends: int32."""
    return [
        np.array(ids, dtype=np.int32)
        for group in _in_groups(texts)
        for ids in tokenizer(group, truncation=True, max_length=length)["input_ids"]
    ]


class Examples(Dataset):
    """Sequences in random order, epoch after epoch, `length` in all.

    Which sequence an index stands for, and which of its tokens are masked, depends on the seed and
    the index alone: a job that goes on from a checkpoint is fed what it would have been fed.
    `masking` is (probability, id of the mask token), or None for causal language modelling.
    """

    def __init__(
        self,
        sequences: Sequence[np.ndarray],
        length: int,
        seed: int,
        masking: tuple[float, int] | None = None,
    ) -> None:
        self._sequences = sequences
        self._length = length
        self._seed = seed
        self._masking = masking
        self._order = lru_cache(maxsize=1)(self._order_of_epoch)

    def _order_of_epoch(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._sequences))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        epoch, place = divmod(index, len(self._sequences))
        ids = self._sequences[self._order(epoch)[place]].astype(np.int64)
        if self._masking is None:
            # Nothing predicts the first token. transformers shifts labels itself, but divides the
            # loss by the number of labels before the shift, so this one must not count.
            return {"input_ids": ids, "labels": np.concatenate([[IGNORED], ids[1:]])}
        probability, mask_token = self._masking
        generator = np.random.default_rng([self._seed, 1, index])
        masked = generator.random(len(ids)) < probability
        masked[[0, -1]] = False  # the special tokens
        if not masked.any():  # a short text; without a label the loss would be 0/0
            masked[generator.integers(1, len(ids) - 1)] = True
        # always the mask token, as the paper's code has it, not BERT's 80/10/10
        return {
            "input_ids": np.where(masked, mask_token, ids),
            "labels": np.where(masked, ids, IGNORED),
        }


def pad_to(pad_token: int) -> Callable[[list[dict[str, np.ndarray]]], dict[str, torch.Tensor]]:
    """A collator: tensors of shape (batch, longest), with an attention mask."""

    def collate(examples: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
        width = max(len(example["input_ids"]) for example in examples)
        fill = {"input_ids": pad_token, "labels": IGNORED, "attention_mask": 0}
        batch = {
            name: torch.full((len(examples), width), value, dtype=torch.int64)
            for name, value in fill.items()
        }
        for row, example in enumerate(examples):
            ids = torch.from_numpy(example["input_ids"])
            batch["input_ids"][row, : len(ids)] = ids
            batch["labels"][row, : len(ids)] = torch.from_numpy(example["labels"])
            batch["attention_mask"][row, : len(ids)] = 1
        return batch

    return collate

"""Train a small language model, or an embedder, on the corpus from random weights."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback
from transformers.utils.logging import disable_progress_bar

from tttnn.corpus.layout import check_shard, manifest_of
from tttnn.files import replacing, write_json
from tttnn.journal import read_note
from tttnn.models.examples import (
    IGNORED,
    Examples,
    packed_blocks,
    pad_to,
    read_texts,
    train_tokenizer,
    truncated_texts,
)
from tttnn.models.folder import choose_window, write_manifest
from tttnn.models.kinds.train import TrainedModel
from tttnn.models.model_files import ModelError
from tttnn.models.probes import check_causal, rows_of_positions
from tttnn.reading import one_line
from tttnn.resume import Stop
from tttnn.sections.base import nearest

VAL_SEQUENCES = 256
LOGS = 20  # times that the loss is logged in a training
COMPLETE = "complete"  # a file in a checkpoint that was written to its end
MADE_FROM = "made_from.json"


def _auto_class(spec: TrainedModel) -> type[AutoModelForCausalLM | AutoModelForMaskedLM]:
    return AutoModelForCausalLM if spec.objective == "causal" else AutoModelForMaskedLM


def _from_config(spec: TrainedModel, config: PreTrainedConfig) -> PreTrainedModel:
    try:
        return _auto_class(spec).from_config(config, trust_remote_code=False)
    except MemoryError:
        raise
    except Exception as error:  # whatever numbers that do not fit make a model's own code raise
        raise ModelError(f"architecture: {one_line(error)}") from error


def _model_config(spec: TrainedModel, tokenizer: PreTrainedTokenizerBase) -> PreTrainedConfig:
    """`spec.architecture` over transformers' defaults, fitted to tokenizer and sequence length.

    A table of positions that starts after the padding id gets as many rows more.
    """
    asked = dict(spec.architecture)
    model_type = asked.pop("model_type")
    fitted = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": spec.sequence_tokens,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    try:
        known = AutoConfig.for_model(model_type)
        for key in asked:
            if not hasattr(known, key):  # transformers would keep it as an attribute without use
                raise ValueError(f"{model_type} has no {key!r}.{nearest(key, known.to_dict())}")
        # n_positions is GPT-2's name for max_position_embeddings: what is asked for wins
        names = known.attribute_map
        fitted = {names.get(key, key): value for key, value in fitted.items()}
        overrides = {names.get(key, key): value for key, value in asked.items()}
        config = AutoConfig.for_model(model_type, **(fitted | overrides))
        with torch.device("meta"):
            rows = rows_of_positions(_from_config(spec, config))
        if rows is not None:
            name = names.get("max_position_embeddings", "max_position_embeddings")
            fitted[name] += spec.sequence_tokens - rows
            config = AutoConfig.for_model(model_type, **(fitted | overrides))
        return config
    except ModelError:
        raise
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ModelError(f"architecture: {one_line(error)}") from error


def _sequences(
    spec: TrainedModel, shards: list[Path], limit: int, tokenizer: PreTrainedTokenizerBase
) -> tuple[Any, int]:
    """Training sequences of the shards' texts, and the number of texts; raises `ModelError`."""
    count = 0

    def counted():
        nonlocal count
        for text in read_texts(spec, shards, limit):
            count += 1
            yield text

    build = packed_blocks if spec.objective == "causal" else truncated_texts
    sequences = build(counted(), tokenizer, spec.sequence_tokens)
    if not len(sequences):
        raise ModelError(
            f"{count} documents of {', '.join(map(str, shards))} pass the filter (subsets: "
            f"{spec.subsets or 'all'}, exclude: {spec.exclude}), which is not enough for one "
            f"sequence of {spec.sequence_tokens} tokens: widen the filter, or shorten the sequence"
        )
    return sequences, count


class _Watch(TrainerCallback):
    """Progress that is readable in a log file, a stop on divergence or when told to end, marks.

    The marks are on checkpoints that were written to their end, by every process of the training.
    """

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            desc="train",
            unit="step",
            mininterval=0.5 if sys.stderr.isatty() else 10,
            disable=not state.is_world_process_zero,
        )

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update()
        stops = bool(self.stop)
        if args.world_size > 1:  # all must stop after the same step
            flag = torch.tensor(int(stops), device=args.device)
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
            stops = bool(flag)
        if stops:
            control.should_save = control.should_training_stop = True

    def on_log(self, args, state, control, logs=None, **kwargs):
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(loss):
            raise ModelError(
                f"the loss is {loss} at step {state.global_step}: lower learning_rate, or raise "
                "warmup_steps"
            )
        self.bar.set_postfix(loss=f"{loss:.3f}", refresh=False)

    def on_save(self, args, state, control, **kwargs):
        if args.world_size > 1:
            torch.distributed.barrier()  # each process writes the state of its random numbers
        Path(args.output_dir, f"checkpoint-{state.global_step}", COMPLETE).touch()

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


def _masked_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any) -> torch.Tensor:
    """The mean over all masked tokens of a batch, whichever process has them.

    RoBERTa's own loss is the mean over those of its process, whatever Trainer tells it.
    """
    logits, labels = outputs.logits.flatten(0, 1), labels.flatten()
    return cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") / num_items_in_batch


@torch.inference_mode()
def _val_loss(
    spec: TrainedModel, model: PreTrainedModel, examples: Examples, collate: Callable
) -> float:
    """The mean over all predicted tokens, in nats; Trainer's depends on how they are batched."""
    model.eval()
    shift = int(spec.objective == "causal")  # a token is predicted at the place before it
    total, predicted = 0.0, 0
    for start in range(0, len(examples), spec.batch_size):
        stop = min(start + spec.batch_size, len(examples))
        batch = collate([examples[number] for number in range(start, stop)])
        batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
        labels = batch.pop("labels")[:, shift:].flatten()
        logits = model(**batch).logits[:, : -shift or None].float().flatten(0, 1)
        total += cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum").item()
        predicted += int((labels != IGNORED).sum())
    return total / predicted


def _prepare_checkpoints(folder: Path, made_from: dict[str, Any]) -> Path | None:
    """The last whole checkpoint in `folder`, made from the same spec and data.

    Checkpoints made from anything else are removed.
    """
    note = folder / MADE_FROM
    if folder.exists() and read_note(note) != made_from:
        print(f"{folder}: made from another spec or other data, starting anew", file=sys.stderr)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(note, made_from)
    whole = [mark.parent for mark in folder.glob(f"checkpoint-*/{COMPLETE}")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _arguments(spec: TrainedModel, checkpoints: Path) -> TrainingArguments:
    cuda = torch.cuda.is_available()
    processes = int(os.environ.get("WORLD_SIZE", 1))
    batch_size = spec.batch_size // processes
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=spec.steps,
        per_device_train_batch_size=batch_size,
        learning_rate=spec.learning_rate,
        warmup_steps=spec.warmup_steps,
        lr_scheduler_type="cosine",
        weight_decay=spec.weight_decay,
        optim="adamw_torch_fused",
        bf16=cuda,
        use_cpu=not cuda,
        ddp_backend=None if processes == 1 else "nccl" if cuda else "gloo",
        ddp_find_unused_parameters=False,
        seed=spec.seed,
        train_sampling_strategy="sequential",  # `Examples` has the order
        dataloader_num_workers=0,
        dataloader_pin_memory=cuda,
        remove_unused_columns=False,
        save_strategy="steps",
        save_steps=spec.save_steps,
        save_total_limit=2,  # one of them may be half written
        logging_steps=max(1, spec.steps // LOGS),
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="non_padding" if spec.objective == "masked" else "all",
        report_to="none",
        disable_tqdm=True,
    )
    # a second GPU is for another process; Trainer would use it here and double the batch
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def _train(spec: TrainedModel, train: list[Path], val: Path, output: Path) -> None:
    """One process of a training, which may be the only one."""
    tokenizer = train_tokenizer(spec, read_texts(spec, train, spec.documents))
    config = _model_config(spec, tokenizer)
    sequences, documents = _sequences(spec, train, spec.documents, tokenizer)
    val_sequences = _sequences(spec, [val], VAL_SEQUENCES, tokenizer)[0][:VAL_SEQUENCES]
    if documents < spec.documents:
        print(
            f"{output}: {documents} documents pass the filter, not the {spec.documents} asked for",
            file=sys.stderr,
        )

    digest = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode())
    for sequence in sequences:
        digest.update(sequence.tobytes())
    made_from = {
        "spec": spec.model_dump(mode="json", exclude={"adapt_learning_rate"}),
        "data": digest.hexdigest(),
    }
    checkpoints = output.with_name(f".{output.name}.training")
    arguments = _arguments(spec, checkpoints)
    with arguments.main_process_first():
        checkpoint = _prepare_checkpoints(checkpoints, made_from)

    masking: tuple[float, int] | None = None
    collator: Callable[[list[dict[str, Any]]], dict[str, Any]] = default_data_collator
    if spec.objective == "masked":
        masking = (spec.mask_probability, tokenizer.mask_token_id)
        collator = pad_to(tokenizer.pad_token_id)
    set_seed(spec.seed)
    model = _from_config(spec, config)
    choose_window(model, spec.sequence_tokens, "sequence_tokens")
    if spec.objective == "causal":
        check_causal(model.eval(), f"architecture: {config.model_type}", spec.sequence_tokens)
    stop = Stop()
    trainer = Trainer(
        model,
        arguments,
        data_collator=collator,
        train_dataset=Examples(sequences, spec.steps * spec.batch_size, spec.seed, masking),
        compute_loss_func=_masked_loss if spec.objective == "masked" else None,
        callbacks=[_Watch(stop)],
    )
    trainer.remove_callback(PrinterCallback)
    disable_progress_bar()  # of saving; `_Watch` has one for training
    if checkpoint:
        print(f"{output}: going on from {checkpoint.name}", file=sys.stderr)
    # Trainer's checkpoints hold the optimiser's state as torch.save writes it. They are scratch:
    # read back by this function only, with weights_only=True (so Trainer has it), which runs no
    # code, and removed below.
    with stop:
        if spec.steps:  # Trainer takes 0 for no limit
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.state.global_step < spec.steps:
        stop.leave(f"step {trainer.state.global_step} of {spec.steps}")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if not trainer.is_world_process_zero():
        return

    val_examples = Examples(val_sequences, len(val_sequences), spec.seed, masking)
    val_loss = _val_loss(spec, model, val_examples, collator)
    model.config.use_cache = True  # Trainer turned off what generating text wants
    with replacing(output, directory=True) as beside:
        model.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        write_json(
            beside / "training.json",
            {
                "steps": trainer.state.global_step,
                "documents": documents,
                "epochs": spec.steps * spec.batch_size / len(sequences),
                "tokens": trainer.state.num_input_tokens_seen,
                "parameters": model.num_parameters(),
                "train_loss": losses[-1] if losses else None,
                "val_loss": val_loss,
                "val_sequences": len(val_sequences),
            },
        )
        write_manifest(beside, {"kind": "train"}, causal=spec.objective == "causal")
    shutil.rmtree(checkpoints)
    print(
        f"{output}: {spec.steps} steps, loss {losses[-1] if losses else math.nan:.3f} in training, "
        f"{val_loss:.3f} on val (nats per token)",
        file=sys.stderr,
    )


def _check_shards(documents: list[Path]) -> None:
    """Compare shards with their manifests, which are beside them; raises `DamagedError`."""
    for path in documents:
        check_shard(path, manifest_of(path))


def train_model(spec: TrainedModel, train: list[Path], val: Path, output: Path) -> None:
    """Train a causal language model and its tokenizer on the train shards; writes a model folder.

    Documents are packed into blocks of `spec.sequence_tokens` tokens, each after an end-of-text
    token. AdamW, linear warm-up and cosine decay, gradients clipped at norm 1; float32, on a GPU
    with bfloat16 autocast. A killed job goes on from its last checkpoint, kept beside `output`; one
    that is told to end by a signal makes a checkpoint first.
    `training.json` has the losses, in nats per token: of the last twentieth of the steps, and of
    the first sequences of `val` under the same filter.

    Raises `ModelError` where no document passes the filter, the architecture is faulty, or the
    loss diverges; `CorpusError` on a faulty record; `DamagedError` where a shard is not what the
    manifest beside it says.
    """
    _check_shards([*train, val])
    _train(spec, train, val, output)


def train_embedder(
    spec: TrainedModel, train: list[Path], val: Path, output: Path, processes: int = 1
) -> None:
    """Train an embedder by masked language modelling (paper section 3), otherwise as `train_model`.

    An example is the start of a document, `spec.sequence_tokens` tokens at most; each token but
    the special ones is replaced by the mask token with `spec.mask_probability`. With more than one
    of `processes`, each has a GPU and its share of every batch, which stays `spec.batch_size`.
    """
    _check_shards([*train, val])
    if processes <= 1:
        _train(spec, train, val, output)
        return
    if spec.batch_size % processes:
        raise ModelError(
            f"batch_size {spec.batch_size} cannot be shared by {processes} processes: make it a "
            "multiple of the number of GPUs, or ask for fewer"
        )
    from tttnn.models.processes import run_processes

    run_processes(_train, processes, spec, train, val, output)

"""Train the expert of a cluster: low-rank adapters, on texts of its passages.

A training that is told to end saves all that it goes on from, as it does every minute; a job that
is started again goes on from there, and ends with the adapter of one that was never interrupted.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.corpus.passages import PassageStore, listed
from tttnn.digests import DamagedError, check_model
from tttnn.environment import distinct, environment
from tttnn.files import replacing, sha256, write_json
from tttnn.methods.experts.merging import ADAPTER
from tttnn.methods.likelihood import prefix_token
from tttnn.methods.ttt.precision import Weights, weights
from tttnn.methods.ttt.state import kept, restore
from tttnn.models.folder import choose_window, load_causal
from tttnn.models.tokens import tokens
from tttnn.resume import Stop, identity
from tttnn.retrieval.clusters import read_clusters
from tttnn.retrieval.tensors import load_tensors, save_tensors
from tttnn.sections.experts import Training

SAVE_SECONDS = 60.0
ENDS = 10  # of the steps, the first and last such share's mean loss is told


class _Trainee(NamedTuple):
    model: PreTrainedModel
    weights: Weights
    optimizer: torch.optim.Optimizer
    spec: Training


class _Progress(NamedTuple):
    """What was done so far: the loss of each step, in nats a token, seconds, and where."""

    losses: list[float]
    seconds: float
    environments: list[dict[str, str]]


def saved_training(output: Path) -> Path:
    """Where a half-done training is saved, beside its output."""
    return output.with_name(f".{output.name}.training.safetensors")


def windows_of(
    texts: list[str], tokenizer: PreTrainedTokenizerBase, spec: Training, window: int
) -> list[list[int]]:
    """Texts cut into windows that do not overlap, token ids, the first ones of each.

    None is of a single token, which has nothing to predict.
    """
    first = [prefix_token(tokenizer)] if spec.prefix else []
    cut = []
    for text in texts:
        ids = [*first, *tokens(tokenizer, text)]
        pieces = [ids[start : start + window] for start in range(0, len(ids), window)]
        cut += [piece for piece in pieces if len(piece) > 1][: spec.passage_windows]
    return cut


def batches(number: int, spec: Training, cluster: int) -> Iterator[list[int]]:
    """Numbers of the windows of each step: all of them once an epoch, in an order of its own."""
    for epoch in range(spec.epochs):
        order = np.random.default_rng([spec.seed, cluster, epoch]).permutation(number)
        for start in range(0, number, spec.batch_size):
            yield order[start : start + spec.batch_size].tolist()


def _step(trainee: _Trainee, batch: list[list[int]]) -> float:
    """A step along the mean of the windows' losses; what that was before it."""
    model, total = trainee.model, 0.0
    for piece in batch:  # one at a time: gradients add up, activations need not
        inputs = torch.tensor([piece], device=model.device)
        loss = model(input_ids=inputs, labels=inputs, use_cache=False).loss / len(batch)
        loss.backward()
        total += loss.item()
    trainee.weights.take_gradients()
    if trainee.spec.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(trainee.weights.kept, trainee.spec.clip_norm)
    trainee.optimizer.step()
    trainee.optimizer.zero_grad()
    trainee.weights.renew()
    return total


def _save(path: Path, trainee: _Trainee, progress: _Progress, made_from: str) -> None:
    state = trainee.weights.kept
    tensors = {n: t.cpu().numpy() for n, t in kept(state, state, trainee.optimizer).items()}
    save_tensors(path, tensors, {"made_from": made_from, **progress._asdict()})


def _saved(path: Path, trainee: _Trainee, made_from: str) -> _Progress:
    """Go on from what an earlier job saved of the same training; else begin."""
    nothing = _Progress([], 0.0, [])
    if not path.is_file():
        return nothing
    try:
        tensors, said = load_tensors(path)
    except DamagedError as error:
        print(f"{error}; the training is begun again", file=sys.stderr)
        return nothing
    if said.pop("made_from") != made_from:
        print(f"{path}: of another spec or other data, starting anew", file=sys.stderr)
        return nothing
    found = {name: torch.from_numpy(array) for name, array in tensors.items()}
    restore(found, trainee.weights.kept, trainee.weights.kept, trainee.optimizer)
    trainee.weights.renew()
    return _Progress(**said)


def _with_adapter(model: PreTrainedModel, spec: Training) -> tuple[Any, Any]:
    """`peft`'s model around this one, whose weights are frozen, and its configuration."""
    from peft import LoraConfig, get_peft_model  # two seconds

    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,  # type: ignore[arg-type]  # any number: it is divided by r, no more
        target_modules=spec.targets,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(spec.seed)
    with warnings.catch_warnings(category=UserWarning, action="ignore"):
        return get_peft_model(model, config), config  # says that GPT-2's weights are transposed


def _write(output: Path, adapted: Any, config: Any, told: dict[str, Any], source: Path) -> None:
    """The adapter as `peft` writes it, with what there is to say of its training."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    with replacing(output, directory=True) as beside:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        save_file(tensors, beside / ADAPTER, {"format": "pt"})
        config.inference_mode = True
        config.base_model_name_or_path = source.name
        if isinstance(config.target_modules, set):
            config.target_modules = sorted(config.target_modules)
        config.save_pretrained(beside)
        write_json(beside / "training.json", told)
        files = {path.name: sha256(path) for path in sorted(beside.iterdir())}
        write_json(
            beside / "manifest.json", {"model": sha256(source / "manifest.json"), "files": files}
        )


def _texts(clusters: Path, passages: Path, cluster: int) -> list[str]:
    drawn = read_clusters(clusters).drawn(cluster).tolist()
    found = PassageStore(listed(passages)).fetch(drawn)
    return [found[passage][0] for passage in drawn]


def train_expert(
    spec: Training, model: Path, clusters: Path, passages: Path, cluster: int, output: Path
) -> None:
    """Train a model's expert of one cluster: adapters beside its weights, which stay as they are.

    `passages` is the manifest of all. AdamW at a constant rate, a step for each `batch_size`
    windows, without dropout. `output` is a folder as `peft` writes adapters, with `training.json`
    (losses in nats a token, of the first and last tenth of the steps; seconds) and a manifest.

    Raises `ValueError` where the passages have nothing to train on, or the loss diverges.
    """
    check_model(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network, tokenizer = load_causal(model, device=device)
    window = choose_window(network, spec.window, "the experts' window")
    cut = windows_of(_texts(clusters, passages, cluster), tokenizer, spec, window)
    if not cut:
        raise ValueError(
            f"{clusters}: no passage of cluster {cluster} has two tokens: lower the experts' "
            "clusters, or raise their passages"
        )
    inputs = [model / "manifest.json", clusters, passages]
    made_from = identity([__name__], [spec.model_dump_json(), str(cluster)], inputs)
    adapted, config = _with_adapter(network, spec)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    held, give_back = weights(network, trained, spec.precision)
    optimizer = torch.optim.AdamW(
        held.kept,
        lr=spec.learning_rate,
        betas=spec.betas,
        eps=spec.epsilon,
        weight_decay=spec.weight_decay,
        fused=True,
    )
    trainee = _Trainee(network.eval(), held, optimizer, spec)
    beside = saved_training(output)
    beside.parent.mkdir(parents=True, exist_ok=True)
    progress = _saved(beside, trainee, made_from)
    progress = progress._replace(
        environments=distinct([*progress.environments, environment(device, spec.precision)])
    )
    progress = _train(trainee, cut, cluster, progress, beside, made_from)
    with torch.no_grad():
        for parameter, whole in zip(held.used, held.kept, strict=True):
            parameter.data = whole
    losses, share = progress.losses, math.ceil(len(progress.losses) / ENDS)
    told = {
        "steps": len(losses),
        "epochs": spec.epochs,
        "windows": len(cut),
        "tokens": spec.epochs * sum(map(len, cut)),
        "parameters": sum(parameter.numel() for parameter in held.kept),
        "first_loss": sum(losses[:share]) / share,
        "last_loss": sum(losses[-share:]) / share,
        "seconds": progress.seconds,
        "environments": progress.environments,
    }
    _write(output, adapted, config, told, model)
    give_back()
    beside.unlink(missing_ok=True)
    print(
        f"{output}: {len(losses)} steps, loss {told['first_loss']:.3f} at first, "
        f"{told['last_loss']:.3f} at last (nats per token), {progress.seconds:.0f} s",
        file=sys.stderr,
    )


def _train(
    trainee: _Trainee,
    cut: list[list[int]],
    cluster: int,
    progress: _Progress,
    beside: Path,
    made_from: str,
) -> _Progress:
    """All steps that are left."""
    todo = list(batches(len(cut), trainee.spec, cluster))
    losses, before = [*progress.losses], progress.seconds
    if losses:
        print(f"going on after {len(losses)} of {len(todo)} steps", file=sys.stderr)
    started = saved = time.monotonic()
    bar = tqdm(total=len(todo), initial=len(losses), unit="step", mininterval=5)
    with Stop() as stop, bar:
        for batch in todo[len(losses) :]:
            losses.append(_step(trainee, [cut[number] for number in batch]))
            if not math.isfinite(losses[-1]):
                raise ValueError(
                    f"the loss of cluster {cluster} is {losses[-1]} at step {len(losses)}: lower "
                    "the experts' learning_rate"
                )
            bar.update()
            now = time.monotonic()
            progress = progress._replace(losses=losses, seconds=before + now - started)
            if len(losses) < len(todo) and (stop or now - saved > SAVE_SECONDS):
                _save(beside, trainee, progress, made_from)
                saved = time.monotonic()
                if stop:
                    stop.leave(f"step {len(losses)} of {len(todo)}")
    return progress

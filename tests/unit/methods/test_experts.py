"""Experts are trained as a plain loop trains them, and merged as a sum of matrices."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch.func import functional_call

from shards import write_passages, write_queries, write_query_vectors
from tiny import save_causal, write_manifest
from tttnn.corpus.passages import list_passages
from tttnn.digests import DamagedError
from tttnn.files import sha256
from tttnn.methods.evaluate import ROWS
from tttnn.methods.experts import train as training
from tttnn.methods.experts.engine import Equipped, adapt
from tttnn.methods.experts.evaluate import ExpertsSpec, evaluate_experts
from tttnn.methods.experts.merging import Merged, merging_weights
from tttnn.methods.experts.settings import Merging
from tttnn.methods.experts.train import saved_training, train_expert
from tttnn.methods.likelihood import log_likelihood, rolling_windows
from tttnn.methods.measure import Query
from tttnn.methods.ttt import engine as ttt
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import load_causal
from tttnn.models.tokens import tokens
from tttnn.retrieval.gather import NEIGHBORS
from tttnn.retrieval.tensors import save_tensors
from tttnn.sections.experts import Training
from tttnn.tables import write_table

RANK, ALPHA, EXPERTS, D = 3, 6.0, 4, 8
WINDOW = 64
TEXTS = [f"passage {n} tells of {'this' * n} and of {'that ' * (9 - n)}" for n in range(8)]
SPEC = Training(rank=RANK, alpha=ALPHA, learning_rate=1e-2, window=16, batch_size=3, clip_norm=0.5)


# --- shares ----------------------------------------------------------------------------------


def test_shares_are_a_softmax_without_its_small_terms_renormalised():
    cosines = np.array([0.1, 0.9, 0.85, -0.3, 0.89])
    beta, tau = 0.3, 0.05
    kernel = [math.exp(-(1 - cosine) / beta**2) for cosine in cosines]
    shares = {n: value / sum(kernel) for n, value in enumerate(kernel)}
    above = {n: share for n, share in shares.items() if share > tau}
    assert set(above) == {1, 2, 4}
    expected = {n: share / sum(above.values()) for n, share in above.items()}
    found = merging_weights(cosines, beta, tau, most=50)
    assert [*found] == [1, 4, 2]
    assert found == pytest.approx(expected)
    two = merging_weights(cosines, beta, tau, most=2)
    assert two == pytest.approx({n: above[n] / (above[1] + above[4]) for n in (1, 4)})


def test_where_no_share_is_above_tau_nothing_is_merged():
    assert merging_weights(np.full(200, 0.5), 0.2, 0.01, most=50) == {}


def test_a_small_beta_leaves_the_nearest_alone():
    assert merging_weights(np.array([0.2, 0.3]), 1e-3, 0.01, most=50) == {1: 1.0}


# --- merging ---------------------------------------------------------------------------------


class Made(NamedTuple):
    """A model, and what experts of it and their clusters are on disk."""

    model: Path
    adapters: list[Path]
    clusters: Path
    vectors: Path
    centroids: np.ndarray
    queries: np.ndarray


def save_expert(model: Path, folder: Path, seed: int) -> Path:
    """An expert with random factors, written by peft."""
    network, _ = load_causal(model)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear")
    with warnings.catch_warnings(category=UserWarning, action="ignore"):
        adapted = get_peft_model(network, config)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    write_manifest(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["model"] = sha256(model / "manifest.json")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def made(request, tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp(request.param)
    model = save_causal(folder / "model", request.param)
    generator = np.random.default_rng(1)
    centroids = unit(generator.normal(size=(EXPERTS, D))).astype("f4")
    queries = (generator.normal(size=(3, D)) + centroids[:3]).astype("f4")
    arrays = {
        "centroids": centroids,
        "center": np.full(D, 0.1),
        "sizes": np.ones(EXPERTS, np.int64),
        "starts": np.arange(EXPERTS + 1),
        "passages": np.arange(EXPERTS),
    }
    save_tensors(folder / "clusters.safetensors", arrays, {"embedder": "some"})
    return Made(
        model,
        [save_expert(model, folder / f"experts/{n}", n) for n in range(EXPERTS)],
        folder / "clusters.safetensors",
        write_query_vectors(folder / "queries.safetensors", [11, 3, 7], queries),
        centroids,
        queries,
    )


def dense(made: Made, shares: dict[int, float]) -> dict[str, torch.Tensor]:
    """The weights that change: the model's own plus each share of up times down, one at a time."""
    network, _ = load_causal(made.model)
    weights = {name: p.detach().double() for name, p in network.named_parameters()}
    changed = {}
    for expert, share in shares.items():
        factors = load_file(made.adapters[expert] / "adapter_model.safetensors")
        for name in (name for name in factors if "lora_A" in name):
            down, up = factors[name].double(), factors[name.replace("lora_A", "lora_B")].double()
            layer = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            product = share * ALPHA / RANK * (up @ down)
            key = f"{layer}.weight"
            stands_transposed = "c_" in layer  # GPT-2's
            grown = product.T if stands_transposed else product
            changed[key] = changed.get(key, weights[key]) + grown
    return changed


def parameters(network) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def test_a_merge_is_a_sum_of_matrices_and_is_put_back_bit_for_bit(made):
    network, _ = load_causal(made.model)
    before = parameters(network)
    merged = Merged(network, made.adapters)
    merged.merge({3: 1.0})  # what was merged before leaves nothing
    shares = {2: 0.5, 0: 0.3, 3: 0.2}
    merged.merge(shares)
    after, expected = parameters(network), dense(made, shares)
    assert len(expected) >= 8
    for name in before:
        if name in expected:
            torch.testing.assert_close(after[name].double(), expected[name], rtol=0, atol=1e-6)
            assert not torch.equal(after[name], before[name])
        else:
            assert torch.equal(after[name], before[name])
    merged.put_back()
    assert all(torch.equal(parameters(network)[name], before[name]) for name in before)
    merged.merge({})
    assert all(torch.equal(parameters(network)[name], before[name]) for name in before)


def test_a_single_expert_is_what_peft_makes_of_it(made):
    network, tokenizer = load_causal(made.model)
    ids = torch.tensor([tokens(tokenizer, "some text to predict")])
    Merged(network, made.adapters).merge({1: 1.0})
    with torch.inference_mode():
        found = network(ids).logits
        with warnings.catch_warnings(category=UserWarning, action="ignore"):
            theirs = PeftModel.from_pretrained(load_causal(made.model)[0], made.adapters[1])
        torch.testing.assert_close(found, theirs(ids).logits, rtol=1e-4, atol=1e-4)


def test_an_expert_of_a_shared_layer_is_refused(made, tmp_path):
    network, _ = load_causal(made.model)
    folder = save_expert(made.model, tmp_path / "expert", 0)
    tensors = load_file(folder / "adapter_model.safetensors")
    name = next(name for name in tensors if "lora_A" in name).split(".lora_A")[0]
    network.get_submodule(name.removeprefix("base_model.model.")).weight = network.get_submodule(
        "lm_head"
    ).weight
    with pytest.raises(ValueError, match=r"share their weights.*leave it out"):
        Merged(network, [folder]).merge({0: 1.0})


# --- evaluation ------------------------------------------------------------------------------

QUERIES = [
    Query(name, f"document {name} says the same again " * 4, [f"{name} of {k} " * 9 for k in "ab"])
    for name in (11, 3, 7)
]


def equipped(made: Made, trained_by: Recipe | None = None, **values) -> Equipped:
    values = {"evaluate_at": [0, 1, 3], "num_neighbors": 3, "beta": 0.7, "tau": 0.05} | values
    return Equipped(
        kind="experts",
        experts="some",
        clusters_at=str(made.clusters),
        adapters_at=[str(path) for path in made.adapters],
        vectors_at=str(made.vectors),
        digests=[],
        trained_by=trained_by,
        **values,
    )


def expected_shares(made: Made, row: int, recipe: Merging, most: int) -> dict[int, float]:
    query = unit(made.queries[row].astype(float) - 0.1)
    return merging_weights(made.centroids @ query, recipe.beta, recipe.tau, most)


def with_weights(made: Made, shares: dict[int, float]):
    network, tokenizer = load_causal(made.model)
    with torch.no_grad():
        for name, value in dense(made, shares).items():
            network.get_parameter(name).copy_(value)
    return network, tokenizer


def test_rows_are_of_the_model_as_it_was_and_of_growing_merges(made):
    network, tokenizer = load_causal(made.model)
    before = parameters(network)
    recipe = equipped(made)
    found = list(adapt(network, tokenizer, QUERIES, recipe, WINDOW))
    assert all(torch.equal(parameters(network)[name], before[name]) for name in before)
    merges = set()
    for row, (query, adapted) in enumerate(zip(QUERIES, found, strict=True)):
        windows = rolling_windows(tokens(tokenizer, query.text), 0, WINDOW)
        assert [m.num_neighbors for m in adapted.measurements] == [0, 1, 3]
        base, *rest = (m.loglikelihood for m in adapted.measurements)
        assert base == log_likelihood(network, windows)
        for count, value in zip((1, 3), rest, strict=True):
            shares = expected_shares(made, row, recipe, count)
            merges.add(len(shares))
            expected = log_likelihood(with_weights(made, shares)[0], windows)
            assert value == pytest.approx(expected, rel=1e-5)
            assert value != base
        assert all(m.steps == m.train_tokens == 0 for m in adapted.measurements)
    assert merges >= {1, 3}


@pytest.mark.parametrize("lora", [None, {"rank": 2, "alpha": 4}])
def test_a_merge_is_what_training_on_neighbours_starts_from(made, lora):
    trained_by = Recipe(learning_rate=1e-3, lora=lora, num_neighbors=9, evaluate_at=[0, 9])
    recipe = equipped(made, trained_by, then="ttt", most=2, evaluate_at=[0, 1, 2], num_neighbors=2)
    network, tokenizer = load_causal(made.model)
    before = parameters(network)
    found = list(adapt(network, tokenizer, QUERIES[:2], recipe, WINDOW))
    assert all(torch.equal(parameters(network)[name], before[name]) for name in before)
    plain = trained_by.model_copy(update={"num_neighbors": 2, "evaluate_at": [0, 1, 2]})
    for row, adapted in enumerate(found):
        shares = expected_shares(made, row, recipe, 2)
        start, _ = with_weights(made, shares)
        (theirs,) = ttt.adapt(start, tokenizer, [QUERIES[row]], plain, WINDOW)
        windows = rolling_windows(tokens(tokenizer, QUERIES[row].text), 0, WINDOW)
        assert adapted.measurements[0].loglikelihood == log_likelihood(network, windows)
        for mine, other in zip(adapted.measurements[1:], theirs.measurements[1:], strict=True):
            assert (mine.num_neighbors, mine.steps) == (other.num_neighbors, other.steps)
            assert mine.loglikelihood == pytest.approx(other.loglikelihood, rel=1e-4)
            assert mine.train_seconds > 0
        assert len(adapted.measurements) == 3


def test_a_query_without_a_vector_is_named(made):
    network, tokenizer = load_causal(made.model)
    with pytest.raises(ValueError, match="query 5 has no vector"):
        list(adapt(network, tokenizer, [Query(5, "text", [])], equipped(made), WINDOW))


def test_vectors_of_another_embedder_are_refused(made, tmp_path):
    other = tmp_path / "queries.safetensors"
    tensors = {"query_id": np.array([11]), "vectors": made.queries[:1]}
    save_tensors(other, tensors, {"embedder": "another"})
    network, tokenizer = load_causal(made.model)
    recipe = equipped(made).model_copy(update={"vectors_at": str(other)})
    with pytest.raises(ValueError, match="another embedder"):
        list(adapt(network, tokenizer, QUERIES, recipe, WINDOW))


def write_neighbors(path: Path) -> Path:
    rows = [
        {
            "query_id": query.id,
            "rank": rank,
            "distance": float(rank),
            "exact": False,
            "overlap": 0.25,
            "jaccard": 0.125,
            "text": text,
        }
        for query in QUERIES
        for rank, text in enumerate(query.neighbors)
    ]
    write_table(path, pa.Table.from_pylist(rows, schema=NEIGHBORS))
    return path


def stage(made: Made, folder: Path, part: int = 0, parts: int = 1, **values) -> list[dict]:
    own = {"experts": "some", "evaluate_at": [0, 2], "num_neighbors": 2, "beta": 0.7}
    recipe = Merging(kind="experts", **own | values)
    ids = [query.id for query in QUERIES]
    trained_by = Recipe(learning_rate=1e-2) if recipe.then else None
    evaluate_experts(
        ExpertsSpec(recipe=recipe, parts=parts, trained_by=trained_by),
        made.model,
        write_queries(folder / "queries.parquet", ids, [query.text for query in QUERIES]),
        [write_neighbors(folder / "neighbors.parquet")] if recipe.then else [],
        made.clusters,
        made.adapters,
        made.vectors,
        "experts",
        "pile_github",
        part,
        folder / f"{part}.parquet",
    )
    table = pq.read_table(folder / f"{part}.parquet")
    assert table.schema.names == ROWS.names
    return table.to_pylist()


def test_the_stage_writes_the_rows_of_every_method(made, tmp_path):
    rows = stage(made, tmp_path)
    network, tokenizer = load_causal(made.model)
    recipe = equipped(made, evaluate_at=[0, 2], num_neighbors=2, tau=0.01)
    expected = list(adapt(network, tokenizer, QUERIES, recipe, WINDOW))
    assert [(row["document_id"], row["loglikelihood"]) for row in rows] == [
        (adapted.query.id, m.loglikelihood) for adapted in expected for m in adapted.measurements
    ]
    assert {row["used_neighbors"] for row in rows} == {0}
    assert [path.name for path in tmp_path.glob(".*")] == [".0.documents.gz"]


def test_parts_share_the_documents(made, tmp_path):
    whole = stage(made, tmp_path / "whole", then="ttt")
    parts = [stage(made, tmp_path / str(part), part, 2, then="ttt") for part in range(2)]
    found = {(r["document_id"], r["num_neighbors"]): r["loglikelihood"] for p in parts for r in p}
    assert found == {(r["document_id"], r["num_neighbors"]): r["loglikelihood"] for r in whole}
    assert {row["used_neighbors"] for row in whole} == {0, 2}


def test_an_expert_of_another_model_is_refused(made, tmp_path):
    other = save_causal(tmp_path / "other")
    folder = save_expert(other, tmp_path / "expert", 0)
    manifest = json.loads((folder / "manifest.json").read_text()) | {"model": "of another"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedError, match="is the expert of a model whose manifest has"):
        stage(made._replace(adapters=[folder, *made.adapters[1:]]), tmp_path)


def test_where_the_model_is_damaged_its_experts_are_not_blamed(made, tmp_path):
    model = shutil.copytree(made.model, tmp_path / "damaged")
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["files"]["config.json"] = "f" * 64
    (model / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        DamagedError, match=r"damaged/config.json has .*: remove \S+damaged and run"
    ):
        stage(made._replace(model=model), tmp_path)


def test_more_experts_than_are_merged_are_not_asked_for():
    with pytest.raises(ValueError, match="at most 5 are merged: raise most or shorten"):
        Merging(kind="experts", experts="some", most=5, evaluate_at=[0, 6], num_neighbors=6)


# --- training --------------------------------------------------------------------------------


class Corpus(NamedTuple):
    model: Path
    clusters: Path
    passages: Path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    """Cluster 0 is of two passages, cluster 1 of the others."""
    folder = tmp_path_factory.mktemp("corpus")
    file = write_passages(folder / "passages/00/0.parquet", [*range(len(TEXTS))], TEXTS)
    list_passages([file], folder / "passages/manifest.json")
    arrays = {
        "centroids": np.eye(2, dtype="f4"),
        "center": np.zeros(2),
        "sizes": np.array([2, 6]),
        "starts": np.array([0, 2, 8]),
        "passages": np.array([1, 4, 0, 2, 3, 5, 6, 7]),
    }
    save_tensors(folder / "clusters.safetensors", arrays, {"embedder": "some"})
    model = save_causal(folder / "model", "llama")
    return Corpus(model, folder / "clusters.safetensors", folder / "passages/manifest.json")


def trained(corpus: Corpus, output: Path, cluster: int = 0, **spec) -> dict[str, torch.Tensor]:
    train_expert(SPEC.model_copy(update=spec), *corpus, cluster, output)
    return load_file(output / "adapter_model.safetensors")


def by_hand(corpus: Corpus, texts: list[str], cluster: int, spec: Training):
    """Factors after the same steps, with whole matrices and torch's plain AdamW; and the losses."""
    network, tokenizer = load_causal(corpus.model)
    own = {name: p.detach() for name, p in network.named_parameters()}
    start, _ = training._with_adapter(load_causal(corpus.model)[0], spec)
    factors = {
        name.replace(".default", ""): p.detach().clone().requires_grad_()
        for name, p in start.named_parameters()
        if "lora_" in name
    }
    optimizer = torch.optim.AdamW(
        factors.values(), lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=False
    )
    cut = []
    for text in texts:
        ids = tokens(tokenizer, text)
        pieces = [ids[at : at + spec.window] for at in range(0, len(ids), spec.window)]
        cut += [piece for piece in pieces if len(piece) > 1]
    losses = []
    for epoch in range(spec.epochs):
        order = np.random.default_rng([spec.seed, cluster, epoch]).permutation(len(cut))
        for at in range(0, len(cut), spec.batch_size):
            batch, total = order[at : at + spec.batch_size], 0.0
            for number in batch:
                weights = dict(own)
                for name in (name for name in factors if "lora_A" in name):
                    layer = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
                    up = factors[name.replace("lora_A", "lora_B")]
                    weights[f"{layer}.weight"] = own[f"{layer}.weight"] + (
                        spec.alpha / spec.rank * up @ factors[name]
                    )
                ids = torch.tensor([cut[number]])
                logits = functional_call(network, weights, (ids,)).logits[0, :-1]
                total += torch.nn.functional.cross_entropy(logits, ids[0, 1:]) / len(batch)
            optimizer.zero_grad()
            total.backward()
            norm = torch.cat([f.grad.flatten() for f in factors.values()]).norm()
            for factor in factors.values():
                factor.grad *= min(1.0, spec.clip_norm / float(norm))
            optimizer.step()
            losses.append(float(total.detach()))
    return factors, losses


def test_training_is_a_plain_loop_over_the_clusters_windows(corpus, tmp_path):
    spec = SPEC.model_copy(update={"epochs": 2})
    found = trained(corpus, tmp_path / "0", epochs=2)
    expected, losses = by_hand(corpus, [TEXTS[1], TEXTS[4]], 0, spec)
    assert set(found) == set(expected)
    for name, factor in expected.items():
        torch.testing.assert_close(found[name], factor.detach(), rtol=1e-3, atol=1e-4)
    told = json.loads((tmp_path / "0/training.json").read_text())
    assert (told["steps"], told["parameters"]) == (
        len(losses),
        sum(map(torch.numel, found.values())),
    )
    assert told["first_loss"] == pytest.approx(losses[0], rel=1e-4)
    assert told["last_loss"] == pytest.approx(losses[-1], rel=1e-3)
    assert told["last_loss"] < told["first_loss"]


def test_each_cluster_is_trained_on_its_own_passages(corpus, tmp_path):
    mine, other = trained(corpus, tmp_path / "0"), trained(corpus, tmp_path / "1", cluster=1)
    assert any(not torch.equal(mine[name], other[name]) for name in mine)


def test_of_a_passage_the_first_windows_are_taken(corpus, tmp_path):
    trained(corpus, tmp_path / "0", passage_windows=1)
    told = json.loads((tmp_path / "0/training.json").read_text())
    assert (told["windows"], told["tokens"]) == (2, 2 * SPEC.window)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_that_is_told_to_end_goes_on_to_the_same_adapter(
    corpus, tmp_path, monkeypatch, precision
):
    whole = trained(corpus, tmp_path / "whole/1", cluster=1, precision=precision)
    step, steps = training._step, []

    def told_after_three(*arguments):
        loss = step(*arguments)
        steps.append(loss)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss

    monkeypatch.setattr(training, "_step", told_after_three)
    with pytest.raises(SystemExit) as ended:
        trained(corpus, tmp_path / "1", cluster=1, precision=precision)
    assert ended.value.code == os.EX_TEMPFAIL
    assert len(steps) == 3
    assert saved_training(tmp_path / "1").is_file()
    assert not (tmp_path / "1").exists()
    again = trained(corpus, tmp_path / "1", cluster=1, precision=precision)
    told = json.loads((tmp_path / "1/training.json").read_text())
    assert len(steps) == told["steps"] > 4
    assert not saved_training(tmp_path / "1").exists()
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    assert all(tensor.dtype == torch.float32 for tensor in whole.values())


def test_what_was_saved_of_other_settings_is_thrown_away(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_SECONDS", -1.0)
    step = training._step
    calls = []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(training, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(corpus, tmp_path / "1", cluster=1)
    assert saved_training(tmp_path / "1").is_file()
    monkeypatch.setattr(training, "_step", step)
    found = trained(corpus, tmp_path / "1", cluster=1, learning_rate=3e-3)
    expected = trained(corpus, tmp_path / "anew/1", cluster=1, learning_rate=3e-3)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_was_trained_can_be_merged(corpus, tmp_path):
    factors = trained(corpus, tmp_path / "0")
    network, _ = load_causal(corpus.model)
    before = parameters(network)
    merged = Merged(network, [tmp_path / "0"])
    merged.merge({0: 1.0})
    grown = 0
    for name in (name for name in factors if "lora_A" in name):
        key = name.removeprefix("base_model.model.").replace(".lora_A", "")
        product = ALPHA / RANK * factors[name.replace("lora_A", "lora_B")] @ factors[name]
        torch.testing.assert_close(parameters(network)[key], before[key] + product)
        grown += 1
    assert grown == 14  # two blocks of seven linear layers


def test_a_loss_that_is_not_finite_ends_the_training(corpus, tmp_path):
    with pytest.raises(ValueError, match="lower the experts' learning_rate"):
        trained(corpus, tmp_path / "1", cluster=1, learning_rate=1e30, clip_norm=None)

"""Training small models: it learns, repeats itself, and goes on after being killed."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import zstandard
from safetensors.torch import load_file

from tttnn.digests import write_record
from tttnn.files import sha256
from tttnn.models import train
from tttnn.models.examples import packed_blocks
from tttnn.models.folder import ModelError, context_length, load_causal, load_encoder
from tttnn.models.kinds.train import TrainedModel
from tttnn.models.train import train_embedder, train_model

WORKFLOW = Path(__file__).parents[3] / "workflow"
WORDS = ["the", "retrieval", "of", "neighbours", "improves", "a", "model", "at", "test", "time"]
SUBSETS = ["ArXiv", "Github"]

ARCHITECTURES = {
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2},
    "gpt_neo": {
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 8,
    },
    "llama": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    },
    "roberta": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    },
}


def spec(model_type: str = "gpt2", **values: object) -> TrainedModel:
    return TrainedModel.model_validate(
        {
            "kind": "train",
            "objective": "masked" if model_type == "roberta" else "causal",
            "architecture": {"model_type": model_type, **ARCHITECTURES[model_type]},
            "vocabulary": 280,
            "documents": 60,
            "steps": 20,
            "batch_size": 4,
            "sequence_tokens": 24,
            "learning_rate": 1e-2,
            "warmup_steps": 2,
            **values,
        }
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Path]:
    """Two train shards of 40 documents, and a val shard of 10."""
    folder = tmp_path_factory.mktemp("corpus")
    chance = random.Random(0)
    paths = []
    for name, count in (("00", 40), ("01", 40), ("val", 10)):
        lines = []
        for number in range(count):
            meta = {"pile_set_name": SUBSETS[number % 2]}
            lines.append(json.dumps({"text": " ".join(chance.choices(WORDS, k=20)), "meta": meta}))
        paths.append(folder / f"{name}.jsonl.zst")
        paths[-1].write_bytes(zstandard.ZstdCompressor().compress("\n".join(lines).encode()))
        write_record(folder / f"{name}.json", {"sha256": sha256(paths[-1])})
    return paths[:2], paths[2]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def identical(one: Path, other: Path) -> bool:
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def training(folder: Path) -> dict:
    return json.loads((folder / "training.json").read_text())


@pytest.mark.parametrize("model_type", ["gpt2", "gpt_neo", "llama"])
def test_a_causal_model_learns_and_loads(corpus, tmp_path: Path, model_type: str) -> None:
    output = tmp_path / "models" / model_type
    train_model(spec(model_type), *corpus, output)
    model, tokenizer = load_causal(output)
    assert model.config.model_type == model_type
    assert context_length(model) == tokenizer.model_max_length == 24
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.config.use_cache
    record = training(output)
    assert (record["steps"], record["documents"]) == (20, 60)
    assert record["tokens"] == 20 * 4 * 24
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert record["train_loss"] < 0.8 * math.log(len(tokenizer))
    manifest = json.loads((output / "manifest.json").read_text())
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(manifest["files"])
    assert [path.name for path in output.parent.iterdir()] == [model_type]  # no checkpoints left


def test_no_steps_leave_random_weights_and_a_trained_tokenizer(corpus, tmp_path: Path) -> None:
    train_embedder(spec("roberta", steps=0), *corpus, tmp_path / "untrained")
    train_embedder(spec("roberta", steps=4), *corpus, tmp_path / "trained")
    record = training(tmp_path / "untrained")
    assert (record["steps"], record["train_loss"]) == (0, None)
    assert not identical(tmp_path / "untrained", tmp_path / "trained")
    vocabularies = [tmp_path / name / "tokenizer.json" for name in ("untrained", "trained")]
    assert vocabularies[0].read_bytes() == vocabularies[1].read_bytes()
    assert record["val_loss"] == pytest.approx(
        math.log(len(load_encoder(tmp_path / "untrained")[1])), rel=0.1
    )


def test_the_val_loss_is_that_of_the_model_on_the_val_shard(corpus, tmp_path: Path) -> None:
    output = tmp_path / "gpt2"
    train_model(spec(subsets=["Github"], documents=30), *corpus, output)
    model, tokenizer = load_causal(output)
    with zstandard.open(corpus[1], "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    texts = [r["text"] for r in records if r["meta"]["pile_set_name"] == "Github"]
    blocks = torch.from_numpy(packed_blocks(texts, tokenizer, 24)).long()
    with torch.inference_mode():
        logits = model(input_ids=blocks).logits[:, :-1]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), blocks[:, 1:].flatten())
    record = training(output)
    assert record["val_sequences"] == len(blocks)
    assert record["val_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_an_embedder_learns_and_loads(corpus, tmp_path: Path) -> None:
    output = tmp_path / "embedder"
    train_embedder(spec("roberta", mask_probability=0.3), *corpus, output)
    encoder, tokenizer = load_encoder(output)
    assert context_length(encoder) == tokenizer.model_max_length == 24
    assert encoder.config.max_position_embeddings == 26
    ids = tokenizer(" ".join(WORDS * 5), truncation=True, return_tensors="pt")["input_ids"]
    assert ids.shape == (1, 24)
    assert encoder(input_ids=ids).last_hidden_state.isfinite().all()
    record = training(output)
    assert record["train_loss"] < 0.8 * math.log(len(tokenizer))
    # special tokens count as seen, padding does not
    assert 20 * 4 * 3 < record["tokens"] <= 20 * 4 * 24


def test_the_same_spec_and_text_give_the_same_weights(corpus, tmp_path: Path) -> None:
    for name in ("roberta", "gpt2"):
        run = train_embedder if name == "roberta" else train_model
        run(spec(name, steps=6), *corpus, tmp_path / f"{name}-one")
        torch.rand(7)  # whatever was drawn before is of no account
        run(spec(name, steps=6), *corpus, tmp_path / f"{name}-two")
        assert identical(tmp_path / f"{name}-one", tmp_path / f"{name}-two")
    train_model(spec(steps=6, seed=1), *corpus, tmp_path / "other")
    assert not identical(tmp_path / "gpt2-one", tmp_path / "other")


@pytest.mark.parametrize("model_type", ["gpt2", "roberta"])
def test_a_killed_training_goes_on_and_ends_the_same(
    corpus, tmp_path: Path, model_type: str, capsys: pytest.CaptureFixture
) -> None:
    # with dropout, so that the state of the random number generator matters; over several epochs
    made = spec(model_type, steps=160, save_steps=10)
    stage = "train_embedder" if model_type == "roberta" else "train_model"
    shards, val = corpus
    output = tmp_path / "killed"
    command = [sys.executable, "-m", "tttnn", stage, "--spec", made.model_dump_json()]
    command += ["--train", *map(str, shards), "--val", str(val), "--output", str(output)]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    environment = os.environ | {"PYTHONPATH": str(WORKFLOW)} | threads
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    folder = tmp_path / ".killed.training"
    deadline = time.monotonic() + 120
    while not list(folder.glob("checkpoint-*/complete")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not output.exists()
    steps = sorted(int(mark.parent.name[11:]) for mark in folder.glob("checkpoint-*/complete"))
    # a later checkpoint that was being written is not taken for a whole one
    (folder / "checkpoint-159").mkdir()
    (folder / "checkpoint-159" / "trainer_state.json").write_text("{")

    run = getattr(train, stage)
    run(made, *corpus, output)
    assert f"going on from checkpoint-{steps[-1]}\n" in capsys.readouterr().err
    assert steps[-1] < 159
    assert not folder.exists()
    run(made, *corpus, tmp_path / "whole")
    assert identical(output, tmp_path / "whole")
    assert training(output) == training(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_training_told_to_end_makes_a_checkpoint(
    corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, number: signal.Signals
) -> None:
    def told_at_seven(watch, args, state, control, **kwargs):
        if state.global_step == 7:
            os.kill(os.getpid(), number)
        original(watch, args, state, control, **kwargs)

    original = train._Watch.on_step_end
    output = tmp_path / "gpt2"
    with monkeypatch.context() as patched, pytest.raises(SystemExit) as left:
        patched.setattr(train._Watch, "on_step_end", told_at_seven)
        train_model(spec(), *corpus, output)
    assert left.value.code == 75
    saved = capsys.readouterr().err
    assert f"{number.name}: saved step 7 of 20, going on at the next attempt" in saved
    train_model(spec(), *corpus, output)
    assert "going on from checkpoint-7\n" in capsys.readouterr().err
    train_model(spec(), *corpus, tmp_path / "whole")
    assert identical(output, tmp_path / "whole")
    assert training(output) == training(tmp_path / "whole")


# --- several processes -----------------------------------------------------------------------


def without_dropout(**values: object) -> TrainedModel:
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    roberta = {"model_type": "roberta", **ARCHITECTURES["roberta"], **quiet}
    return spec("roberta", architecture=roberta, **values)


def distance(one: Path, other: Path) -> float:
    ours, theirs = weights(one), weights(other)
    return math.sqrt(sum(float((ours[k] - theirs[k]).square().sum()) for k in ours))


def command(made: TrainedModel, corpus, output: Path, processes: int) -> list[str]:
    shards, val = corpus
    options = ["--spec", made.model_dump_json(), "--train", *map(str, shards), "--val", str(val)]
    options += ["--output", str(output), "--processes", str(processes)]
    return [sys.executable, "-m", "tttnn", "train_embedder", *options]


@pytest.mark.slow
def test_two_processes_told_to_end_go_on_and_train_as_one_does(corpus, tmp_path: Path) -> None:
    """The same steps on the same batches: far closer than training on half of each batch is."""
    made = without_dropout(steps=60, save_steps=5)
    run = command(made, corpus, tmp_path / "two", 2)
    environment = os.environ | {"PYTHONPATH": str(WORKFLOW)}
    job = subprocess.Popen(run, env=environment, stderr=subprocess.PIPE, text=True)
    while not list((tmp_path / ".two.training").glob("checkpoint-*/complete")):
        assert job.poll() is None, job.stderr.read()
        time.sleep(0.01)
    job.send_signal(signal.SIGUSR1)
    printed = job.communicate(timeout=100)[1]
    assert job.returncode == 75, printed
    marks = (tmp_path / ".two.training").glob("checkpoint-*/complete")
    step = max(int(mark.parent.name[11:]) for mark in marks)
    assert 5 <= step < 60
    assert f"SIGUSR1: saved step {step} of 60" in printed
    again = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert f"going on from checkpoint-{step}" in again.stderr

    train_embedder(made, *corpus, tmp_path / "one")
    one, two = training(tmp_path / "one"), training(tmp_path / "two")
    for name in ("steps", "documents", "epochs", "tokens", "val_sequences"):
        assert one[name] == two[name], name
    assert two["train_loss"] == pytest.approx(one["train_loss"], rel=1e-3)
    assert two["val_loss"] == pytest.approx(one["val_loss"], rel=1e-3)
    train_embedder(made.model_copy(update={"batch_size": 2}), *corpus, tmp_path / "half")
    assert distance(tmp_path / "two", tmp_path / "one") < 0.01 * distance(
        tmp_path / "half", tmp_path / "one"
    )


def test_a_batch_that_cannot_be_shared_is_an_error(corpus, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="batch_size 4 cannot be shared by 3 processes"):
        train_embedder(without_dropout(), *corpus, tmp_path / "three", processes=3)


def test_a_training_killed_at_its_very_end_only_saves(
    corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def full_disk(*arguments: object, **options: object) -> None:
        raise OSError("no space left")

    output = tmp_path / "gpt2"
    with monkeypatch.context() as patched:
        patched.setattr(train, "write_manifest", full_disk)
        with pytest.raises(OSError, match="no space"):
            train_model(spec(), *corpus, output)
    assert [path.name for path in tmp_path.iterdir()] == [".gpt2.training"]
    capsys.readouterr()
    train_model(spec(), *corpus, output)
    assert "going on from checkpoint-20\n" in capsys.readouterr().err
    train_model(spec(), *corpus, tmp_path / "whole")
    assert identical(output, tmp_path / "whole")
    assert training(output) == training(tmp_path / "whole")


@pytest.mark.parametrize("change", ["spec", "data"])
def test_checkpoints_of_another_spec_or_text_are_discarded(
    corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, change: str
) -> None:
    shards, val = corpus
    output = tmp_path / "gpt2"
    with monkeypatch.context() as patched:
        patched.setattr(train, "write_manifest", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_model(spec(steps=4), shards, val, output)
    capsys.readouterr()
    if change == "spec":
        now, shards = spec(steps=4, learning_rate=2e-3), shards
    else:
        now, shards = spec(steps=4), shards[::-1]
    train_model(now, shards, val, output)
    message = capsys.readouterr().err
    assert "starting anew" in message
    assert "going on" not in message
    train_model(now, shards, val, tmp_path / "afresh")
    assert identical(output, tmp_path / "afresh")


def test_how_fast_a_model_adapts_is_no_reason_to_train_it_anew(
    corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(train, "write_manifest", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_model(spec(steps=4), *corpus, tmp_path / "gpt2")
    train_model(spec(steps=4, adapt_learning_rate=1e-5), *corpus, tmp_path / "gpt2")
    assert "going on from checkpoint-4" in capsys.readouterr().err


def test_fewer_documents_than_asked_for_are_counted(corpus, tmp_path: Path, capsys) -> None:
    train_model(spec(documents=1000, steps=2, exclude=["ArXiv"]), *corpus, tmp_path / "gpt2")
    assert training(tmp_path / "gpt2")["documents"] == 40
    assert "40 documents pass the filter, not the 1000 asked for" in capsys.readouterr().err


def test_no_documents_is_an_error_that_names_the_filter(corpus, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^0 documents of .*00\.jsonl\.zst.*NIH ExPorter"):
        train_model(spec(subsets=["NIH ExPorter"]), *corpus, tmp_path / "gpt2")
    assert not (tmp_path / "gpt2").exists()


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"model_type": "gpt2", "n_layers": 3}, "gpt2 has no 'n_layers'. Did you mean 'n_layer'"),
        ({"model_type": "gpt22"}, "architecture: .*gpt22"),
        ({"model_type": "gpt2", "n_embd": 10, "n_head": 3}, "architecture: .*divisible"),
    ],
)
def test_a_faulty_architecture_is_an_error(
    corpus, tmp_path: Path, architecture: dict, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        train_model(spec(architecture=architecture), *corpus, tmp_path / "gpt2")


def test_a_training_that_diverges_is_an_error(corpus, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lower learning_rate"):
        train_model(spec(learning_rate=1e30, warmup_steps=0), *corpus, tmp_path / "gpt2")
    assert not (tmp_path / "gpt2").exists()


@pytest.mark.parametrize(
    ("model_type", "offset"),
    [("xlm-roberta", 2), ("camembert", 2), ("mpnet", 2), ("bert", 0), ("longformer", 2)],
)
def test_an_embedder_trains_at_its_full_length_wherever_positions_start(
    corpus, tmp_path: Path, model_type: str, offset: int
) -> None:
    """The padding token is the second of the vocabulary, and positions may start after it."""
    architecture = {"model_type": model_type, **ARCHITECTURES["roberta"]}
    if model_type == "longformer":
        architecture["attention_window"] = 16
    values = {"steps": 2, "sequence_tokens": 512, "documents": 10, "batch_size": 2}
    long_texts = tmp_path / "long.jsonl.zst"
    lines = [json.dumps({"text": " ".join(WORDS * 100), "meta": {"pile_set_name": SUBSETS[0]}})] * 4
    long_texts.write_bytes(zstandard.ZstdCompressor().compress("\n".join(lines).encode()))
    write_record(tmp_path / "long.json", {"sha256": sha256(long_texts)})
    made = spec("roberta", **values).model_copy(update={"architecture": architecture})
    train_embedder(made, [long_texts], long_texts, tmp_path / "embedder")
    encoder, tokenizer = load_encoder(tmp_path / "embedder")
    assert context_length(encoder) == tokenizer.model_max_length == 512
    assert encoder.config.max_position_embeddings == 512 + offset
    assert training(tmp_path / "embedder")["tokens"] == 2 * 2 * 512


def test_an_architecture_with_fewer_positions_than_its_sequences_is_refused(
    corpus, tmp_path: Path
) -> None:
    for model_type, name in (("llama", "max_position_embeddings"), ("gpt2", "n_positions")):
        short = spec(
            model_type,
            architecture={"model_type": model_type, **ARCHITECTURES[model_type], name: 23},
        )
        with pytest.raises(ModelError, match=r"sequence_tokens is 24 .* positions for 23"):
            train_model(short, *corpus, tmp_path / "short")


def test_a_causal_model_must_be_one_before_it_is_trained(corpus, tmp_path: Path) -> None:
    encoder = spec(
        "gpt2",
        architecture={"model_type": "bert", **ARCHITECTURES["roberta"]},
    )
    with pytest.raises(ModelError, match=r"architecture: bert .* set is_decoder"):
        train_model(encoder, *corpus, tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()


def test_a_damaged_shard_is_not_trained_on(corpus: tuple[list[Path], Path], tmp_path: Path) -> None:
    shards, val = corpus
    for path in (*shards, val):
        shutil.copy(path, tmp_path)
        shutil.copy(path.with_name(path.name.replace(".jsonl.zst", ".json")), tmp_path)
    damaged = tmp_path / "01.jsonl.zst"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    copies = [tmp_path / path.name for path in shards], tmp_path / val.name
    for stage in (train_model, train_embedder):
        with pytest.raises(ValueError, match=r"01\.jsonl\.zst has SHA-256 .* remove both and run"):
            stage(spec(), *copies, tmp_path / "model")

"""A document that was killed half done goes on, and gives bit for bit what it would have given."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from shards import write_queries
from tiny import save_causal
from tttnn.environment import environment, environments_of
from tttnn.methods import snapshot
from tttnn.methods.evaluate import EvaluateSpec, evaluate_part
from tttnn.methods.in_context.settings import InContext
from tttnn.methods.measure import Measurement
from tttnn.methods.snapshot import Snapshot
from tttnn.methods.ttt import engine
from tttnn.methods.ttt.engines import lean
from tttnn.methods.ttt.settings import Lora, Recipe
from tttnn.methods.ttt.state import kept, restore
from tttnn.retrieval.gather import NEIGHBORS
from tttnn.tables import write_table

RECIPE = Recipe(num_neighbors=4, evaluate_at=[0, 1, 2, 4], learning_rate=1e-3)
SAVED = [(2, 0), (2, 1), (2, 2), (1, 0), (1, 1), (1, 2)]
"""Where the two documents may be saved: the longer first, and not where they are finished."""
SECONDS = ["train_seconds", "evaluate_seconds"]
FILE = ".0.snapshot.safetensors"


class Task(NamedTuple):
    """The inputs of a task."""

    model: Path
    queries: Path
    neighbors: Path


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Two documents with four neighbours, and a model with dropout, which is seeded.

    Three of the neighbours are the same.
    """
    folder = tmp_path_factory.mktemp("task")
    model = save_causal(folder / "gpt2", resid_pdrop=0.2, embd_pdrop=0.2, attn_pdrop=0.2)
    texts = ["a short document", "a longer one " * 12]
    rows = [
        {"query_id": name, "rank": rank, "distance": 1.0, "text": f"{name} and {rank // 3} " * 5}
        | {"exact": False, "overlap": 0.0, "jaccard": 0.0}
        for name in (1, 2)
        for rank in range(4)
    ]
    write_table(folder / "neighbors.parquet", pa.Table.from_pylist(rows, schema=NEIGHBORS))
    return Task(
        model,
        write_queries(folder / "queries.parquet", [1, 2], texts),
        folder / "neighbors.parquet",
    )


def evaluate(task, output, recipe=RECIPE, by="auto") -> list[dict]:
    """Rows without what a clock measured."""
    evaluate_part(
        EvaluateSpec(recipe=recipe, parts=1),
        model=task.model,
        queries=task.queries,
        neighbors=[task.neighbors],
        method="ttt",
        task="pile_github",
        part=0,
        output=output,
        engine=by,
    )
    return pq.read_table(output).drop_columns(SECONDS).to_pylist()


@pytest.fixture
def eager(monkeypatch):
    """Every place is worth saving at."""
    monkeypatch.setattr(snapshot, "LEAST_SECONDS", -1.0)
    monkeypatch.setattr(snapshot, "WORTH", 0)


@pytest.fixture
def steps(monkeypatch):
    """A list that grows by each gradient step, of the reference or of the lean engine."""
    taken = []

    def count(owner, name):
        step = getattr(owner, name)

        def counted(*arguments):
            taken.append(arguments)
            return step(*arguments)

        monkeypatch.setattr(owner, name, counted)

    count(engine, "_step")
    count(lean.Lean, "step")
    count(lean.Lean, "step_on_repeated")
    return taken


def after_saving(monkeypatch, number, act):
    """Call `act` once the `number`-th place to save at has been passed; what was saved there."""
    save, places = Snapshot.save, []

    def then(self, query, measurements, tensors):
        save(self, query, measurements, tensors)
        places.append((query, measurements[-1].num_neighbors))
        if len(places) == number:
            act()

    monkeypatch.setattr(Snapshot, "save", then)
    return places


def kill():
    raise KeyboardInterrupt


RECIPES = {
    "all weights": RECIPE,
    "adapters": RECIPE.model_copy(update={"lora": Lora(rank=2)}),
    "reuse": RECIPE.model_copy(update={"reuse": 3}),
    "batch": RECIPE.model_copy(update={"step": "batch", "clip_norm": None}),
}


@pytest.mark.parametrize("number", range(1, 1 + len(SAVED)))
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("by", ["reference", "lean"])
def test_killed_at_any_measured_number_it_goes_on_from_there(
    by, recipe, number, task, tmp_path, monkeypatch, eager, steps, capsys
):
    whole = evaluate(task, tmp_path / "whole/0.parquet", recipe, by)
    in_all, output = len(steps), tmp_path / "0.parquet"
    assert in_all
    steps.clear()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        places = after_saving(patch, number, kill)
        evaluate(task, output, recipe, by)
    assert places == SAVED[:number]
    name, after = places[-1]
    capsys.readouterr()
    assert evaluate(task, output, recipe, by) == whole
    assert f"document {name}: going on after {after} neighbours" in capsys.readouterr().err
    assert len(steps) == in_all, "steps were taken twice"
    assert [path.name for path in tmp_path.glob(".*")] == [".0.documents.gz"]


def test_the_dropout_of_later_steps_is_that_of_an_uninterrupted_document(task, tmp_path, eager):
    """So that the comparison above is one: with another state of random numbers rows differ."""
    whole = evaluate(task, tmp_path / "whole/0.parquet")
    without = RECIPE.model_copy(update={"dropout": "none"})
    assert [r["loglikelihood"] for r in evaluate(task, tmp_path / "0.parquet", without)[1:4]] != [
        row["loglikelihood"] for row in whole[1:4]
    ]


@pytest.fixture
def snapshots(tmp_path):
    """What makes the snapshot of a job, and of the next one."""
    return lambda stop=False, leave=kill: Snapshot(tmp_path / FILE, "this", {}, stop, leave)


MEASURED = [Measurement(0, -3.5, float("nan"), 0, 0, 0.0, 0.25), Measurement(2, -3, 4, 5, 6, 7, 8)]


def test_a_document_is_saved_when_losing_it_would_cost_more(snapshots, tmp_path, monkeypatch):
    """After a minute, and ten times as long as writing takes: 3 s a MB here."""
    now = [0.0]
    monkeypatch.setattr(snapshot, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(snapshot, "WRITTEN", 1e6 / 3)
    small, large = {"a": torch.zeros(25)}, {"a": torch.zeros(750_000)}
    ours = snapshots()
    ours.saved(7)
    for seconds, tensors, is_saved in [
        (59, small, False),
        (61, small, True),
        (120, small, False),  # of a minute before
        (130, small, True),
    ]:
        (tmp_path / FILE).unlink(missing_ok=True)
        now[0] = seconds
        ours.save(7, MEASURED, tensors)
        assert (tmp_path / FILE).exists() == is_saved, seconds
    another = snapshots()
    another.saved(8)
    for seconds, is_saved in [(130 + 89, False), (130 + 91, True)]:
        now[0] = seconds
        another.save(8, MEASURED, large)
        assert (tmp_path / FILE).exists() == is_saved, seconds


def test_what_was_saved_is_given_back(snapshots, eager):
    tensors = {
        "weights": torch.randn(3, 4, generator=torch.manual_seed(1)),
        "halves": torch.randn(5, generator=torch.manual_seed(2)).bfloat16(),
        "step": torch.tensor(3.0),
        "random": torch.get_rng_state(),
    }
    snapshots().save(7, MEASURED, tensors)
    state = snapshots().saved(7)
    assert str(state.measurements) == str(MEASURED)  # a NaN is not equal to itself
    assert state.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert state.tensors[name].dtype == tensor.dtype
        assert torch.equal(state.tensors[name], tensor)


def test_one_of_other_work_or_another_document_is_thrown_away(snapshots, tmp_path, eager):
    snapshots().save(7, MEASURED, {})
    assert snapshots().saved(8) is None
    assert not (tmp_path / FILE).exists()
    snapshots().save(7, MEASURED, {})
    assert Snapshot(tmp_path / FILE, "other", {}, False, kill).saved(7) is None
    assert not (tmp_path / FILE).exists()


def test_a_writing_that_was_killed_leaves_nothing_behind(snapshots, tmp_path):
    (tmp_path / f".new.{FILE}").write_bytes(b"half")
    assert snapshots().saved(7) is None
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_one_is_begun_again(task, tmp_path, monkeypatch, eager, capsys):
    output = tmp_path / "0.parquet"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        after_saving(patch, 2, kill)
        evaluate(task, output)
    content = bytearray((tmp_path / FILE).read_bytes())
    content[-5] ^= 1
    (tmp_path / FILE).write_bytes(content)
    rows = evaluate(task, output)
    assert "has arrays of SHA-256" in (printed := capsys.readouterr().err)
    assert "its document is begun again" in printed
    assert rows == evaluate(task, tmp_path / "whole/0.parquet")


def test_weights_that_diverged_are_not_saved(snapshots, tmp_path, eager):
    snapshots().save(7, [*MEASURED, Measurement(3, float("nan"), 1, 1, 1, 1, 1)], {})
    assert list(tmp_path.iterdir()) == []


# --- told to end ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_job_told_to_end_leaves_at_the_next_measured_number(
    number, task, tmp_path, monkeypatch, steps, capsys
):
    """It does not wait for a minute to be over, nor for its document."""
    monkeypatch.setattr(snapshot, "WRITTEN", 1e15)
    whole = evaluate(task, tmp_path / "whole/0.parquet")
    in_all, output = len(steps), tmp_path / "0.parquet"
    steps.clear()
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as left:
        after_saving(patch, 4, lambda: os.kill(os.getpid(), number))
        evaluate(task, output)
    assert left.value.code == 75
    printed = capsys.readouterr().err
    assert (
        f"{number.name}: saved 1 of 2 documents, and document 1 after 1 neighbours, going on"
        in printed
    )
    assert evaluate(task, output) == whole
    assert len(steps) == in_all
    assert "document 1: going on after 1 neighbours" in capsys.readouterr().err


def test_a_job_told_to_end_writes_nothing_that_is_done_again_as_soon(
    snapshots, tmp_path, monkeypatch
):
    """Writing would take a second, and so does what would be lost."""
    now, left = [0.0], []
    monkeypatch.setattr(snapshot, "time", SimpleNamespace(monotonic=lambda: now[0]))
    ours = snapshots(stop=True, leave=left.append)
    ours.saved(7)
    now[0] = 0.9
    tensors = {"a": torch.zeros(50_000_000)}
    ours.save(7, MEASURED, tensors)
    assert left == [""]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["no room", "no writing"])
def test_where_it_cannot_be_written_it_says_why_and_finishes_the_document(
    fault, task, tmp_path, monkeypatch, eager, capsys
):
    def refused(*arguments):
        raise OSError("Disk quota exceeded")

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        if fault == "no room":
            usage = SimpleNamespace(free=1000)
            patch.setattr(snapshot, "shutil", SimpleNamespace(disk_usage=lambda _: usage))
        else:
            patch.setattr(snapshot, "save_tensors", refused)
        after_saving(patch, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        evaluate(task, tmp_path / "0.parquet")
    printed = capsys.readouterr().err
    why = "1000 are free" if fault == "no room" else "Disk quota exceeded"
    assert printed.count("cannot be written (") == 1
    assert why in printed
    assert "saved 1 of 2 documents, going on" in printed
    assert not (tmp_path / FILE).exists()


def test_methods_without_a_state_say_so(task, tmp_path, capsys):
    in_context = InContext(kind="in_context", num_neighbors=1, evaluate_at=[0, 1])
    evaluate(task, tmp_path / "0.parquet", in_context)
    said = "documents are not saved half done: "
    assert f"{said}kind in_context keeps no state" in capsys.readouterr().err
    evaluate(task, tmp_path / "1.parquet", RECIPE.model_copy(update={"as_released": True}))
    assert f"{said}with as_released it depends on" in capsys.readouterr().err


def test_a_document_of_two_machines_says_so(task, tmp_path, monkeypatch, eager):
    output = tmp_path / "0.parquet"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tttnn.methods.evaluate.environment", lambda *_: {"torch": "other"})
        after_saving(patch, 5, kill)
        evaluate(task, output)
    evaluate(task, output)
    made = environments_of(pq.read_schema(output))
    other, ours = (
        {"torch": "other", "engine": "lean"},
        environment("cpu", "float32") | {"engine": "lean"},
    )
    assert sorted(made, key=str) == sorted([other, ours], key=str)


# --- the state -----------------------------------------------------------------------------------


def test_the_state_is_all_of_an_optimizer_s_and_of_random_numbers():
    """Any optimizer's: here one with a buffer, and one with two moments and a counter."""
    for make in (
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
    ):
        ends = []
        for is_interrupted in (False, True):
            torch.manual_seed(3)
            weight = torch.nn.Parameter(torch.randn(4))
            optimizer = make([weight])
            for step in range(4):
                if is_interrupted and step == 2:
                    saved = {k: v.clone() for k, v in kept([weight], [weight], optimizer).items()}
                    torch.manual_seed(99)
                    weight = torch.nn.Parameter(torch.zeros(4))
                    optimizer = make([weight])
                    restore(saved, [weight], [weight], optimizer)
                optimizer.zero_grad()
                (weight * torch.randn(4)).sum().backward()
                optimizer.step()
            ends.append(weight.detach())
        assert torch.equal(*ends)

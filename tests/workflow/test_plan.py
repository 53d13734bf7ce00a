"""What Snakemake plans: for every shipped configuration, and after a change."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import faiss
import numpy as np
import pytest

from checkout import ROOT
from tttnn.config.figures import FIGURES
from tttnn.tables import read_table

TINY = ("--configfile", "tiny.yaml")
AFTER_EVALUATION = {"score": 1, "draw_figure": 2, "write_report": 1}


def test_the_demo_is_planned_from_an_empty_folder(checkout):
    plan = checkout.plan()
    assert plan["download_shard"] == 6
    assert plan["evaluate_part"] == 22 * 3 + 4 * 2  # three models; four more methods on two tasks
    # nothing is evaluated by windows, and no experts are trained
    assert plan["write_report"] == 1
    assert plan["draw_figure"] == len(FIGURES) - len({"positions", "break_even"})


EVALUATIONS = {
    "local": 3 * 22 + 6 * 4,  # three models on all tasks; the other methods on four, one model
    "paper": 4 * 76 + 7 * 55 + 3 * 22,  # parts of one method on all tasks, see there
    "ablations": 3 * 22 + 35 * 2,
    "modern": 4 * 2 * 22,
    "slurm-demo": 3 + 4,
    "pretrained": 22 + (1 + 7) * 4,
    # the paper's parts again, of all tasks or of three
    "paper+sift": (3 * 4 + 1) * 76,  # three methods, four models; one of another model
    "paper+hullft": 7 * 76,
    "paper+reproduction": 4 * (8 + 1 + 2),
    "pretrained+long": 7 * 7,
    "pretrained+experts": 22 + (1 + 7) * 4 + 2 * 8,
}
"""By configuration, and by those that are laid over another one."""

RULES = {"pretrained+long": ["evaluate_windows"], "pretrained+experts": ["evaluate_experts"]}
"""Other rules than `evaluate_part` that evaluate."""


def test_every_shipped_overlay_is_among_those():
    shipped = {path.stem for path in (ROOT / "config").glob("*.yaml")}
    assert {name.rpartition("+")[2] for name in EVALUATIONS} == shipped


@pytest.mark.parametrize("name", EVALUATIONS)
def test_every_overlay_is_planned(name, checkout):
    files = [f"config/{part}.yaml" for part in name.split("+")]
    plan = checkout.plan("--configfile", *files)
    assert plan["score"] == 1
    rules = ["evaluate_part", *RULES.get(name, [])]
    assert sum(plan[rule] for rule in rules) == EVALUATIONS[name]
    assert all(plan[rule] for rule in rules[1:])


def test_a_second_run_has_nothing_to_do(finished):
    started = time.monotonic()
    printed = finished.snakemake(*TINY)
    assert "Nothing to be done" in printed
    print(f"nothing to be done, in {time.monotonic() - started:.1f} s")


def test_one_task_of_one_model_by_naming_its_file(checkout):
    target = "results/demo/evaluation/small/ttt/pile_github/0.parquet"
    plan = checkout.plan(target)
    assert plan["evaluate_part"] == 1
    assert plan["gather_neighbors"] == 1
    assert plan["train_model"] == 1
    assert "score" not in plan


def test_forcing_one_cell_reruns_that_cell_alone(finished):
    target = "results/tiny/evaluation/small/ttt/pile_github/0.parquet"
    assert finished.plan(*TINY, "--force", target) == Counter(evaluate_part=1)


def test_a_method_s_learning_rate_reruns_its_evaluation_and_nothing_upstream(finished, overlay):
    changed = overlay(methods={"ttt": {"learning_rate": 0.5}})
    plan = finished.plan("--configfile", "tiny.yaml", changed)
    # its own three, and those of random, dynamic and sift, which are like it
    assert plan == Counter(evaluate_part=6, **AFTER_EVALUATION)


def test_a_method_of_another_kind_is_evaluated_alone(copy, overlay):
    copy.edit("workflow/tttnn/methods/interpolate/engine.py", "import math", "import math\nX = 1")
    plan = copy.plan(*TINY)
    assert plan == Counter(evaluate_part=1, validate_part=1, **AFTER_EVALUATION)
    changed = overlay(methods={"interpolate": {"alphas": [0, 0.5]}})
    assert copy.plan("--configfile", "tiny.yaml", changed) == plan


def test_a_selection_s_setting_reruns_what_draws_on_it(finished, overlay):
    changed = overlay(selections={"sift": {"noise": 0.5}})
    plan = finished.plan("--configfile", "tiny.yaml", changed)
    again = Counter(choose_neighbors=1, gather_neighbors=1, evaluate_part=1)
    assert plan == again + Counter(AFTER_EVALUATION)


def test_settings_to_choose_add_validation_jobs_alone(finished, overlay):
    grid = {"learning_rate": [1e-4, 1e-2], "stop": [None, 0.9], "num_neighbors": [0, 2]}
    tuned = overlay(
        methods={"mine": {"like": "sift", "tune": grid | {"by": "task"}}},
        evaluate={"ablations": {"methods": ["random", "mine"], "tasks": ["pile_github"]}},
    )
    target = "results/tiny/tuned/small/mine.json"
    assert finished.plan("--configfile", "tiny.yaml", tuned, "--", target) == Counter(
        choose_neighbors=2, gather_neighbors=2, validate_part=4, choose_settings=1
    )


def test_texts_are_copied_when_they_are_asked_for_and_nothing_is_gathered_again(copy):
    target = "results/tiny/texts/manifest.json"
    copied = Counter(want_texts=1, collect_texts=2, list_texts=1)
    assert copy.plan(*TINY, "--", target) == copied
    copy.snakemake(*TINY, "--", target)
    assert copy.plan(*TINY) == Counter()
    gathered = copy.folder / "results/tiny/neighbors/test/flat/pile_github.parquet"
    before = gathered.read_bytes()
    copy.snakemake(*TINY, "--force", "--", str(gathered.relative_to(copy.folder)))
    assert gathered.read_bytes() == before


def test_a_number_spelt_otherwise_changes_nothing(finished, overlay):
    same = overlay(methods={"ttt": {"weight_decay": "1e-2"}})
    assert finished.plan("--configfile", "tiny.yaml", same) == Counter()


def test_two_values_that_swap_places_are_seen(finished, overlay):
    """Snakemake compares params as a set of values."""
    swapped = overlay(score={"resamples": 1216, "seed": 50})
    assert finished.plan("--configfile", "tiny.yaml", swapped) == AFTER_EVALUATION


def test_more_parts_rerun_the_evaluation_alone(finished, overlay):
    parts = overlay(evaluate={"parts": {"pile_arxiv": 2}})
    plan = finished.plan("--configfile", "tiny.yaml", parts)
    assert plan == Counter(evaluate_part=2, **AFTER_EVALUATION)


def test_another_task_adds_its_own_jobs(finished, overlay):
    tasks = ["pile_github", "pile_arxiv", "pile_enron", "pile_nih-exporter"]
    more = overlay(evaluate={"tasks": tasks})
    plan = finished.plan("--configfile", "tiny.yaml", more)
    assert plan == Counter(gather_neighbors=1, evaluate_part=1, **AFTER_EVALUATION)


def test_how_a_model_adapts_does_not_train_it_again(finished, overlay):
    rate = overlay(models={"small": {"adapt_learning_rate": 0.1}})
    plan = finished.plan("--configfile", "tiny.yaml", rate)
    assert plan == Counter(evaluate_part=6, **AFTER_EVALUATION)


def test_an_edited_comment_or_docstring_reruns_nothing(copy):
    copy.edit("workflow/tttnn/retrieval/embed.py", "from pathlib", "# a comment\nfrom pathlib")
    copy.edit("workflow/tttnn/retrieval/embed.py", '"""Turn texts', '"""Really turn texts')
    assert copy.plan(*TINY) == Counter()


def test_an_edited_line_of_embed_reruns_embedding_and_what_follows(copy):
    copy.edit("workflow/tttnn/retrieval/embed.py", "SORTED_AT_ONCE = 4096", "SORTED_AT_ONCE = 2048")
    plan = copy.plan(*TINY)
    assert plan["embed_chunk"] == 2 and plan["embed_queries"] == 2  # test and val
    assert plan["list_embeddings"] == plan["train_shard_index"] == 2
    assert plan["search_shard"] == 6  # of both indexes; the exact one's for validation, too
    assert plan["evaluate_part"] == 6  # dynamic evaluation has no neighbours
    for upstream in ("download_shard", "chunk_shard", "train_embedder", "train_model"):
        assert upstream not in plan
    assert "select_documents" not in plan


def test_published_embeddings_are_adopted_and_none_are_made(checkout):
    folder = checkout.folder / "published"
    folder.mkdir()
    settings = ("--config", "embeddings={published: {embedder: published}}")
    printed = checkout.snakemake("--dry-run", *settings, ok=False)
    assert "adopt_embeddings" in printed and "published/00.jsonl.index" in printed  # is missing
    for shard in ("00", "01", "02", "03"):
        (folder / f"{shard}.jsonl.index").touch()
    without, plan = checkout.plan(), checkout.plan(*settings)
    assert without["embed_chunk"] == without["list_embeddings"] == 4
    assert plan == without - Counter(embed_chunk=4, list_embeddings=4) + Counter(adopt_embeddings=4)


def test_published_embeddings_of_one_embedder_leave_another_s_alone(checkout):
    folder = checkout.folder / "published"
    folder.mkdir()
    for shard in ("00", "01", "02", "03"):
        (folder / f"{shard}.jsonl.index").touch()
    settings = (
        "--config", "embeddings={published: {untrained: published}}",
        "search={indexes: [flat, flat_untrained]}",
    )  # fmt: skip
    plan = checkout.plan(*settings)
    assert plan["embed_chunk"] == plan["list_embeddings"] == plan["adopt_embeddings"] == 4


def test_published_embeddings_find_what_the_run_s_own_find(copy):
    target = "results/tiny/candidates/test/flat/pile_github.parquet"
    before = read_table(copy.folder / target)
    (copy.folder / "published").mkdir()
    for shard in ("00", "01"):
        vectors = np.load(copy.folder / f"results/tiny/embeddings/embedder/{shard}/0.npy")
        rejected = copy.folder / f"results/tiny/corpus/{shard}.rejected.jsonl"
        for line in rejected.read_text().splitlines():  # in order; they had vectors, too
            vectors = np.insert(vectors, json.loads(line)["line"] - 1, 0, axis=0)
        index = faiss.IndexFlatL2(vectors.shape[1])
        index.add(vectors)
        faiss.write_index(index, str(copy.folder / f"published/{shard}.jsonl.index"))
    settings = (*TINY, "--config", "embeddings={published: {embedder: published}}")
    again = Counter(adopt_embeddings=2, search_shard=2, merge_candidates=1)
    assert copy.plan(*settings, "--", target) == again
    copy.snakemake(*settings, "--", target)
    after = read_table(copy.folder / target)
    assert after["passage_id"].equals(before["passage_id"])
    assert after["distance"].equals(before["distance"])


SEARCHED = {"merge_candidates": 3, "choose_neighbors": 1, "measure_recall": 2}
"""Of both indexes, and of the exact one for validation documents."""


def test_what_a_changed_chunk_reruns(copy):
    """Its shard's searches, and what all shards' are merged into; a training is of all shards."""
    path = copy.folder / "results/tiny/embeddings/embedder/01/0.npy"
    path.write_bytes(path.read_bytes() + b"x")
    plan = copy.plan(*TINY)
    assert plan["list_embeddings"] == plan["train_shard_index"] == 1
    assert plan["merge_training"] == plan["merge_index"] == plan["draw_random"] == 1
    assert plan["fill_shard_index"] == 2
    assert plan["search_shard"] == 2 + 2  # of the exact index one; of the other one all
    assert {rule: plan[rule] for rule in SEARCHED} == SEARCHED
    assert "embed_chunk" not in plan and "chunk_shard" not in plan


def test_what_a_lost_index_file_reruns(copy):
    """Once something needs it: that shard is filled, searched and merged again, and no other."""
    index = copy.folder / "results/tiny/index/ivf"
    (index / "shards/01.faiss").unlink()
    assert copy.plan(*TINY) == Counter()  # nothing does: the merged index has the same file
    plan = copy.plan(*TINY, "--forcerun", str(Path("results/tiny/index/ivf/shards/01.faiss")))
    once = ("fill_shard_index", "merge_index", "search_shard", "merge_candidates")
    assert [plan[rule] for rule in once] == [1] * 4
    assert plan["measure_recall"] == 1
    assert not {"train_shard_index", "merge_training", "choose_neighbors"} & plan.keys()


@pytest.mark.parametrize("index", ["flat", "ivf"])
def test_a_shard_s_search_needs_no_other_shard_but_for_the_training(index, checkout):
    plan = checkout.plan(f"results/demo/found/test/{index}/00.parquet")
    assert plan["search_shard"] == 1
    assert plan["fill_shard_index"] == (1 if index == "ivf" else 0)
    shards = 4 if index == "ivf" else 1
    assert plan["embed_chunk"] == plan["list_embeddings"] == plan["chunk_shard"] == shards
    assert "list_passages" not in plan and "merge_index" not in plan


def test_an_edit_to_the_drawing_draws_and_reports_and_nothing_else(copy):
    copy.edit("workflow/tttnn/figures/draw.py", "import annotations", "import annotations\nX = 1")
    assert copy.plan(*TINY) == Counter(draw_figure=2, write_report=1)


def test_a_typo_fails_at_once_and_names_the_nearest_key(checkout):
    started = time.monotonic()
    printed = checkout.snakemake("--dry-run", "--config", "evalaute={tasks: [x]}", ok=False)
    print(f"refused in {time.monotonic() - started:.1f} s")
    assert "unknown key 'evalaute'" in printed and "Did you mean 'evaluate'?" in printed
    printed = checkout.snakemake(
        "--dry-run", "--config", "methods={ttt: {lerning_rate: 1}}", ok=False
    )
    assert "methods.ttt: unknown key 'lerning_rate'" in printed
    assert "Did you mean 'learning_rate'?" in printed
    printed = checkout.snakemake("--dry-run", "--config", "evaluate={tasks: [github]}", ok=False)
    assert "'github' is not known. Did you mean 'pile_github'?" in printed


def test_lint_finds_nothing(checkout):
    assert "Congratulations" in checkout.snakemake("--lint")

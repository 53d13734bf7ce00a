"""Caps on tokens: each engine trains on what is left of texts that are cut by hand here.

The tokenizers of these models have a token for a byte, so texts can be cut as strings.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from tiny import save_causal
from tttnn.methods.measure import Adapted, Query
from tttnn.methods.progress import Progress, note_trained, warn_of_long
from tttnn.methods.ttt import engine
from tttnn.methods.ttt.engines import adapters, graphs, lean, weights
from tttnn.methods.ttt.settings import Lora, Recipe
from tttnn.methods.ttt_stopping import engine as stopping
from tttnn.methods.ttt_stopping.settings import Stopping
from tttnn.methods.windows import engine as windows
from tttnn.methods.windows.settings import WindowRecipe
from tttnn.models.folder import load_causal

WINDOW = 32
QUERIES = [
    Query("a", "the cat sat on the mat " * 3, ["the cat sat " * 8, "on the mat " * 12, "a dog"]),
    Query("b", "eins zwei drei " * 5, ["eins zwei " * 3, "drei vier " * 20, "eins"]),
    Query("d", "hier und da " * 4, ["hier", "da" * 40], stopped=True),
]
HALVES = [replace(query, context="the first half, which is not cut " * 2) for query in QUERIES]
ENGINES = {"reference": engine, "lean": lean, "graphs": graphs, "weights": weights}
CAPS = [(40, None), (None, 70), (40, 70), (40, 41)]  # the last leaves a single token of one


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return load_causal(save_causal(tmp_path_factory.mktemp("llama"), "llama"))


def recipe(**changes: object) -> Recipe:
    plain = {"num_neighbors": 3, "evaluate_at": [0, 1, 2, 3], "learning_rate": 1e-2}
    return Recipe.model_validate({**plain, "dropout": "none", **changes})


def cut(query: Query, each: int | None, together: int | None) -> Query:
    """The query with its neighbours cut by hand."""
    left, texts = 10**9 if together is None else together, []
    for text in query.neighbors:
        texts.append(text[: min(left, 10**9 if each is None else each)])
        left -= len(texts[-1])
    return replace(query, neighbors=texts)


def capped(each: int | None, together: int | None) -> dict[str, int | None]:
    return {"max_neighbor_tokens": each, "max_total_neighbor_tokens": together}


def numbers(found: list[Adapted]) -> list:
    return [
        (m.num_neighbors, m.loglikelihood, m.steps, m.train_tokens)
        for result in found
        for m in result.measurements
    ]


def check(module, network, queries, asked: Recipe, caps) -> list:
    """With caps as without them on texts that are cut, and not as without either."""
    ours = asked.model_validate(asked.model_dump() | capped(*caps))
    found = numbers(list(module.adapt(*network, queries, ours, WINDOW)))
    by_hand = [cut(query, *caps) for query in queries]
    assert found == numbers(list(module.adapt(*network, by_hand, asked, WINDOW)))
    assert found != numbers(list(module.adapt(*network, queries, asked, WINDOW)))
    return found


@pytest.mark.parametrize("caps", CAPS)
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_trains_on_what_the_caps_leave(name, caps, llama):
    found = check(ENGINES[name], llama, QUERIES, recipe(), caps)
    expected = numbers(list(engine.adapt(*llama, QUERIES, recipe(**capped(*caps)), WINDOW)))
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours[0], *ours[2:]) == (theirs[0], *theirs[2:])
        assert ours[1] == pytest.approx(theirs[1], rel=1e-5)


@pytest.mark.parametrize("caps", CAPS)
def test_adapters_in_flight_do_too(caps, llama):
    check(adapters, llama, QUERIES, recipe(lora=Lora(rank=2)), caps)


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "neighbor"},
        {"step": "batch"},
        {"prefix": True},
        {"text": "split", "train_on": "query_then_neighbors"},
    ],
    ids=lambda changes: "-".join(changes),
)
@pytest.mark.parametrize("name", ["reference", "lean"])
def test_under_every_recipe(name, changes, llama):
    check(ENGINES[name], llama, HALVES, recipe(**changes), (40, 70))


def test_the_first_half_that_is_trained_on_is_not_cut(llama):
    asked = recipe(text="split", train_on="query")
    ours = recipe(text="split", train_on="query", **capped(2, 2))
    found = [numbers(list(engine.adapt(*llama, HALVES, r, WINDOW))) for r in (asked, ours)]
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["reference", "lean"])
def test_a_repeated_text_that_is_cut_shorter_has_a_gradient_of_its_own(name, llama):
    """Of three times 20 tokens within 50 the last is another text; the second is the first's."""
    same = [Query("a", "the cat " * 4, ["the cat sat on the m"] * 3)]
    asked = recipe(reuse=3, **capped(None, 50))
    (found,) = ENGINES[name].adapt(*llama, same, asked, WINDOW)
    assert [m.train_tokens for m in found.measurements] == [0, 20, 20, 30]
    assert [m.steps for m in found.measurements] == [0, 1, 2, 3]


def test_training_that_stops_early_obeys(llama):
    plain = {"kind": "ttt_stopping", "patience": 3, "text": "split"}
    asked = Stopping.model_validate(recipe().model_dump() | plain)
    check(stopping, llama, HALVES, asked, (40, 70))


@pytest.mark.parametrize("query", ["document", "target"])
def test_windows_of_long_documents_obey(query, llama):
    """The cap on all is of a query's, and windows have queries of their own."""
    asked = {"kind": "windows", "query": query, "num_neighbors": 3, "evaluate_at": [0, 2, 3]}
    asked |= {"learning_rate": 1e-2, "dropout": "none"}
    texts = ["the cat sat on the mat, ", "the dog lay in the sun"]

    def measured(caps: dict, found: list[Query]) -> list:
        own = found[: 1 if query == "document" else 2]
        (result,) = windows.adapt(
            *llama,
            [windows.Document(7, texts, own)],
            WindowRecipe.model_validate(asked | caps),
            WINDOW,
        )
        return [
            (m.loglikelihood, m.steps, m.train_tokens) for row in result.measurements for m in row
        ]

    found = measured(capped(40, 70), QUERIES)
    assert found == measured({}, [cut(one, 40, 70) for one in QUERIES])
    assert found != measured({}, QUERIES)


def test_a_single_token_cannot_be_trained_on():
    for name in capped(1, 1):
        with pytest.raises(ValidationError, match=name):
            recipe(**{name: 1})


def test_what_a_document_is_expected_to_cost_is_capped_too():
    """By bytes, four a token: 3 for each that is trained on, and the text at four numbers."""
    read = [
        recipe(**capped(*caps)).work(100, 0, [400, 4000, 40]).read - 4 * 100
        for caps in [(None, None), (50, None), (None, 60), (50, 60), (50, 105)]
    ]
    assert read == [3 * n for n in (4440, 200 + 200 + 40, 240, 200 + 40, 200 + 200 + 20)]


# --- progress --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*ENGINES, "adapters"])
def test_every_engine_tells_of_its_steps(name, llama):
    """All that is trained on, step by step; of adapters in flight step by step of the group."""
    lora = Lora(rank=2) if name == "adapters" else None
    module = ENGINES.get(name, adapters)
    heard: list[int] = []

    class Listening(Progress):
        def _trained(self, tokens: int) -> None:
            heard.append(tokens)

    with Listening({}, set()):
        found = list(module.adapt(*llama, QUERIES, recipe(lora=lora), WINDOW))
    trained = sum(result.measurements[-1].train_tokens for result in found)
    assert sum(heard) == trained
    assert len(heard) > len(QUERIES)
    note_trained(5)  # nobody listens any more
    assert sum(heard) == trained


def test_the_bar_moves_within_a_document_and_never_back_or_beyond():
    with Progress({"a": 1200, "b": 600, "c": 300}, {"c"}) as progress:
        places = [progress.position]
        for _ in range(3):
            note_trained(40)  # 12 bytes each
            places.append(progress.position)
        progress.finish("a")  # it took more than its steps say: evaluations
        places.append(progress.position)
        note_trained(10_000)
        places.append(progress.position)
        progress.finish("b")
        places.append(progress.position)
    assert places == [300, 780, 1260, 1740, 1740, 2100, 2100]


def test_a_long_neighbour_is_announced_and_a_capped_one_is_not(capsys):
    documents = [
        (replace(QUERIES[0], neighbors=["ab", "x" * 128_000, "y"]), 900),
        (QUERIES[1], 100),
    ]
    warn_of_long(recipe(window=1024), documents)
    said = capsys.readouterr().err
    assert said.startswith("document a is trained on about 32,001 tokens of neighbours, 32,000 of")
    assert "90% of the work expected here (max_neighbor_tokens would cap" in said
    for quiet in (recipe(window=1024, max_neighbor_tokens=2048), recipe(window=8192)):
        warn_of_long(quiet, documents)
        assert capsys.readouterr().err == ""

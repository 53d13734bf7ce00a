"""Long documents window by window, against a plain loop, and what may depend on what."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from tiny import save_causal
from tttnn.methods.likelihood import log_likelihood, rolling_windows
from tttnn.methods.measure import Query
from tttnn.methods.ttt import engine as ttt
from tttnn.methods.windows.engine import Document, adapt
from tttnn.methods.windows.settings import WindowRecipe
from tttnn.methods.windows.stretches import stretches
from tttnn.models.folder import load_causal

LENGTH = 24  # tokens of a window, each a byte, and the most that the model reads at once
RATE = 1e-2
TEXTS = ["the cat sat on the mat, ", "the dog lay in the sun; ", "and so it went."]
BEGIN = ["a cat, a mat and a hat", "mats are for cats"]
NEIGHBORS = [BEGIN, ["dogs like to lie in the warm sun", "sun!"], ["so it goes", "and went"]]
END = 0  # the token that texts begin after
PLAIN = {"learning_rate": RATE, "dropout": "none", "window": LENGTH, "num_neighbors": 2}


@pytest.fixture(scope="module", params=("gpt2", "llama"))
def network(request, tmp_path_factory):
    return load_causal(save_causal(tmp_path_factory.mktemp(request.param), request.param))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return load_causal(save_causal(tmp_path_factory.mktemp("gpt2")))


def recipe(query: str, **changes) -> WindowRecipe:
    points = {"evaluate_at": [0, 1, 2]}
    return WindowRecipe.model_validate(
        {"kind": "windows", "query": query} | PLAIN | points | changes
    )


def document(asked: WindowRecipe, texts=TEXTS, found=NEIGHBORS, name=7) -> Document:
    """The document of these windows, with what the recipe's queries would have found."""
    if asked.query == "none":
        return Document(name, texts, [])
    if asked.query == "document":
        return Document(name, texts, [Query(name, "", found[0])])
    pairs = zip(texts, found, strict=True)
    queries = [Query(f"{name}:{j}", text, some) for j, (text, some) in enumerate(pairs)]
    if asked.query == "past":  # there is none before the first
        queries[0] = Query(f"{name}:0", "", [], stopped=True)
    return Document(name, texts, queries)


def measured(network, asked: WindowRecipe, **changes) -> list[list[float]]:
    """Log-likelihoods, a row a window, a column a number of neighbours."""
    (found,) = adapt(*network, [document(asked, **changes)], asked, LENGTH)
    assert [[m.num_neighbors for m in own] for own in found.measurements] == [
        asked.evaluate_at for _ in found.measurements
    ]
    return [[m.loglikelihood for m in own] for own in found.measurements]


# --- a plain loop --------------------------------------------------------------------------------


class Loop:
    """A model, and the few lines of PyTorch that the method is."""

    def __init__(self, network, texts=TEXTS):
        self.model = copy.deepcopy(network[0]).eval()
        self.state = copy.deepcopy(self.model.state_dict())
        self.ids = [END]
        self.ends = [0]
        for text in texts:
            self.ids += [*self.bytes(network[1], text)]
            self.ends.append(len(self.ids) - 1)
        self.tokenizer = network[1]

    @staticmethod
    def bytes(tokenizer, text):
        vocabulary = tokenizer.get_vocab()
        symbols = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
        return [vocabulary[symbol] for word, _ in symbols for symbol in word]

    def fresh(self):
        return torch.optim.AdamW(self.model.parameters(), lr=RATE, weight_decay=0.01)

    def put_back(self, state=None):
        self.model.load_state_dict(self.state if state is None else state)

    def step(self, optimizer, inputs, targets):
        self.model.zero_grad()
        logits = self.model(torch.tensor([inputs])).logits[0]
        cross_entropy(logits, torch.tensor(targets)).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimizer.step()

    def train_on(self, optimizer, text):
        ids = self.bytes(self.tokenizer, text)
        for start in range(0, len(ids), LENGTH):
            piece = ids[start : start + LENGTH]
            if len(piece) > 1:
                self.step(optimizer, piece[:-1], piece[1:])

    def learn(self, optimizer, j, chunk):
        for a in range(self.ends[j], self.ends[j + 1], chunk):
            b = min(a + chunk, self.ends[j + 1])
            self.step(optimizer, self.ids[a:b], self.ids[a + 1 : b + 1])

    def score(self, j):
        """A window's tokens, given as many tokens to their left as fit."""
        end, count = self.ends[j + 1], self.ends[j + 1] - self.ends[j]
        first = max(0, end - LENGTH)
        with torch.no_grad():
            logits = self.model(torch.tensor([self.ids[first:end]])).logits[0]
        chances = logits.log_softmax(-1)[-count:]
        return sum(chances[k, self.ids[end - count + 1 + k]].item() for k in range(count))


def by_hand(network, query, k, *, carry=False, chunk=None):
    """What each window must be, with k neighbours."""
    loop = Loop(network)
    if k == 0:
        return [loop.score(j) for j in range(len(TEXTS))]
    slow = loop.fresh()  # of the document
    kept = loop.state  # what a window begins from
    scores = []
    if query == "document":
        for text in NEIGHBORS[0][:k]:
            loop.train_on(slow, text)
    for j in range(len(TEXTS)):
        if query in ("target", "past"):
            fast = slow if carry else loop.fresh()
            if not carry:
                loop.put_back(kept)
            for text in NEIGHBORS[j][:k] if query == "target" or j > 0 else ():
                loop.train_on(fast, text)
        scores.append(loop.score(j))
        if chunk is not None:
            if query in ("target", "past") and not carry:
                loop.put_back(kept)
            for _ in range(k if query == "none" else 1):
                loop.learn(slow, j, chunk)
            kept = copy.deepcopy(loop.model.state_dict())
    return scores


CASES = {
    "document": ("document", {}),
    "target": ("target", {}),
    "past": ("past", {}),
    "target, carried": ("target", {"carry": True}),
    "past, carried": ("past", {"carry": True}),
    "score first": ("none", {"chunk": 10}),
    "score first, whole windows": ("none", {"chunk": LENGTH}),
    "document, score first": ("document", {"chunk": 10}),
    "past, score first": ("past", {"chunk": 10}),
    "past, carried, score first": ("past", {"carry": True, "chunk": 10}),
}


@pytest.mark.parametrize("case", CASES)
def test_each_window_is_what_a_plain_loop_makes_of_it(case, network):
    query, how = CASES[case]
    chunk = {"score_first": {"chunk_tokens": how["chunk"]}} if "chunk" in how else {}
    asked = recipe(query, carry=how.get("carry", False), **chunk)
    before = copy.deepcopy(network[0].state_dict())
    found = measured(network, asked)
    for place, k in enumerate(asked.evaluate_at):
        expected = by_hand(network, query, k, **how)
        assert [row[place] for row in found] == pytest.approx(expected, rel=2e-5), f"at {k}"
    after = network[0].state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


# --- the plain evaluation ------------------------------------------------------------------------


def test_without_neighbours_a_document_is_what_the_plain_evaluation_makes_of_it(network):
    ids = Loop(network).ids[1:]
    assert [len(text) for text in TEXTS[:2]] == [LENGTH, LENGTH]  # the same cuts
    plain = log_likelihood(network[0], rolling_windows(ids, END, LENGTH))
    windows = measured(network, recipe("document"))
    assert sum(row[0] for row in windows) == pytest.approx(plain, rel=1e-6)
    cut = stretches([END, *ids], [LENGTH, 2 * LENGTH, len(ids)], LENGTH, None)
    assert [w for part in cut for w in part.scored] == rolling_windows(ids, END, LENGTH)


def test_a_document_with_neighbours_is_what_test_time_training_makes_of_it(network):
    """As many tokens are read at once, so that the two differ in nothing but the order of work."""
    asked = recipe("document", dropout="as_model")
    training = asked.training()
    (expected,) = ttt.adapt(*network, [Query(7, "".join(TEXTS), NEIGHBORS[0])], training, LENGTH)
    (found,) = adapt(*network, [document(asked)], asked, LENGTH)
    for k, whole in enumerate(expected.measurements):
        windows = [own[k] for own in found.measurements]
        assert sum(w.loglikelihood for w in windows) == pytest.approx(whole.loglikelihood, rel=1e-5)
        assert sum(w.steps for w in windows) == whole.steps
        assert sum(w.train_tokens for w in windows) == whole.train_tokens
    assert sum(one.bytes for one in found.sizes) == expected.size.bytes
    assert sum(one.tokens for one in found.sizes) == expected.size.tokens


# --- what may depend on what ---------------------------------------------------------------------

SCORE_FIRST = {"score_first": {"chunk_tokens": 10}}
OTHER = "SOMETHING ELSE, AS LONG."


@pytest.mark.parametrize("dropout", ["none", "as_model"])
@pytest.mark.parametrize(
    ("query", "changes"),
    [
        ("none", SCORE_FIRST),
        ("target", {}),
        ("target", {"carry": True} | SCORE_FIRST),
        ("past", {"carry": True}),
        ("past", SCORE_FIRST),
        ("document", SCORE_FIRST),
    ],
)
def test_nothing_is_trained_on_before_it_is_scored(query, changes, dropout, gpt2):
    """A window that is another one, with what it finds, changes none before it."""
    asked = recipe(query, dropout=dropout, **changes)
    before = measured(gpt2, asked)
    texts = [TEXTS[0], OTHER, TEXTS[2]]
    assert len(OTHER) == len(TEXTS[1])
    found = NEIGHBORS
    if query == "target":  # its own; the past of the third would find others, too
        found = [NEIGHBORS[0], ["text of", "others"], NEIGHBORS[2]]
    after = measured(gpt2, asked, texts=texts, found=found)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_the_past_is_all_that_a_window_is_trained_on(gpt2):
    """With another window j, and what its text finds for the next, window j has the same weights.

    So its own score is what those weights give of the other text, and no earlier one has changed.
    """
    asked = recipe("past", carry=True, **SCORE_FIRST)
    texts = [TEXTS[0], OTHER, TEXTS[2]]
    found = [NEIGHBORS[0], NEIGHBORS[1], ["text of", "others"]]
    before, after = measured(gpt2, asked), measured(gpt2, asked, texts=texts, found=found)
    assert after[0] == before[0]
    loop = Loop(gpt2, texts)
    optimizer = loop.fresh()
    loop.learn(optimizer, 0, 10)
    for text in NEIGHBORS[1]:
        loop.train_on(optimizer, text)
    assert after[1][2] == pytest.approx(loop.score(1), rel=2e-5)


def test_a_document_depends_on_no_other_document(gpt2):
    asked = recipe("past", carry=True, dropout="as_model", **SCORE_FIRST)
    one, other = document(asked), document(asked, [OTHER, *TEXTS], [["x y"], *NEIGHBORS], 9)
    alone = [*adapt(*gpt2, [one], asked, LENGTH)]
    both = [*adapt(*gpt2, [other, one], asked, LENGTH)]

    def values(found):
        return [[m.loglikelihood for m in own] for own in found.measurements]

    assert values(both[1]) == values(alone[0])


def test_numbers_of_neighbours_in_between_change_nothing(gpt2):
    for changes in ({}, {"carry": True}, SCORE_FIRST):
        asked = recipe("target", dropout="as_model", **changes)
        few = asked.model_copy(update={"evaluate_at": [0, 2]})
        assert [[row[0], row[2]] for row in measured(gpt2, asked)] == measured(gpt2, few)


def test_what_was_done_is_counted_once(gpt2):
    """Steps, by hand: neighbours of 22, 17 | 32, 4 | 10, 8 tokens; chunks of 24 and 24 tokens."""
    asked = recipe("target", carry=True, **SCORE_FIRST)
    (found,) = adapt(*gpt2, [document(asked)], asked, LENGTH)
    # of the second window's: 32 tokens are two pieces; before it, three chunks of the first
    assert [[m.steps for m in own] for own in found.measurements] == [
        [0, 1, 2],
        [0, 3 + 2, 3 + 3],
        [0, 3 + 1, 3 + 2],
    ]
    assert [own[2].train_tokens for own in found.measurements] == [39, 24 + 36, 24 + 18]


def test_a_window_that_no_token_begins_in_is_worth_nothing(gpt2):
    """Its character is two tokens, and its text is cut where another tokenizer could."""
    asked = recipe("none", **SCORE_FIRST)
    (found,) = adapt(*gpt2, [Document(1, ["ab", "", "c"], [])], asked, LENGTH)
    assert [own[0].loglikelihood for own in found.measurements][1] == 0
    assert [one.tokens for one in found.sizes] == [2, 0, 1]
    assert all(own[2].loglikelihood < 0 for own in (found.measurements[0], found.measurements[2]))


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"query": "none"}, "nothing is trained on: give score_first"),
        ({"query": "document", "carry": True}, "query is document: set carry: false"),
        ({"query": "past", "score_first": {"chunk_tokens": 25}}, "lower chunk_tokens"),
        ({"query": "past", "train": "lora"}, "adapters: say which"),
        ({"query": "past", "momentum": 0.5}, "momentum is of sgd"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        WindowRecipe.model_validate({"kind": "windows"} | PLAIN | {"evaluate_at": [0, 1]} | changes)


def test_chunks_are_no_longer_than_what_the_model_reads(gpt2):
    asked = recipe("none", window=None, score_first={"chunk_tokens": 65})
    with pytest.raises(ValueError, match=r"\(65\) is above the 64 tokens"):
        next(adapt(*gpt2, [document(asked)], asked, 64))


def test_low_precision_and_parts_of_the_weights_are_trained_as_elsewhere(gpt2):
    """Bfloat16 is near float32, and adapters leave the weights alone; both put them back."""
    before = copy.deepcopy(gpt2[0].state_dict())
    slow = {"learning_rate": 1e-4} | SCORE_FIRST
    whole = measured(gpt2, recipe("past", **slow))
    low = measured(gpt2, recipe("past", precision="bfloat16", **slow))
    assert low != whole
    for mine, theirs in zip(low, whole, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3)
        assert mine[0] == theirs[0]  # evaluated in float32
    adapters = {"lora": {"rank": 2, "alpha": 4.0, "targets": "all-linear"}}
    assert measured(gpt2, recipe("target", **adapters))[1][0] == whole[1][0]
    after = gpt2[0].state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)

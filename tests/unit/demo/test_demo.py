"""The demo corpus: every property that the demo and other tests lean on."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from fractions import Fraction
from random import Random

import pytest

from tttnn.demo import github, mathematics
from tttnn.demo.corpus import generate, planted
from tttnn.demo.grammar import Writer, draw_topic, read
from tttnn.demo.settings import DemoSource
from tttnn.demo.subsets import REGISTERS
from tttnn.demo.words import COMMON
from tttnn.pile import TASK_OF_SUBSET

SHARDS = 2
SOURCE = DemoSource(
    kind="demo", train_documents=500, val_documents=50, test_documents=220, copies=0.2, seed=3
)


@pytest.fixture(scope="module")
def corpus():
    names = ["test", "val", "00", "01"]
    return {name: list(generate(SOURCE, name, SHARDS)) for name in names}


@pytest.fixture(scope="module")
def train(corpus):
    return corpus["00"] + corpus["01"]


def thirteen_grams(text):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 13]) for i in range(len(words) - 12)}


def subset_of(record):
    return record["meta"]["pile_set_name"]


# Grammar


def expand(grammar, template, seed=0):
    return Writer(read(grammar).rules, Random(seed)).expand(template)


def test_a_rule_name_stands_for_one_of_its_options():
    found = {expand("fruit:\n    apple, pear,\n    fig\n", "<fruit>", seed) for seed in range(40)}
    assert found == {"apple", "pear", "fig"}


def test_options_do_not_repeat_before_all_are_used():
    text = expand("digit:\n    1, 2, 3\n", "<digit><digit><digit><digit><digit><digit>")
    assert sorted(text[:3]) == sorted(text[3:]) == ["1", "2", "3"]


def test_a_capital_names_what_the_document_keeps():
    text = expand("hero:\n    ada, bo, cy\n", "<Hero> <Hero> <^Hero>")
    first, second, third = text.split()
    assert first == second and third == first.capitalize()


def test_numbers_have_the_form_of_their_bounds():
    text = expand("x\n    y\n", "<2..9> <0.10..0.99> <01..09>")
    assert re.fullmatch(r"[2-9] 0\.[1-9]\d 0[1-9]", text)


def test_brackets_choose_only_with_a_bar_and_articles_agree():
    assert expand("x\n    y\n", "[1] a[b|b]") == "[1] ab"
    assert expand("x\n    old y\n", "a(n) <x>, A(n) cat") == "an old y, A cat"


def test_a_longer_option_goes_on_below_it():
    assert expand("x\n    one [|\n        ]two\n        three¶\n", "<x>.") == "one two three\n."


def test_a_topic_draws_once_and_leaves_the_rest_to_the_document():
    grammar = read("fact 1\n    <thing> <~thing> <0..9>\nthing:\n    a, b, c\n")
    (fact,) = draw_topic(grammar, Random(0))["fact"]
    assert re.fullmatch(r"[abc] <~thing> <0\.\.9>", fact)


@pytest.mark.parametrize("grammar", ["  option\n", "x\n    y\nNo Rule\n"])
def test_text_that_is_no_grammar_is_refused(grammar):
    with pytest.raises(ValueError, match="neither a rule's name nor an option"):
        read(grammar)


def test_a_bracket_left_open_is_refused():
    with pytest.raises(ValueError, match="not closed"):
        expand("x\n    y\n", "[a|b")


@pytest.mark.parametrize("subset", REGISTERS)
def test_every_slot_of_a_register_has_a_rule(subset):
    register = REGISTERS[subset]
    for topic in range(len(register.grammars)):
        domain = register.domain.grammars[topic % len(register.domain.grammars)]
        rules = read(COMMON, domain, register.grammars[topic]).rules
        texts = [option for options in rules.values() for option in options]
        texts += [text for section in register.sections for text in section]
        slots = {name for text in texts for name in re.findall(r"<[\^~]*([A-Za-z_]+)>", text)}
        assert {name.lower() for name in slots} <= set(rules)


# Shards


def test_the_same_bytes_whatever_the_hash_seed_and_the_order(corpus):
    program = (
        "import json, sys\n"
        "from tttnn.demo.settings import DemoSource\n"
        "from tttnn.demo.corpus import generate\n"
        "source = DemoSource.model_validate_json(sys.argv[1])\n"
        "for shard in sys.argv[2:]:\n"
        "    for record in generate(source, shard, 2): print(json.dumps(record))\n"
    )
    for hash_seed, shards in (("1", ["01", "test"]), ("2", ["val", "01"])):
        printed = subprocess.run(
            [sys.executable, "-c", program, SOURCE.model_dump_json(), *shards],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            check=True,
        ).stdout
        expected = "".join(json.dumps(r) + "\n" for shard in shards for r in corpus[shard])
        assert hashlib.sha256(printed).digest() == hashlib.sha256(expected.encode()).digest()


def test_another_seed_is_another_corpus(corpus):
    other = generate(SOURCE.model_copy(update={"seed": 4}), "val", SHARDS)
    same = [a["text"] == b["text"] for a, b in zip(other, corpus["val"], strict=True)]
    assert sum(same) <= 1  # an empty text may meet another


def test_sizes_and_subsets(corpus):
    sizes = {"test": 220, "val": 50, "00": 500, "01": 500}
    for name, size in sizes.items():
        assert len(corpus[name]) == size
        with_text = Counter(subset_of(record) for record in corpus[name] if record["text"])
        assert set(with_text) == set(TASK_OF_SUBSET)
    counts = Counter(map(subset_of, corpus["test"]))
    assert set(counts.values()) == {10}


def test_meta_is_well_formed(corpus):
    for name, records in corpus.items():
        for record in records:
            assert set(record) == {"text", "meta"}
            assert isinstance(record["text"], str)
            keys = {"pile_set_name", "topic"}
            if name.isdigit() and "copy_of" in record["meta"]:
                keys |= {"copy_of", "copy"}
            assert set(record["meta"]) == keys


def test_a_few_texts_are_empty(corpus):
    empty = {name: sum(not r["text"] for r in records) for name, records in corpus.items()}
    assert empty == {"test": 1, "val": 1, "00": 1, "01": 1}


def test_long_documents_are_few(corpus, train):
    long = Counter(subset_of(r) for r in train if len(r["text"]) > 5000)
    assert set(long) == {"Books3", "Gutenberg (PG-19)", "PubMed Central", "FreeLaw"}
    assert 0.01 < long.total() / len(train) < 0.05
    assert 1 <= sum(len(r["text"]) > 5000 for r in corpus["test"]) <= 5
    assert 900 < sum(len(r["text"]) for r in train) / len(train) < 1500


def test_scripts_and_languages(train):
    text = defaultdict(str)
    for record in train:
        text[subset_of(record)] += record["text"]
    for pattern in ("[а-я]{4}", "[가-힣]{2}", "[ء-ي]{3}"):
        assert re.search(pattern, text["YoutubeSubtitles"])
    for word in ("möchte", "président", "señor", "puhemies", "presidente", "President"):
        assert re.search(word, text["EuroParl"], re.IGNORECASE)


def test_a_shard_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"no shard '02': there are 2 train shards"):
        next(generate(SOURCE, "02", SHARDS))


def test_copies_that_do_not_fit_are_refused():
    source = SOURCE.model_copy(update={"train_documents": 22, "copies": 1.0})
    with pytest.raises(ValueError, match="lower `copies`, or raise `train_documents`"):
        next(generate(source, "00", SHARDS))


# Copies


def test_planted_copies_are_half_exact_and_even_over_subsets(corpus):
    kinds = planted(SOURCE)
    assert len(kinds) == 44
    of = {index: subset_of(corpus["test"][index]) for index in kinds}
    counts = Counter(of.values())
    # The empty test document leaves its subset one short, and another one gets its place.
    assert len(counts) == 22 and set(counts.values()) <= {1, 2, 3}
    assert abs(sum(1 if kind == "exact" else -1 for kind in kinds.values())) <= 2
    for subset in counts:
        own = Counter(kind for index, kind in kinds.items() if of[index] == subset)
        assert abs(own["exact"] - own["near"]) <= 1


def test_train_holds_each_planted_copy_once(corpus, train):
    copies = [record for record in train if "copy_of" in record["meta"]]
    assert {r["meta"]["copy_of"]: r["meta"]["copy"] for r in copies} == planted(SOURCE)
    assert len(copies) == 44
    for copy in copies:
        original = corpus["test"][copy["meta"]["copy_of"]]
        assert original["text"] and subset_of(copy) == subset_of(original)
        if copy["meta"]["copy"] == "exact":
            assert copy["text"] == original["text"]
        else:
            assert copy["text"] != original["text"]
            grams = thirteen_grams(original["text"])
            assert 0.6 < len(grams & thirteen_grams(copy["text"])) / len(grams) < 1


def test_no_copies_but_the_planted_ones(corpus, train):
    holders = defaultdict(set)
    for place, record in enumerate(train):
        for gram in thirteen_grams(record["text"]):
            holders[gram].add(place)
    shares = []
    for index, record in enumerate(corpus["test"]):
        grams = thirteen_grams(record["text"])
        shared = Counter(place for gram in grams for place in holders.get(gram, ()))
        for place in list(shared):
            if train[place]["meta"].get("copy_of") == index:
                del shared[place]
        shares.append(max(shared.values(), default=0) / max(1, len(grams)))
    assert max(shares) < 0.5
    assert sum(shares) / len(shares) < 0.15


def test_lexical_neighbors_share_the_topic(corpus, train):
    plain = [r for r in train if r["text"] and "copy_of" not in r["meta"]]
    bags = [set(re.findall(r"\w+", r["text"].lower())) for r in plain]
    seen = Counter(word for bag in bags for word in bag)
    hits = []
    for record in corpus["test"][::5]:
        words = set(re.findall(r"\w+", record["text"].lower()))
        rare = {word for word in words if seen[word] < 60}
        scores = [sum(1 / seen[w] for w in rare & bag) / (len(bag) + 50) for bag in bags]
        best = plain[max(range(len(plain)), key=scores.__getitem__)]
        hits.append(best["meta"]["topic"] == record["meta"]["topic"])
    assert sum(hits) / len(hits) > 0.85


# DM Mathematics: answers found in another way than the generator's


def primes(number):
    return [p for p in range(2, number + 1) if number % p == 0 and all(p % q for q in range(2, p))]


def numbers(text):
    return [int(number) for number in re.findall(r"-?\d+", text)]


def value(expression, **variables):
    return eval(expression, {"__builtins__": {}}, variables)


def check_add_or_sub(question, answer):
    a, b = numbers(question)
    if question.startswith("Subtract"):
        a, b = b, -a
    elif "minus" in question or re.search(r"\d - -?\d", question):
        b = -b
    assert int(answer) == a + b


def check_divide(question, answer):
    a, b = numbers(question)
    assert Fraction(answer) * b == a


def check_gcd(question, answer):
    a, b = numbers(question)
    assert int(answer) == max(d for d in range(1, a + 1) if a % d == 0 and b % d == 0)


def check_lcm(question, answer):
    a, b = (
        abs(n) for n in numbers(question) if abs(n) not in (1, 7) or "denominator" not in question
    )
    assert int(answer) == next(m for m in range(a, a * b + 1, a) if m % b == 0)


def check_base_conversion(question, answer):
    digits, first, second = re.match(
        r"What is (\w+) \(base (\d+)\) in base (\d+)", question
    ).groups()
    assert int(digits, int(first)) == int(answer, int(second))


def check_linear_1d(question, answer):
    left, right, variable = re.match(r"Solve (.*) = (.*) for (\w)\.", question).groups()
    at = {variable: int(answer)}
    assert value(left, **at) == value(right, **at)


def check_linear_2d(question, answer):
    first, second, wanted = re.match(r"Solve (.*), (.*) for (\w)\.", question).groups()
    other = next(c for c in re.findall("[a-z]", first) if c != wanted)
    solutions = {}
    for name, equation in (("first", first), ("second", second)):
        left, right = equation.split(" = ")
        at_zero = value(left, **{wanted: int(answer), other: 0}) - int(right)
        slope = value(left, **{wanted: int(answer), other: 1}) - int(right) - at_zero
        solutions[name] = Fraction(-at_zero, slope)
    assert solutions["first"] == solutions["second"]


def check_differentiate(question, answer):
    polynomial, variable = re.match(
        r"(?:What is the derivative of|Differentiate) (.*) (?:wrt|with respect to) (\w)", question
    ).groups()
    # A fourth-order central difference is exact up to degree four, the sixth-order one up to six.
    at = Fraction(3)
    weights = {1: Fraction(3, 4), 2: Fraction(-3, 20), 3: Fraction(1, 60)}
    slope = sum(
        weight * (value(polynomial, **{variable: at + h}) - value(polynomial, **{variable: at - h}))
        for h, weight in weights.items()
    )
    assert value(answer, **{variable: at}) == slope


def check_expand(question, answer):
    product = re.match(r"Expand (.*)\.", question).group(1)
    (variable,) = set(re.findall("[a-z]", product))
    assert all(
        value(product, **{variable: n}) == value(answer, **{variable: n}) for n in range(-3, 4)
    )
    assert "(" not in answer


def check_list_prime_factors(question, answer):
    (number,) = numbers(question)
    if number < 3000:
        assert numbers(answer) == primes(number)


def check_nth_term(question, answer):
    variable = re.search(r"the (\w)'th", question).group(1)
    for n, term in enumerate(numbers(question), start=1):
        assert value(answer, **{variable: n}) == term


def check_time(question, answer):
    def minutes(text):
        hour, minute, half = re.search(r"(\d+):(\d\d) (AM|PM)", text).groups()
        return int(hour) % 12 * 60 + int(minute) + 720 * (half == "PM")

    if question.startswith("How many"):
        start, end = question.split(" and ")
        assert (minutes(end) - minutes(start)) % 1440 == int(answer)
    else:
        (length,) = re.findall(r"What is (\d+) minutes", question)
        assert (minutes(question) + int(length)) % 1440 == minutes(answer)


def check_conversion(question, answer):
    amount = Fraction(re.search(r"\d+\.\d", question).group())
    units = re.findall(r"(milli|centi|kilo|)meters", question)
    size = {"milli": Fraction(1, 1000), "centi": Fraction(1, 100), "": 1, "kilo": 1000}
    source, target = reversed(units) if question.startswith("How many") else units
    assert amount * size[source] == Fraction(answer) * size[target]


CHECKS = {name[6:]: check for name, check in list(globals().items()) if name.startswith("check_")}


@pytest.mark.parametrize("module", CHECKS)
def test_answers_are_right(module):
    write_question = getattr(mathematics, module)
    for seed in range(60):
        CHECKS[module](*write_question(Random(seed)))


def test_mathematics_documents_are_questions_and_answers(train):
    for record in train:
        if (
            subset_of(record) == "DM Mathematics"
            and record["text"]
            and not record["meta"].get("copy")
        ):
            lines = record["text"].split("\n")
            assert len(lines) % 2 == 0
            assert all(re.search(r"[.?]$|\?  \(a\)", question) for question in lines[::2])


# Github


def test_code_is_verbatim_and_parses(corpus, train):
    library = github.standard_library()
    sources = {
        path: [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        for path in github.files(SOURCE.seed)
    }
    assert all(path.is_relative_to(library) for path in sources)
    joined = ["\n".join(lines) for lines in sources.values()]
    seen = 0
    for record in corpus["test"] + train:
        if (
            subset_of(record) != "Github"
            or not record["text"]
            or record["meta"].get("copy") == "near"
        ):
            continue
        body = ast.parse(record["text"]).body
        assert any(
            isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for n in body
        )
        text = "\n".join(line.strip() for line in record["text"].splitlines())
        assert any(text in source for source in joined)
        seen += 1
    assert seen > 40


def test_no_function_is_in_test_and_train(corpus, train):
    def texts(records):
        return {r["text"] for r in records if subset_of(r) == "Github" and "copy" not in r["meta"]}

    assert not (texts(corpus["test"]) & texts(train)) - {""}

"""`tttnn adapt`: cases are checked first, none is lost after, messages name its options."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import re
import shutil
import time
from pathlib import Path

import pytest
import zstandard

from tiny import save_causal
from tttnn.command import main
from tttnn.methods.case_file import read_cases
from tttnn.methods.measure import Query
from tttnn.methods.ttt.engine import adapt as adapt_loop
from tttnn.methods.ttt.settings import Recipe
from tttnn.models.folder import load_causal


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_causal(tmp_path_factory.mktemp("gpt2"))


GOOD = {"id": "a", "text": "some text, in U+2028\u2028two lines", "neighbors": ["some", "more"]}


def adapt(folder: Path, model: Path, lines: list[str | dict], *options: str):
    content = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "cases.jsonl").write_text(content + "\n", encoding="utf-8")
    words = [str(folder / "cases.jsonl"), "--model", str(model), "--output", f"{folder}/out.json"]
    main(["adapt", *words, "--learning-rate", "1e-3", "--neighbors", "2", *options])
    return json.loads((folder / "out.json").read_text())


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("not json", "malformed JSON"),
        ("[1, 2]", "not a JSON object"),
        ("[" * 100_000, "malformed JSON"),
        ({"id": "b", "text": "some"}, "neighbors"),
        ({"text": "some", "neighbors": []}, "id"),
        ({**GOOD, "text": ""}, "empty text"),
        ({**GOOD, "text": 5}, "text is not a string"),
        ({**GOOD, "text": "a\ud800"}, "text has a lone surrogate"),
        ({**GOOD, "neighbors": ["one", "\udfff"]}, "neighbour 2 has a lone surrogate"),
        ({**GOOD, "id": ["b"]}, "id must be"),
        ({**GOOD, "id": True}, "id must be"),
        ({**GOOD, "id": "b", "neighbors": ["one"]}, "case 'b' has 1 neighbour, but --neighbors"),
        ({**GOOD, "neighbors": ["one", 2]}, "neighbors must be a list"),
        ({**GOOD, "neighbors": "one text"}, "neighbors must be a list"),
        ({**GOOD, "neighbors": 3}, "neighbors must be a list"),
    ],
)
def test_a_bad_case_names_its_line(bad, reason, tmp_path):
    """Before any model is loaded."""
    with pytest.raises(SystemExit, match=rf"^tttnn adapt: .*cases\.jsonl, line 3: .*{reason}"):
        adapt(tmp_path, tmp_path / "no model", [GOOD, GOOD, bad, GOOD])
    assert not (tmp_path / "out.json").exists()


def test_cases_are_adapted_to(model, tmp_path):
    unescaped = json.dumps({**GOOD, "id": "b"}, ensure_ascii=False)
    assert "\u2028" in unescaped  # str.splitlines would cut the case in two
    results = adapt(tmp_path, model, [GOOD, unescaped])
    assert [result["id"] for result in results] == ["a", "b"]
    recipe = Recipe(num_neighbors=2, evaluate_at=[0, 1, 2], learning_rate=1e-3)
    query = Query("a", GOOD["text"], GOOD["neighbors"])
    (expected,) = adapt_loop(*load_causal(model), [query], recipe, 64)
    assert results[0]["loglikelihood"] == [m.loglikelihood for m in expected.measurements]
    assert results[0]["train_loss"] == [m.train_loss for m in expected.measurements[1:]]
    assert results[0]["bytes"] == len(GOOD["text"].encode())


def test_two_cases_of_one_id_are_named(tmp_path):
    with pytest.raises(SystemExit, match=r"line 3: id 'a' is that of line 1: give each"):
        adapt(tmp_path, tmp_path / "no model", [GOOD, {**GOOD, "id": 1}, GOOD])


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\r\n \n"])
def test_a_file_without_cases_is_an_error(content, tmp_path):
    (tmp_path / "cases.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=r"cases\.jsonl holds no case"):
        read_cases(tmp_path / "cases.jsonl")


def test_cases_as_windows_writes_them_are_read(tmp_path):
    """A byte-order mark, CRLF, a blank line between and one at the end; places are the file's."""
    line = json.dumps(GOOD).encode()
    content = b"\xef\xbb\xbf" + line + b"\r\n\r\n" + line.replace(b'"a"', b"7") + b"\r\n\r\n"
    (tmp_path / "cases.jsonl").write_bytes(content)
    cases = read_cases(tmp_path / "cases.jsonl")
    assert [(case.line, case.query.id) for case in cases] == [(1, "a"), (3, 7)]
    assert {case.query.text for case in cases} == {GOOD["text"]}


LINE = json.dumps(GOOD).encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(LINE), "compressed by gzip, not lines of JSON: .*gzip -dc"),
        (zstandard.compress(LINE), "compressed by zstd, not lines of JSON: .*zstd -dc"),
        (LINE.decode().encode("utf-16"), "text in UTF-16 .*iconv -f UTF-16 -t UTF-8"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "a Git LFS pointer, .*git lfs pull",
        ),
        (b"PAR1\x15\x04", "a parquet file, not lines of JSON: .*write_ndjson"),
        (b"ARROW1\x00\x00", "an Arrow file, not lines of JSON: .*write_ndjson"),
        (b"[\n" + LINE + b"]\n", r"a JSON array, .*`jq -c '\.\[\]'`"),
        (b"\xef\xbb\xbf [" + LINE + b"]", r"a JSON array, .*`jq -c '\.\[\]'`"),
        (json.dumps(GOOD, indent=2).encode(), r"JSON on several lines, .*`jq -c '\.'`"),
    ],
)
@pytest.mark.parametrize("name", ["cases.jsonl", "cases", "cases.txt"])
def test_a_file_of_another_kind_is_named_with_the_remedy(name, content, message, tmp_path):
    """As for a corpus, but whatever the name: only lines of JSON are read."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^\S+{name} is {message}") as error:
        read_cases(path)
    assert not re.search(r"\n|rename|parquet, with", str(error.value))  # no use to `adapt`
    path.write_bytes(LINE)
    assert len(read_cases(path)) == 1


@pytest.mark.parametrize("name", ["nowhere.jsonl", "."])
def test_cases_that_cannot_be_read_are_a_line_with_the_remedy(name, tmp_path):
    with pytest.raises(
        ValueError, match=r"cannot be read \(.*\): give the path of a file of cases"
    ):
        read_cases(tmp_path / name)


def other_spelling(cases: Path) -> Path:
    (cases.parent / "folder").mkdir()
    return cases.parent / "folder" / ".." / cases.name


def soft_link(cases: Path) -> Path:
    (cases.parent / "soft.json").symlink_to(cases)
    return cases.parent / "soft.json"


def hard_link(cases: Path) -> Path:
    (cases.parent / "hard.json").hardlink_to(cases)
    return cases.parent / "hard.json"


def link_to_folder(cases: Path) -> Path:
    (cases.parent / "link").symlink_to(cases.parent)
    return cases.parent / "link" / cases.name


@pytest.mark.parametrize("spelt", [Path, other_spelling, soft_link, hard_link, link_to_folder])
def test_the_output_never_takes_the_place_of_the_cases(spelt, model, tmp_path):
    cases = tmp_path / "cases.jsonl"
    cases.write_bytes(LINE)
    with pytest.raises(SystemExit, match=r"^tttnn adapt: --output .* over the cases, .*other name"):
        adapt(tmp_path, model, [GOOD], "--output", str(spelt(cases)))
    assert json.loads(cases.read_bytes()) == GOOD


def test_the_journal_never_takes_the_place_of_the_cases(model, tmp_path):
    cases = tmp_path / ".out.json.journal"
    cases.write_bytes(LINE)
    words = [str(cases), "--model", str(model), "--output", str(tmp_path / "out.json")]
    with pytest.raises(SystemExit, match="over the cases"):
        main(["adapt", *words, "--learning-rate", "1e-3", "--neighbors", "2"])
    assert cases.read_bytes() == LINE


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", "is a folder: give the name of a file in it"),
        ("no model/config.json", "is in the folder of --model .*: give another folder"),
        ("cases.jsonl/out.json", r"cannot be written \(.*\): give a path in a folder that you may"),
        ("/dev/null", "is there and is no file"),
        ("/proc/none/out.json", r"cannot be written \(.*\): give a path in a folder that you may"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_first(output, message, tmp_path):
    """Before the cases are read, and before any model is loaded."""
    with pytest.raises(SystemExit, match=rf"^tttnn adapt: --output .+ {message}") as error:
        adapt(tmp_path, tmp_path / "no model", ["no case"], "--output", str(tmp_path / output))
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["cases.jsonl"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--neighbors -1", "--neighbors is -1"),
        ("--learning-rate nan", "--learning-rate is nan"),
        ("--learning-rate 0", "--learning-rate is 0"),
        ("--window 1", "--window is 1"),
        ("--model ./nowhere", r"--model \./nowhere: there is no folder \./nowhere"),
    ],
)
def test_messages_name_the_options_of_the_command_line(options, message, tmp_path):
    with pytest.raises(SystemExit, match=rf"^tttnn adapt: {message}"):
        adapt(tmp_path, tmp_path / "no model", [GOOD], *options.split())


def test_bits_per_byte_are_of_the_evaluated_text(model, tmp_path):
    (result,) = adapt(tmp_path, model, [{**GOOD, "text": "grün, 12 bytes"[:11]}])
    assert result["bytes"] == 12
    assert result["bits_per_byte"] == pytest.approx(
        [-value / 12 / math.log(2) for value in result["loglikelihood"]]
    )
    assert (result["status"], result["lost_characters"]) == ("measured", 0)


def test_a_case_that_diverges_loses_no_other(model, tmp_path):
    """The others are what they are without it."""
    quiet = {**GOOD, "neighbors": ["", ""]}  # nothing to train on, so nothing diverges
    cases = [quiet, {**GOOD, "id": "b"}, {**quiet, "id": "c"}]
    large = ("--learning-rate", "1e30")
    with pytest.raises(SystemExit, match=r"line 2: case 'b' diverged: .* --learning-rate \(1 of 3"):
        adapt(tmp_path, model, cases, *large)
    results = json.loads((tmp_path / "out.json").read_text())
    assert [result["status"] for result in results] == ["measured", "diverged", "measured"]
    assert results[1]["loglikelihood"][0] == pytest.approx(results[0]["loglikelihood"][0])
    assert results[1]["loglikelihood"][1:] == results[1]["bits_per_byte"][1:] == [None, None]
    assert [results[0], results[2]] == adapt(tmp_path, model, [cases[0], cases[2]], *large)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("rate", ["1e12", "1e38"])
def test_a_neighbour_without_text_has_no_loss_and_is_no_divergence(rate, model, tmp_path):
    cases = [{**GOOD, "neighbors": ["", ""]}, {**GOOD, "id": "b", "neighbors": ["", "more"]}]
    with pytest.raises(SystemExit, match=r"line 2: case 'b' diverged: .* after 2 neighbours is"):
        adapt(tmp_path, model, cases, "--learning-rate", rate)
    quiet, diverged = json.loads((tmp_path / "out.json").read_text())
    assert (quiet["status"], diverged["status"]) == ("measured", "diverged")
    assert quiet["train_loss"] == [None, None]
    assert quiet["loglikelihood"] == [diverged["loglikelihood"][0]] * 3
    assert diverged["loglikelihood"] == [*quiet["loglikelihood"][:2], None]
    assert diverged["train_loss"][0] is None
    assert diverged["train_loss"][1] > 0  # before the step
    with pytest.raises(SystemExit, match=r"case 'b' diverged: .* after 1 neighbour is not finite"):
        adapt(tmp_path, model, [{**cases[1], "neighbors": ["more", ""]}], "--learning-rate", rate)


def test_a_document_without_halves_is_left_out_and_named(model, tmp_path, capsys):
    cases = [{**GOOD, "text": "\N{FROG FACE}"}, {**GOOD, "id": "b"}]  # four tokens, one character
    results = adapt(tmp_path, model, cases, "--split")
    assert results[0] == {"id": "a", "status": "no halves"}
    assert results[1]["status"] == "measured"
    assert "line 1: case 'a' has no two tokens to cut between" in capsys.readouterr().err


def interrupted(*arguments):
    yield next(iter(adapt_loop(*arguments)))
    raise KeyboardInterrupt


@pytest.mark.parametrize("harm", [None, b"garbage\n", b'{"id": "b"}\t00000000\n', b"[\xff"])
def test_finished_cases_survive_a_failure(harm, model, tmp_path, monkeypatch, capsys):
    cases = [GOOD, {**GOOD, "id": "b", "text": "another"}, {**GOOD, "id": 3, "text": "a third"}]
    (tmp_path / "whole").mkdir()
    whole = adapt(tmp_path / "whole", model, cases)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tttnn.methods.ttt.engine.adapt", interrupted)
        adapt(tmp_path, model, cases)
    assert not (tmp_path / "out.json").exists()
    journal = tmp_path / ".out.json.journal"
    if harm:
        with journal.open("ab") as file:
            file.write(harm)
    capsys.readouterr()
    evaluated = []

    def counted(network, tokenizer, queries, *rest):
        evaluated.extend(query.id for query in queries)
        yield from adapt_loop(network, tokenizer, queries, *rest)

    monkeypatch.setattr("tttnn.methods.ttt.engine.adapt", counted)
    assert adapt(tmp_path, model, cases) == whole
    message = capsys.readouterr().err
    assert "going on after 1 of 3 cases" in message
    assert evaluated == ["b", 3]
    assert (f"{journal}, line 3: damaged, thrown away" in message) == (harm is not None)
    assert not journal.exists()


@pytest.mark.parametrize("change", ["cases", "model", "settings", "as released"])
def test_cases_of_something_else_are_done_again(change, model, tmp_path, monkeypatch, capsys):
    cases, options = [GOOD, {**GOOD, "id": "b"}], []
    shutil.copytree(model, tmp_path / "model")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tttnn.methods.ttt.engine.adapt", interrupted)
        adapt(tmp_path, tmp_path / "model", cases, *(["--as-released"] * (change[:2] == "as")))
    if change == "cases":
        cases = [GOOD, {**GOOD, "id": "c"}]
    elif change == "model":
        save_causal(tmp_path / "model")
    else:
        options = {"settings": ["--window", "8"], "as released": ["--as-released"]}[change]
    capsys.readouterr()
    adapt(tmp_path, tmp_path / "model", cases, *options)
    assert "going on" not in capsys.readouterr().err


def test_split_and_dynamic_evaluate_the_second_half(model, tmp_path):
    case = {**GOOD, "text": "first half" + "the second"}
    (split,) = adapt(tmp_path, model, [case], "--split")
    (dynamic,) = adapt(tmp_path, model, [case], "--dynamic")
    (half,) = adapt(tmp_path, model, [{**case, "text": "the second"}])
    (trained,) = adapt(
        tmp_path, model, [{**case, "text": "the second", "neighbors": ["first half"] * 2}]
    )
    assert split == half
    assert dynamic == trained
    assert split["loglikelihood"][0] == dynamic["loglikelihood"][0]
    assert not math.isclose(split["loglikelihood"][2], dynamic["loglikelihood"][2])
    with pytest.raises(SystemExit, match="exclude each other"):
        adapt(tmp_path, model, [case], "--split", "--dynamic")


# --- any file at all -------------------------------------------------------------------------


def harmed(generator: random.Random, content: bytes) -> bytes:
    """A case file after a few of the things that happen to files, or to what writes them."""
    for _ in range(generator.randrange(1, 4)):
        place, end = sorted(generator.randrange(len(content) + 1) for _ in range(2))
        piece = generator.choice(
            [
                *(b"", b"\n", b"\r\n", b"\x00", b"\xff", b"\\ud800", b"null", b"NaN", b"1e999"),
                *(b'"', b"{", b"}", b"[", b"]", b",", b"\xef\xbb\xbf", b"9" * 5000, b"[" * 9999),
                *(b'"id"', b'"text"', b'"neighbors"', b"\xe2\x80\xa8", content[place:end]),
                generator.randbytes(3),
            ]
        )
        kept = generator.choice([end, place])  # replaced, or put in
        content = content[:place] + piece + content[kept:]
    return content


def check_fuzzed(path: Path) -> bool:
    """Whether the file is read; then its cases are right. Else the error is a line and names it."""
    try:
        cases = read_cases(path)
    except ValueError as error:
        assert str(path) in str(error)
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 1000
        return False
    assert len({case.query.id for case in cases}) == len(cases)
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for line, query in cases:
        record = json.loads(lines[line - 1])
        assert (query.id, query.text, query.neighbors) == tuple(
            record[name] for name in ("id", "text", "neighbors")
        )
        "".join([str(query.id), query.text, *query.neighbors]).encode()
        assert query.text.strip()
    return True


def test_any_file_is_read_rightly_or_refused_in_a_line(tmp_path):
    """Seeded; TTTNN_FUZZ_SECONDS goes on for so long, 1 s is the least."""
    generator = random.Random(8)
    lines = [GOOD, {**GOOD, "id": 2, "neighbors": []}, {**GOOD, "id": "grün", "text": "天地\t"}]
    forms = [
        "\n".join(json.dumps(line, ensure_ascii=ascii) for line in lines).encode()
        for ascii in (True, False)
    ]
    until = time.monotonic() + float(os.environ.get("TTTNN_FUZZ_SECONDS", "10"))
    path, read, refused = tmp_path / "cases.jsonl", 0, 0
    while time.monotonic() < until or read + refused < 200:
        path.write_bytes(harmed(generator, generator.choice(forms)))
        if check_fuzzed(path):
            read += 1
        else:
            refused += 1
    assert min(read, refused) > 20


def test_neighbours_are_capped_by_options(model, tmp_path):
    """A token is a byte here, so texts can be cut by hand."""
    caps = ("--max-neighbor-tokens", "6", "--max-total-neighbor-tokens", "9")
    long = {**GOOD, "neighbors": ["some text", "more text"]}
    capped = adapt(tmp_path, model, [long], *caps)
    assert capped == adapt(tmp_path, model, [{**long, "neighbors": ["some t", "mor"]}])
    assert capped != adapt(tmp_path, model, [long])
    with pytest.raises(SystemExit, match=r"^tttnn adapt: --max-neighbor-tokens is 1: "):
        adapt(tmp_path, model, [long], "--max-neighbor-tokens", "1")

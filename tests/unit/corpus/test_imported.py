"""`tttnn import`: texts of one's own in, a folder that the workflow reads out."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from tttnn.command import main
from tttnn.corpus.imported import _drawn, _place, import_

MAIL, SUBTITLES = "Enron Emails", "OpenSubtitles"


def _read(folder, name):
    with zstandard.open(folder / f"{name}.jsonl.zst", "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    return [(record["text"], record["meta"]["pile_set_name"]) for record in records]


def _all(folder):
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.jsonl.zst"))
    return {name.removesuffix(".jsonl.zst"): _read(folder, name[:-10]) for name in names}


@pytest.fixture
def mail(tmp_path):
    """A folder of files as people have them."""
    folder = tmp_path / "mail"
    (folder / "sent" / ".hidden").mkdir(parents=True)
    for number in range(60):
        (folder / f"{number}.txt").write_text(f"mail {number}\r\nwith a line", newline="")
    (folder / "sent/no-suffix").write_bytes("\ufeffGrüße".encode())
    (folder / "sent/picture.png").write_bytes(b"\x89PNG\x00\xff")
    (folder / "sent/empty.txt").write_text(" \n")
    (folder / "sent/.hidden/secret.txt").write_text("not to be read")
    return folder


def test_every_text_is_somewhere_once_with_its_subset(mail, tmp_path, capsys):
    subtitles = [f"line {number}" for number in range(40)]
    pq.write_table(pa.table({"words": subtitles}), tmp_path / "subs.parquet")
    import_(texts=[f"enron emails={mail}"], output=tmp_path / "mine", test=0.2, val=0.1, shards=3)
    found = _all(tmp_path / "mine")
    assert sorted(found) == ["test", "train/00", "train/01", "train/02", "val"]
    texts = Counter(pair for pairs in found.values() for pair in pairs)
    expected = {f"mail {number}\nwith a line" for number in range(60)} | {"Grüße"}
    assert texts == dict.fromkeys(((text, MAIL) for text in expected), 1)
    said = json.loads((tmp_path / "mine/import.json").read_text())
    assert said["documents"] == {name: {MAIL: len(pairs)} for name, pairs in found.items()}
    assert said["omitted"] == {"not a text in UTF-8": 1, "empty text": 1}
    assert f"left out: 1 (empty text), in {mail}/sent/empty.txt\n" in capsys.readouterr().err


def test_records_come_from_lines_and_from_parquet(tmp_path):
    pq.write_table(pa.table({"words": ["a", None, "b"] * 20}), tmp_path / "subs.parquet")
    lines = "\n".join(json.dumps({"words": f"mail {n}", "id": n}) for n in range(40))
    (tmp_path / "mail.jsonl").write_text(lines)
    import_(
        texts=[f"pile_opensubtitles={tmp_path}/subs.parquet", f"{MAIL}={tmp_path}/mail.jsonl"],
        output=tmp_path / "mine",
        field="words",
        test=0.4,
    )
    found = Counter(pair for pairs in _all(tmp_path / "mine").values() for pair in pairs)
    expected = {("a", SUBTITLES): 20, ("b", SUBTITLES): 20}
    assert found == expected | {(f"mail {n}", MAIL): 1 for n in range(40)}


def test_where_a_text_goes_depends_on_the_seed_and_on_no_other_text(mail, tmp_path):
    texts = [f"{MAIL}={mail}"]
    import_(texts=texts, output=tmp_path / "one", test=0.3)
    (mail / "7.txt").unlink()
    import_(texts=texts, output=tmp_path / "two", test=0.3)
    import_(texts=texts, output=tmp_path / "three", test=0.3, seed=7)
    one, two, three = (_all(tmp_path / name) for name in ("one", "two", "three"))
    gone = ("mail 7\nwith a line", MAIL)
    assert {name: [p for p in pairs if p != gone] for name, pairs in one.items()} == two != three


@given(st.text(min_size=1), st.integers(0, 2**32))
def test_shares_are_shares(text, seed):
    drawn = _drawn(text, seed)
    assert 0 <= drawn < 1 and drawn == _drawn(text, seed)


def test_places_are_in_proportion():
    places = Counter(_place((n + 0.5) / 1000, 0.1, 0.2, 4) for n in range(1000))
    train = {f"train/{number:02}": 175 for number in range(4)}
    assert places == {"test": 200, "val": 100} | train


@pytest.mark.parametrize(
    ("texts", "words", "message"),
    [
        ("letters={mail}", [], "'letters' is no subset of the Pile(.|\n)*pile_enron"),
        ("{mail}", [], "write SUBSET=PATH"),
        ("Enron Emails=nowhere", [], "nowhere is neither a file nor a folder"),
        ("Enron Emails={mail}/sent/picture.png", [], r"there is no text; left out: 1 \(not a text"),
        ("Enron Emails={mail}", ["--test", "0"], "take shares"),
        ("Enron Emails={mail}", ["--shards", "0"], "--shards is 0: 1 to 100"),
        ("Enron Emails={mail}", ["--shards", "99"], "would have no text: lower --shards"),
        ("Enron Emails={mail}", ["--test", "1e-9"], "test would have no text: raise --test"),
        ("Enron Emails=hf:some/data", [], "give the revision too"),
    ],
)
def test_what_does_not_go_is_said_and_leaves_nothing(mail, tmp_path, texts, words, message):
    given = texts.format(mail=mail)
    with pytest.raises(SystemExit, match=message):
        main(["import", "--texts", given, "--output", str(tmp_path / "mine"), *words])
    assert not list(tmp_path.glob("*mine*"))


def test_a_fault_names_its_place(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"body": "two"}\n')
    with pytest.raises(SystemExit, match=r"a\.jsonl, line 2 has no field 'text': give --field"):
        main(["import", "--texts", f"{MAIL}={tmp_path}/a.jsonl", "--output", f"{tmp_path}/mine"])
    pq.write_table(pa.table({"body": ["one"]}), tmp_path / "a.parquet")
    with pytest.raises(SystemExit, match=r"a\.parquet has no column 'text'"):
        main(["import", "--texts", f"{MAIL}={tmp_path}/a.parquet", "--output", f"{tmp_path}/mine"])
    with pytest.raises(SystemExit, match="is there already"):
        main(["import", "--texts", f"{MAIL}={tmp_path}/a.jsonl", "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match="--texts is empty"):
        main(["import", "--texts", "--output", f"{tmp_path}/mine"])


def test_a_damaged_file_is_named(tmp_path):
    pq.write_table(pa.table({"text": [f"text {n}" * 9 for n in range(99)]}), tmp_path / "a.parquet")
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[40:200] = b"\xff" * 160
    (tmp_path / "a.parquet").write_bytes(data)
    whole = zstandard.compress(b'{"text": "one"}\n' * 99)
    (tmp_path / "a.jsonl.zst").write_bytes(whole[:-5])
    for name in ("a.parquet", "a.jsonl.zst"):
        given = f"{MAIL}={tmp_path}/{name}"
        with pytest.raises(SystemExit, match=rf"{name} cannot be read(.|\n)*copy it again"):
            main(["import", "--texts", given, "--output", f"{tmp_path}/mine"])


def test_binary_columns_are_texts_and_numbers_are_not(tmp_path):
    texts = [f"ö {n}".encode() for n in range(40)]
    pq.write_table(pa.table({"text": [*texts, b"\xff", None]}), tmp_path / "a.parquet")
    import_(texts=[f"{MAIL}={tmp_path}/a.parquet"], output=tmp_path / "mine", test=0.4)
    found = {text for pairs in _all(tmp_path / "mine").values() for text, _ in pairs}
    assert found == {text.decode() for text in texts}
    said = json.loads((tmp_path / "mine/import.json").read_text())
    assert said["omitted"] == {"not a text in UTF-8": 1, "no text": 1}
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "b.parquet")
    with pytest.raises(ValueError, match="column 'text' holds int64, no text"):
        import_(texts=[f"{MAIL}={tmp_path}/b.parquet"], output=tmp_path / "other")


def test_a_text_that_the_workflow_would_refuse_is_refused(tmp_path, monkeypatch):
    for module in ("imported", "inputs"):
        monkeypatch.setattr(f"tttnn.corpus.{module}.LONGEST_LINE", 100)
    (tmp_path / "long.txt").write_text("a" * 101)
    (tmp_path / "doubled.txt").write_text('"' * 60)  # each is two characters of JSON
    for name, message in (("long", "cut it into several files"), ("doubled", "as a record")):
        with pytest.raises(ValueError, match=message):
            import_(texts=[f"{MAIL}={tmp_path}/{name}.txt"], output=tmp_path / "mine")


def test_links_are_followed_once_and_those_to_nothing_are_counted(mail, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "more.txt").write_text("a linked text")
    (mail / "link").symlink_to(elsewhere)
    (mail / "sent/up").symlink_to(mail)
    (mail / "nothing").symlink_to("nowhere")
    (mail / "nothing.jsonl").symlink_to("nowhere")
    import_(texts=[f"{MAIL}={mail}"], output=tmp_path / "mine", test=0.2)
    texts = Counter(text for pairs in _all(tmp_path / "mine").values() for text, _ in pairs)
    assert texts["a linked text"] == 1 and texts.total() == 62
    assert json.loads((tmp_path / "mine/import.json").read_text())["omitted"] == {
        "not a text in UTF-8": 3,
        "empty text": 1,
    }


def test_the_command_it_prints_names_the_folder_whatever_it_is_called(mail, tmp_path, capsys):
    output = tmp_path / "it's, {mine}: ü #1"
    import_(texts=[f"{MAIL}={mail}"], output=output, test=0.2)
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert yaml.safe_load(words[-1].partition("=")[2]) == {"folder": {"path": str(output)}}


ROWS = [f'mail {n}, "quoted"\nwith a line' for n in range(40)]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a.csv", lambda file, rows: csv.writer(file).writerows([["id", "text"], *rows])),
        (
            "a.tsv",
            lambda file, rows: csv.writer(file, "excel-tab").writerows([["id", "text"], *rows]),
        ),
        (
            "a.ndjson",
            lambda file, rows: file.writelines(
                json.dumps({"id": n, "text": text}) + "\n" for n, text in rows
            ),
        ),
    ],
)
def test_tables_of_text_and_lines_by_another_name_are_records(tmp_path, name, written):
    with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
        file.write("\ufeff")
        written(file, list(enumerate(ROWS)))
    import_(texts=[f"{MAIL}={tmp_path}/{name}"], output=tmp_path / "mine", test=0.4)
    found = Counter(text for pairs in _all(tmp_path / "mine").values() for text, _ in pairs)
    assert found == dict.fromkeys(ROWS, 1)


def test_a_table_s_faults_name_their_place(tmp_path):
    for text, message in (
        ("id,text\n1,a,b\n", r"a\.csv, line 2: 3 values for 2 columns: mend the line"),
        ('id,text\n1,"a"b\n', r"a\.csv, line 2: .*mend the line"),
        ("id,body\n1,a\n", r"a\.csv has no column 'text': give --field"),
        ("", r"a\.csv has no column 'text'"),
    ):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            import_(texts=[f"{MAIL}={tmp_path}/a.csv"], output=tmp_path / "mine")
    (tmp_path / "a.csv").write_bytes(b"text\n\xff\xfe\n" + b"".join(b"t%d\n" % n for n in range(9)))
    import_(texts=[f"{MAIL}={tmp_path}/a.csv"], output=tmp_path / "mine", test=0.4)
    said = json.loads((tmp_path / "mine/import.json").read_text())
    assert said["omitted"] == {"not a text in UTF-8": 1}


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ('[{"text": "a"}]', r"jq -c '\.\[\]' OLD > NEW\.jsonl"),
        ('{\n"text": "a"}', r"jq -c \. OLD"),
        ('{"text": "a"}\n', r"rename it to end in \.jsonl"),
    ],
)
def test_json_that_is_no_lines_is_refused_by_name(mail, tmp_path, text, remedy):
    (mail / "b.json").write_text(text)
    (mail / "c.json").write_text(text)
    with pytest.raises(ValueError, match=rf"b\.json, .*c\.json: a \.json file is not.*{remedy}"):
        import_(texts=[f"{MAIL}={mail}"], output=tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_copies_are_counted_and_stay_together(tmp_path, capsys):
    for n in range(40):
        (tmp_path / f"{n}.txt").write_text(f"mail {n % 30}")
    import_(texts=[f"{MAIL}={tmp_path}"], output=tmp_path / "out/mine", test=0.4)
    assert "note: 10 texts of 40 are copies of another" in capsys.readouterr().err
    assert json.loads((tmp_path / "out/mine/import.json").read_text())["copies"] == 10
    sides: dict[str, set[str]] = {}
    for name, pairs in _all(tmp_path / "out/mine").items():
        for text, _ in pairs:
            sides.setdefault(text, set()).add(name)
    assert all(len(names) == 1 for names in sides.values()) and len(sides) == 30


def test_a_record_s_own_subset_that_is_overwritten_is_said(tmp_path, capsys):
    own = ["Github", "Enron Emails", None, "Letters"]
    records = [{"text": f"t {n}", "meta": {"pile_set_name": own[n % 4]}} for n in range(40)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "a.jsonl").write_text(lines)
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        import_(texts=[f"{MAIL}={tmp_path}/{name}"], output=tmp_path / f"of {name}", test=0.4)
        assert {s for pairs in _all(tmp_path / f"of {name}").values() for _, s in pairs} == {MAIL}
        assert (
            "note: 10 texts given as Enron Emails named Github as the subset: Enron Emails is "
            "written" in capsys.readouterr().err
        )


def test_bad_files_are_named_up_to_ten_and_counted(mail, tmp_path, capsys):
    for n in range(12):
        (mail / f"z{n:02}.txt").write_text(" ")
    import_(texts=[f"{MAIL}={mail}"], output=tmp_path / "mine", test=0.2)
    (line,) = (x for x in capsys.readouterr().err.splitlines() if "(empty text)" in x)
    assert line.startswith("left out: 13 (empty text), in ") and line.endswith("z08.txt, 3 more")
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "fine"}\n{"text": 1}\n{oh\n{no\n')
    given = [f"{MAIL}={tmp_path}/{name}.jsonl" for name in ("a", "b")]
    with pytest.raises(ValueError, match=r"a\.jsonl, line 3: .*\n.*b\.jsonl, line 3: ") as caught:
        import_(texts=given, output=tmp_path / "other")
    assert len(str(caught.value).splitlines()) == 2


def test_a_bar_goes_to_the_end_of_the_files(mail, tmp_path, monkeypatch):
    bars = []

    class Bar(tqdm):
        def __init__(self, **more: object) -> None:
            super().__init__(**more | {"disable": False, "file": io.StringIO()})
            bars.append(self)

    monkeypatch.setattr("tttnn.corpus.imported.tqdm", Bar)
    pq.write_table(pa.table({"text": [f"t {n}" for n in range(99)]}), mail / "a.parquet")
    import_(texts=[f"{MAIL}={mail}"], output=tmp_path / "mine", test=0.2)
    size = sum(p.stat().st_size for p in mail.rglob("*") if p.is_file() and p.parent.name[0] != ".")
    assert [(bar.n, bar.total) for bar in bars] == [(size, size)]

"""A line of JSON is what Python's json says it is, whichever parser reads it."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tttnn.corpus import records
from tttnn.corpus.records import RecordError, parse_line


def by_json(line: bytes) -> object:
    """The definition: the object, or the fault's reason and detail."""
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return "not UTF-8", str(error)
    except (ValueError, RecursionError) as error:
        return "malformed JSON", str(error)
    if not isinstance(record, dict):
        return "not a JSON object", ""
    try:
        str(record.get("text")).encode()
    except UnicodeEncodeError as error:
        return "text has a lone surrogate", str(error)
    return record


def parsed(line: bytes) -> object:
    try:
        return parse_line(line)
    except RecordError as fault:
        return fault.reason, fault.detail


def same(one: object, other: object) -> bool:
    """Equal in types, in the order of keys, in the sign of zero; a NaN is one."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(same(a, b) for a, b in pairs)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return repr(one) == repr(other)
    return one == other


ODD = [
    b'{"text": "a", "n": 12345678901234567890}',
    b'{"text": "a", "n": 123456789012345678901234567890}',
    b'{"text": "a", "n": [[-9223372036854775809]]}',
    b'{"text": "a", "n": 18446744073709551616}',
    b'{"text": "a", "n": -0}',
    b'{"text": "a", "n": -0.0}',
    b'{"text": "a", "n": 1e400}',
    b'{"text": "a", "n": 1e-400}',
    b'{"text": "a", "n": 1E5}',
    b'{"text": "a", "n": 0.1000000000000000055511151231257827}',
    b'{"text": "a", "n": 2.2250738585072011e-308}',
    b'{"text": "a", "n": NaN}',
    b'{"text": "a", "n": -Infinity}',
    b'{"text": "a", "n": 01}',
    b'{"text": "a", "n": ' + b"9" * 5000 + b"}",
    b'{"text": "a", "text": "b", "n": 1, "text": "c"}',
    b'{"text": "\\ud800"}',
    b'{"text": "\\udc00\\ud800"}',
    b'{"text": "\\ud83d\\ude00"}',
    b'{"text": "a", "\\ud800": "\\ud800"}',
    b'{"text": "\xed\xa0\x80"}',
    b'{"text": "\xc0\x80"}',
    b'{"text": "\xf4\x90\x80\x80"}',
    b'{"text": "a\x00b"}',
    b'{"text": "a\\u0000b"}',
    b'{"text": "a\tb"}',
    b'{"text": "a\x7f\xc2\x85\xe2\x80\xa8b"}',
    b'{"text": "\\/\\b\\f\\n\\r\\t\\"\\\\"}',
    b'{"text": "\\x41"}',
    b'{"text": "a",}',
    b"{'text': 'a'}",
    b'{"text": "a"} // a note',
    b'\xef\xbb\xbf{"text": "a"}',
    b'\xef\xbb\xbf\xef\xbb\xbf{"text": "a"}',
    b'\xc2\xa0{"text": "a"}',
    b' \t\r{"text" :\t"a" }\r\n',
    b'{"text": "a"}\x00',
    b'{"text": "a"}{"text": "b"}',
    b'["text"]',
    b'"text"',
    b"null",
    b"1.5",
    b"{}",
    b"{",
    b"",
    b'{"": {"": [[], {}, [[null, true, false, 1.5, 1, "\\u00e9"]]]}}',
    b'{"text": "a", "n": ' + b"[" * 20 + b"]" * 20 + b"}",
    b'{"text": "a", "n": ' + b"[" * 1010 + b"]" * 1010 + b"}",
    b'{"text": "a", "n": ' + b'{"m":' * 1010 + b"1" + b"}" * 1011,
    b'{"text": "a", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
]


@pytest.mark.parametrize("line", ODD, ids=range(len(ODD)))
def test_an_odd_line_is_what_json_makes_of_it(line: bytes) -> None:
    assert same(parsed(line), by_json(line)), line[:80]


def test_odd_lines_are_not_all_left_to_json(monkeypatch) -> None:
    """The comparison above would hold of a parser that is never asked."""
    read = []
    monkeypatch.setattr(records.json, "loads", read.append)
    for line in (b'{"text": "a", "meta": {"pile_set_name": "ArXiv"}}', b'{"a": [{"b": [0.5]}]}'):
        parse_line(line)
    assert read == []


PUT_IN = b'{}[]",:\\0123456789eE.-+ \t\x00\xc3\xa9\xed\xff'
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["text", "meta", "n"]), VALUES), st.booleans())
@example({"text": "\N{FROG FACE}", "n": [-0.0, 2.0**63, math.inf, 5e-324]}, False)
def test_what_json_writes_is_read_as_by_json(record: dict, ascii_only: bool) -> None:
    line = json.dumps(record, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert same(parsed(line), by_json(line))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([line for line in ODD if len(line) < 200]), st.randoms())
def test_a_damaged_line_is_what_json_makes_of_it(line: bytes, dice: random.Random) -> None:
    damaged = bytearray(line)
    for _ in range(dice.randrange(1, 4)):
        place = dice.randrange(len(damaged) + 1)
        match dice.randrange(3):
            case 0:
                del damaged[place : place + 1]
            case 1:
                damaged.insert(
                    place, dice.choice(b'{}[]",:\\0123456789eE.-+ \t\x00\xc3\xa9\xed\xff')
                )
            case 2 if place < len(damaged):
                damaged[place] ^= 1 << dice.randrange(8)
    assert same(parsed(bytes(damaged)), by_json(bytes(damaged))), bytes(damaged)


def test_a_long_line_is_left_to_json(monkeypatch) -> None:
    """Of nested lists orjson takes many times a line's length in memory."""
    monkeypatch.setattr(records, "ALIKE_LINE", 20)
    monkeypatch.setattr(records.json, "loads", lambda text: {"text": f"json read {len(text)}"})
    assert parse_line(b'{"text": "123456789"}') == {"text": "json read 21"}
    assert parse_line(b'{"text": "12345678"}') == {"text": "12345678"}

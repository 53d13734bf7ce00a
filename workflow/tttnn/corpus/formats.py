"""What a file is, by its name and by its first bytes; standard library only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tttnn.pile import SUFFIXES

LOOKED_AT = 512  # bytes; a tar archive has its mark at byte 257
BOM = b"\xef\xbb\xbf"


class CorpusError(ValueError):
    """The corpus cannot be used as it is; the message names the file, the place and the remedy."""


class ArchiveError(CorpusError):
    """A corpus file is cut short or damaged, so that nothing behind the damage can be read."""


class Kind(NamedTuple):
    """What first bytes show: the name of it, and what to do with such a file."""

    name: str
    remedy: str
    mark: re.Pattern[bytes]


def _kind(name: str, remedy: str, mark: bytes) -> Kind:
    return Kind(name, remedy, re.compile(mark, re.DOTALL | re.IGNORECASE))


ZSTD = _kind(
    "compressed by zstd",
    "rename it to end in .jsonl.zst if it holds lines of JSON; if it holds parquet, decompress it, "
    "`zstd -dc OLD > NEW.parquet`",
    rb"(?-i:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2aM\x18)",
)
PARQUET = _kind("a parquet file", "rename it to end in .parquet", rb"(?-i:PAR1)")
JSON = _kind("plain text", "rename it to end in .jsonl", rb"(\xef\xbb\xbf)?\s*\{")
ENCRYPTED_PARQUET = _kind(
    "an encrypted parquet file", "write it anew without encryption, as .parquet", rb"(?-i:PARE)"
)
ARROW = _kind(
    "an Arrow file",
    "write it anew as .parquet, with pyarrow or polars",
    rb"(?-i:ARROW1\x00\x00)",
)
POINTER = _kind(
    "a Git LFS pointer, which stands for a file",
    "fetch the file itself with `git lfs pull` where it was cloned",
    rb"version https?://(git-lfs|hawser)\.github\.com/",
)
WIDE_TEXT = _kind(
    "text in UTF-16 or UTF-32",
    "write it anew in UTF-8: `iconv -f UTF-16 -t UTF-8` (or UTF-32)",
    rb"\xff\xfe|\xfe\xff|\x00\x00\xfe\xff",
)
WEB_PAGE = _kind(
    "a web page or a server's message (HTML or XML)",
    "the address is wrong or needs a login; open it in a browser to see",
    rb"(\xef\xbb\xbf)?\s*<(!|\?xml|[a-z]+[\s>])",
)
OTHERS = (
    POINTER,
    _kind(
        "a git-annex pointer, which stands for a file",
        "fetch the file itself with `git annex get` where it was cloned",
        rb"(\.\./)*(\.git)?/annex/objects/",
    ),
    _kind(
        "compressed by gzip",
        "decompress it with `gzip -dc` to a file that ends in .jsonl",
        rb"\x1f\x8b",
    ),
    _kind(
        "compressed by bzip2",
        "decompress it with `bzip2 -dc` to a file that ends in .jsonl",
        rb"(?-i:BZh[1-9]1AY&SY)",
    ),
    _kind(
        "compressed by xz",
        "decompress it with `xz -dc` to a file that ends in .jsonl",
        rb"(?-i:\xfd7zXZ\x00)",
    ),
    _kind(
        "compressed by lz4",
        "decompress it with `lz4 -dc` to a file that ends in .jsonl",
        rb"(?-i:\x04\x22M\x18)",
    ),
    _kind("a zip archive", "unpack it with `unzip`", rb"(?-i:PK(\x03\x04|\x05\x06))"),
    _kind("a tar archive", "unpack it with `tar -xf`", rb".{257}(?-i:ustar)"),
    ENCRYPTED_PARQUET,
    ARROW,
    _kind(
        "an Arrow stream",
        "write it anew as .parquet, with pyarrow (pyarrow.ipc.open_stream) or polars",
        rb"\xff{4}..[\x00-\x0f]\x00",  # the length of the schema after it, less than 1 MiB
    ),
    WIDE_TEXT,
    WEB_PAGE,
)
TEXT = _kind(
    "other text",
    "put the shard itself in its place",
    rb"([\t-\r\x1b\x20-\x7e]|[\xc2-\xf4][\x80-\xbf]{1,3})+([\xc2-\xf4][\x80-\xbf]{0,2})?\Z",
)
MESSAGE = _kind(
    "a server's message",
    "the address is wrong or needs a login, or the server was at fault; fetch the file again",
    rb"(\xef\xbb\xbf)?\s*\{(?!.*\"text\")",
)
"""JSON that is no document; a file is one only if it is shorter than `LOOKED_AT`."""
SHOWN = 80  # bytes of a text in a message
OF_SUFFIX = dict(zip(SUFFIXES, (ZSTD, JSON, PARQUET), strict=True))


def suffix(name: str) -> str:
    """The format of a corpus file, by its name; raises `CorpusError` for any other."""
    for known in SUFFIXES:
        if name.endswith(known):
            return known
    raise CorpusError(f"{name}: a corpus file ends in one of {', '.join(SUFFIXES)}")


def kind_of(first: bytes) -> Kind | None:
    """What a file is that begins with these (up to `LOOKED_AT`) bytes, if they show it."""
    kinds = (*OF_SUFFIX.values(), *OTHERS)
    found = next((kind for kind in kinds if kind.mark.match(first)), None)
    return found or (TEXT if TEXT.mark.match(first[:LOOKED_AT]) else None)


def other_form(first: bytes) -> str | None:
    """What to do with JSON that begins so, which is not an object a line; None for any other."""
    start = first.removeprefix(BOM).lstrip()
    if start.startswith(b"["):
        return "If it is one JSON array, write it as a record a line: `jq -c '.[]' OLD > NEW.jsonl`"
    if re.match(rb"\{[ \t]*(\r?\n|\Z)", start):
        return "If records take several lines, write each on one: `jq -c . OLD > NEW.jsonl`"
    return None


def first_bytes(path: Path) -> bytes:
    """As many as `kind_of` looks at."""
    with path.open("rb") as file:
        return file.read(LOOKED_AT)


def check_kind(path: Path) -> None:
    """Raise `CorpusError`, with the remedy, for a corpus file that is not what its name says.

    A file whose first bytes show nothing passes, and any text as `.jsonl`; its reader says what is
    wrong with it.
    """
    named = suffix(path.name)
    first = first_bytes(path)
    found = kind_of(first)
    if found in (None, OF_SUFFIX[named]) or (found is TEXT and named == ".jsonl"):
        return
    if found is JSON and len(first) < LOOKED_AT and MESSAGE.mark.match(first):
        found = MESSAGE
    name, remedy = found.name, found.remedy
    if found in (TEXT, MESSAGE):
        start = first[:SHOWN].decode("utf-8", errors="replace")
        name = f"{name}, which begins {start!r}"
    if found is TEXT and (hint := other_form(first)):
        remedy = hint
    raise CorpusError(f"{path} is named {named} but is {name}: {remedy}.")

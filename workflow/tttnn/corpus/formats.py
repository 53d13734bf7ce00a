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
    "rename it to end in .jsonl.zst",
    rb"(?-i:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2aM\x18)",
)
PARQUET = _kind("a parquet file", "rename it to end in .parquet", rb"(?-i:PAR1)")
JSON = _kind("plain text", "rename it to end in .jsonl", rb"(\xef\xbb\xbf)?\s*\{")
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
        "compressed by gzip",
        "decompress it with `gzip -dc` and compress it with `zstd`, or leave it as .jsonl",
        rb"\x1f\x8b",
    ),
    _kind(
        "compressed by bzip2",
        "decompress it with `bzip2 -dc` and compress it with `zstd`, or leave it as .jsonl",
        rb"(?-i:BZh[1-9]1AY&SY)",
    ),
    _kind(
        "compressed by xz",
        "decompress it with `xz -dc` and compress it with `zstd`, or leave it as .jsonl",
        rb"(?-i:\xfd7zXZ\x00)",
    ),
    _kind(
        "compressed by lz4",
        "decompress it with `lz4 -dc` and compress it with `zstd`, or leave it as .jsonl",
        rb"(?-i:\x04\x22M\x18)",
    ),
    _kind("a zip archive", "unpack it with `unzip`", rb"(?-i:PK(\x03\x04|\x05\x06))"),
    _kind("a tar archive", "unpack it with `tar -xf`", rb".{257}(?-i:ustar)"),
    _kind(
        "an encrypted parquet file", "write it anew without encryption, as .parquet", rb"(?-i:PARE)"
    ),
    _kind(
        "an Arrow file",
        "write it anew as .parquet, with pyarrow or polars",
        rb"(?-i:ARROW1\x00\x00)",
    ),
    WIDE_TEXT,
    WEB_PAGE,
)
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
    return next((kind for kind in kinds if kind.mark.match(first)), None)


def first_bytes(path: Path) -> bytes:
    """As many as `kind_of` looks at."""
    with path.open("rb") as file:
        return file.read(LOOKED_AT)


def check_kind(path: Path) -> None:
    """Raise `CorpusError`, with the remedy, for a corpus file that is not what its name says.

    A file whose first bytes show nothing passes; its reader says what is wrong with it.
    """
    named = suffix(path.name)
    found = kind_of(first_bytes(path))
    if found not in (None, OF_SUFFIX[named]):
        raise CorpusError(f"{path} is named {named} but is {found.name}: {found.remedy}.")

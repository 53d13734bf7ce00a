"""Which servers there are, what they hold, and of which build the index is."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tttnn.live.remote import Remote, RemoteError
from tttnn.live.shard import Build


class IncompleteError(ValueError):
    """Not all shards answered; the message names those and their servers."""


class Table(NamedTuple):
    """Which servers hold what, when it was looked at."""

    build: Build | None
    held: dict[str, list[Remote]]  # by shard
    reasons: list[str]
    seen: float


def _build_of(told: dict[str, Any]) -> tuple[Build, list[str]]:
    """What a server says of itself; raises `ValueError` for anything else."""
    try:
        build = Build(**told["build"])
        held = [str(name) for name in told["held"]]
        is_one = all(isinstance(digest, str) for digest in build.shards.values())
    except (KeyError, TypeError, AttributeError):
        raise ValueError("its health is none of a server of ours") from None
    if not is_one or not set(held) <= build.shards.keys() or told.get("status") != "serving":
        raise ValueError(f"it is {told.get('status')!r}")
    return build, held


def tabulated(
    source: Path, remotes: list[Remote], told: list[dict[str, Any] | RemoteError]
) -> Table:
    """From what each server says of its health; those of the build that most shards are of count.

    Raises `IncompleteError` where as many shards are of another build.
    """
    well: list[tuple[Remote, Build, list[str]]] = []
    reasons = []
    for remote, answer in zip(remotes, told, strict=True):
        try:
            if isinstance(answer, RemoteError):
                raise answer
            well.append((remote, *_build_of(answer)))
        except RemoteError as error:
            reasons.append(str(error))
        except ValueError as error:
            reasons.append(f"{remote.location}: {error}")
    weights: Counter[str] = Counter()
    for digest in {build.digest for _, build, _ in well}:
        shards = {name for _, build, held in well if build.digest == digest for name in held}
        weights[digest] = len(shards)
    first, *others = weights.most_common(2) or [("", 0)]
    if others and others[0][1] == first[1]:
        raise IncompleteError(
            f"servers in {source} are of builds {first[0][:12]} and "
            f"{others[0][0][:12]}, as many shards of each: stop those of one"
        )
    held: dict[str, list[Remote]] = {}
    chosen = None
    for remote, build, names in well:
        if build.digest != first[0]:
            reasons.append(
                f"{remote.location} (shards {', '.join(names)}): it is of build "
                f"{build.digest[:12]}, most are of {first[0][:12]}"
            )
            continue
        chosen = build
        for name in names:
            held.setdefault(name, []).append(remote)
    return Table(chosen, held, reasons, time.monotonic())

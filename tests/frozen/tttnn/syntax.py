"""Frozen: digests of this file stand in a test. One of everything that Python 3.11 can say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Generic, TypeVar

from tttnn.other import LIMIT, helper

T = TypeVar("T")
NUMBERS = (0, -1, 1.5, 1e-300, 2j, 0x10, 10**20, True, None, ...)
WORDS = "a" "b", b"\x00\xff", "é\n'\"", r"\d", f"{LIMIT!r:>{10}} {LIMIT=}", f"{1 + 1:.2f}" f"{'x'}"


@dataclass(frozen=True)
class Box(Generic[T]):
    """A docstring, which does not count."""

    value: T
    other: int = 3
    "nor does this"

    @property
    def twice(self) -> list[T]:
        return [self.value, *[self.value for _ in range(1) if self.other if not None]]


def everything(a, b=1, /, c: int = 2, *args: int, d, e="x", **kwargs: str) -> dict[str, int] | None:
    global COUNT
    COUNT = a if a else b
    if (n := len(args)) > 2 and not d or a is not None:
        pass
    elif a in {1, 2}:
        del kwargs["x"], c
    else:
        assert a, "message"
    for i, (j, *k) in enumerate([(1, 2)]):
        while i < j <= 3 != 4:
            i += 1
            break
        else:
            continue
    try:
        raise ValueError(n) from None
    except (ValueError, TypeError) as error:
        print(error)
    except OSError:
        raise
    else:
        pass
    finally:
        helper()
    try:
        pass
    except* ValueError:
        pass
    with open(a) as x, open(b):
        x[1:2, ::3] = x @ x // 2 << 1 | 3 & ~4 ^ 5
    match a:
        case {"k": 1, **rest}:
            return rest
        case [1, 2.5, *_] | (3 as e):
            return None
        case Box(value=str() | None, other=-1):
            return {**kwargs, "y": 1}
        case _ if a > 1:
            return None
    return (lambda x, *, y=1: x + y)(1)


async def waiting(items):
    async with asyncio.timeout(1):
        async for item in items:
            yield await item
    [x async for x in items]
    {x: y for x, y in items}
    {x for x in items}
    (x for x in items)

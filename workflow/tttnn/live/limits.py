"""What a server takes on, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass

from tttnn.live.texts import KEPT


class Refused(ValueError):
    """A request that is not answered; `name` is the fault in one word, for programs."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name


@dataclass(frozen=True)
class Limits:
    """Of one server. Whoever is refused is told which of them it was.

    A request that finds all places taken waits for one, as one of at most `waiting` and for at most
    `wait_seconds`; then it is refused as busy. Its place is free again when its answer is made, not
    when the answer has been read.
    """

    max_k: int = 2000  # neighbours of a vector
    max_vectors: int = 1024  # of a request
    max_ids: int = 10_000  # texts asked for in a request
    max_request_bytes: int = 8 << 20
    max_answer_bytes: int = 8 << 20  # clients ask again for the texts that are left out
    unread_bytes: int = 64 << 20  # of all answers that are being made or have not been read
    text_bytes: int = KEPT  # of texts and their files that were asked for last, in memory
    in_flight: int = 64  # requests worked on at once
    waiting: int = 512
    wait_seconds: float = 10.0
    read_seconds: float = 30.0  # in which a client has to read its answer
    connections: int = 4096
    grace_seconds: float = 30.0  # for what is in flight, when the server is told to stop

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                option = name.replace("_", "-")
                raise ValueError(f"--{option} is {value}: it must be more than 0")

"""What every way to make candidates of other candidates has."""

from __future__ import annotations

from tttnn.sections.base import Section

POOLS = "tttnn.retrieval.pools.*"
"""Where the kinds have their settings (see `tttnn.sections.kinds`)."""


class Pool(Section):
    """Candidates that are made of what indexes found.

    `kind` names the module of `tttnn.retrieval.pools`. That module has a function
    `pooled(spec, members, found)`: of one task's queries (n,), in the order of their file, and for
    each of `sources` their K candidates' passage ids (n, K), nearest first, the ids (n, k) of
    theirs, best first, or (n, 0) where there can be none.
    """

    kind: str

    @property
    def sources(self) -> list[str]:
        """Whose candidates they are made of: indexes, or entries of `lexical`.

        Distances are of the first one's embedder.
        """
        raise NotImplementedError

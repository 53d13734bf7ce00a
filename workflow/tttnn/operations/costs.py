"""What each job will need: memory, time, disk. The rooms' formulas, and what rules ask for by them.

A formula stands in the room of its stage, in `needs`; `tttnn plan` prints what it gives, and holds
it against what a finished run used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import ceil

from tttnn.config.root import Config
from tttnn.corpus.needs import FORMULAS as CORPUS
from tttnn.figures.needs import FORMULAS as FIGURES
from tttnn.methods.experts.needs import FORMULAS as EXPERT_RULES
from tttnn.methods.needs import FORMULAS as METHOD_RULES
from tttnn.methods.needs import fit
from tttnn.models.needs import FORMULAS as MODELS
from tttnn.needs.kinds import load
from tttnn.needs.need import Need
from tttnn.needs.rates import MB, START
from tttnn.needs.scale import Formula
from tttnn.operations.afford import within_hours
from tttnn.operations.sizes import SAMPLE_BYTES, scale
from tttnn.published.needs import FORMULAS as PUBLISHED
from tttnn.report.needs import FORMULAS as REPORT
from tttnn.retrieval.needs import FORMULAS as RETRIEVAL
from tttnn.retrieval.scored_needs import FORMULAS as SCORED
from tttnn.retrieval.text_needs import FORMULAS as TEXTS
from tttnn.scores.needs import FORMULAS as SCORES
from tttnn.sections.kinds import INDEXES, METHODS
from tttnn.sections.long import QUERIES as WINDOW_QUERIES
from tttnn.sections.memory import BASE, SLACK, room
from tttnn.stages import with_signature
from tttnn.wording import counted

FORMULAS = CORPUS | MODELS | RETRIEVAL | SCORED | TEXTS | METHOD_RULES | EXPERT_RULES
FORMULAS |= SCORES | FIGURES | PUBLISHED | REPORT
"""By rule."""

HEADROOM = 1.5  # a rule asks for so much more memory than is expected,
SLURM_MB = 400  # and for Snakemake's own processes inside a job,
PATIENCE = 3.0  # and for so much more time
LEAST_MB, LEAST_MINUTES = 1000, 30
SHORT = 1.0  # seconds of work: threads would spare less than a job's start takes
MORE_MEMORY = 1.5  # an attempt asks for so many times what the one before did


SAMPLED = ("train_shard_index", "merge_training")
LEARNING = (*SAMPLED, "fill_shard_index", "merge_index")
IN_PARTS = ("search_shard", "merge_candidates", "measure_recall", "measure_distances")
"""Rules that work in blocks and groups as `memory_mb` has room for, by index."""


def _formula(rule: str) -> Formula:
    if rule not in FORMULAS:
        raise ValueError(
            f"rule {rule} has no formula of what it needs: write one into FORMULAS of the needs.py "
            "beside its stage"
        )
    return FORMULAS[rule]


class Costs:
    """The needs of a configuration's jobs.

    `mem_mb` and `runtime` make the functions that a rule's resources are; they take Snakemake's
    wildcards and the number of the attempt, and ask for more each time. `threads` makes a rule's.

    `afforded` is what `select.hours` led to, or None.

    Raises `ValueError` if an evaluated kind of method, or a built type of index, does not say what
    it needs, and as `within_hours` does; `of`, `mem_mb` and `runtime` raise it for a rule without a
    formula.
    """

    def __init__(self, config: Config) -> None:
        config, self.afforded = within_hours(config)
        self._scale = scale(config)
        for name in config.evaluated:
            load(METHODS, config.methods[name].kind)
        for name in config.built_indexes:
            load(INDEXES, config.indexes[name].kind)
            self._check_room(name, config.indexes[name].LEARNS)

    def _check_room(self, index: str, learns: bool) -> None:
        """Raise `ValueError` if `memory_mb` is too little for what cannot be done in parts."""
        has = room(self._scale.memory_mb)
        for rule in (*(LEARNING if learns else ()), *IN_PARTS):
            least = self.of(rule, {"index": index}).least or 0.0
            if least > has:
                raise ValueError(
                    f"memory_mb ({self._scale.memory_mb}): {rule} of index {index} needs at least "
                    f"{ceil((least * SLACK + BASE) / MB)}: raise memory_mb"
                    + (", or lower the index's sample_per_shard" if rule in SAMPLED else "")
                )

    def known(self) -> str:
        """From where the sizes are."""
        return self._scale.texts.known

    def documents(self, shard: str) -> float:
        """Of a train shard or a held-out one."""
        return self._scale.documents_of(shard)

    def selected(self, task: str) -> float:
        """Test documents of a task that are evaluated."""
        return self._scale.texts.selected[task]

    def without_documents(self) -> Iterator[str]:
        """A line about the evaluated tasks of which no test document was seen, if there are any.

        Of a local file only the start is read, so that what is not in it may still come.
        """
        tasks = list(dict.fromkeys(task for _, _, task in self._scale.cells))
        if none := [task for task in tasks if not self._scale.texts.selected[task]]:
            yield (
                f"No test document of {len(none)} of {counted(len(tasks), 'task')} was found (by "
                f"the first {SAMPLE_BYTES / 1e6:g} MB of text), and without any, nothing is "
                "evaluated: "
                f"{', '.join(none)}. Take them out of evaluate.tasks, or add such documents."
            )

    def fit(self, cell: Mapping[str, str]) -> int:
        """Neighbours that a method's budget has room for, of a document of the mean length."""
        return fit(self._scale, cell)

    def of(self, rule: str, wildcards: Mapping[str, str]) -> Need:
        """Of one job."""
        by_window = wildcards.get("queries") in WINDOW_QUERIES
        return _formula(rule)(self._scale.by_window if by_window else self._scale, wildcards)

    def mem_mb(self, rule: str) -> Callable[..., int]:
        """A function for a rule's `mem_mb`."""
        _formula(rule)
        need = partial(self.of, rule)

        def asked(wildcards: Mapping[str, str], attempt: int) -> int:
            needed = need(wildcards)
            memory = HEADROOM * needed.memory / MB + SLURM_MB
            memory = max(LEAST_MB, memory) * MORE_MEMORY ** (attempt - 1)
            if needed.least is not None:  # the stage makes do with what it gets
                memory = min(memory, self._scale.memory_mb)
            return round(memory)

        return with_signature(asked)

    def runtime(self, rule: str) -> Callable[..., int]:
        """A function for a rule's `runtime`, in minutes."""
        _formula(rule)
        need = partial(self.of, rule)

        def asked(wildcards: Mapping[str, str], attempt: int) -> int:
            minutes = PATIENCE * need(wildcards).seconds / 60
            return round(max(LEAST_MINUTES, minutes) * attempt)

        return with_signature(asked)

    def threads(self, rule: str, most: int) -> Callable[..., int]:
        """A function for a rule's `threads`: `most`, or one for a job that is short with one."""
        _formula(rule)
        need = partial(self.of, rule)

        def asked(wildcards: Mapping[str, str]) -> int:
            work = most * (need(wildcards).seconds - START)
            return 1 if work < SHORT else most

        return with_signature(asked)

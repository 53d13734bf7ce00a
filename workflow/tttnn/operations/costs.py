"""What each job will need: memory, time, disk. Formulas, and rates with where they are from.

The rules ask for what stands here, with headroom; `tttnn plan` prints it, and holds it against
what a finished run used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from tttnn.config.root import Config
from tttnn.operations.rates import (
    CPU,
    DISK,
    DISTANCES,
    ENCODED,
    GPU,
    GPU_STEP_SECONDS,
    HEADROOM,
    LEAST_MB,
    LEAST_MINUTES,
    MB,
    PATIENCE,
    PYTHON,
    SLURM_MB,
    START,
    START_TORCH,
    STEP_SECONDS,
    TEXT_BYTES,
    TORCH,
    Estimate,
    activations,
    published_seconds,
)
from tttnn.operations.sizes import TOKEN_BYTES, Shape, shape, texts


def _with_signature(function: Callable[..., int]) -> Callable[..., int]:
    """Snakemake asks for it several times a job; kept, that is a tenth of a long plan's time."""
    function.__signature__ = signature(function)
    return function


class Costs:
    """The costs of a configuration's jobs.

    `mem_mb` and `runtime` make the functions that a rule's resources are; they take Snakemake's
    wildcards and the number of the attempt, and ask for more each time. A formula `_rule` has the
    rule's wildcards as parameters.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._texts = texts(config)
        self._gpu = config.environment == "gpu"
        self._rates = GPU if self._gpu else CPU
        self._whence = "40 % of an A100's peak" if self._gpu else "the demo's benchmarks"
        self._shapes: dict[str, Shape] = {}
        length = self._texts.bytes / self._texts.documents
        tokens = length / TOKEN_BYTES
        chunk = config.chunk
        windows = max(1.0, tokens / chunk.stride_tokens) if chunk.unit == "window" else 1.0
        self._passage_bytes = length / windows
        self._passages = self._texts.documents * windows  # of a shard
        self._tokens = min(tokens, config.embed.max_tokens)  # of a passage, embedded
        self._queries = sum(self._texts.selected.values())

    def known(self) -> str:
        """From where the sizes are."""
        return self._texts.known

    def documents(self, shard: str) -> float:
        """Of a train shard; of a held-out one, as the Pile's are to its shards."""
        return self._texts.documents / (1 if shard in self._config.shards else 30)

    def selected(self, task: str) -> float:
        """Test documents of a task that are evaluated."""
        return self._texts.selected[task]

    def of(self, rule: str, wildcards: Mapping[str, str]) -> Estimate:
        """Of one job: the formula of its rule, whose parameters are the rule's wildcards."""
        return getattr(self, f"_{rule}")(**wildcards)

    def mem_mb(self, rule: str) -> Callable[..., int]:
        """A function for a rule's `mem_mb`."""
        estimate = self._with_wildcards(rule)

        def asked(wildcards: Any, attempt: int) -> int:
            memory = HEADROOM * estimate(wildcards).memory / MB + SLURM_MB
            return round(max(LEAST_MB, memory) * 1.5 ** (attempt - 1))

        return _with_signature(asked)

    def runtime(self, rule: str) -> Callable[..., int]:
        """A function for a rule's `runtime`, in minutes."""
        estimate = self._with_wildcards(rule)

        def asked(wildcards: Any, attempt: int) -> int:
            minutes = PATIENCE * estimate(wildcards).seconds / 60
            return round(max(LEAST_MINUTES, minutes) * attempt)

        return _with_signature(asked)

    def _with_wildcards(self, rule: str) -> Callable[[Any], Estimate]:
        formula = getattr(self, f"_{rule}")
        names = tuple(signature(formula).parameters)  # once: there are thousands of jobs
        return lambda wildcards: formula(*(getattr(wildcards, name) for name in names))

    def _shape(self, model: str) -> Shape:
        if model not in self._shapes:
            self._shapes[model] = shape(self._config.models[model])
        return self._shapes[model]

    def _dimension(self, index: str) -> int:
        return self._shape(self._config.indexes[index].embedder).width

    # --- corpus ------------------------------------------------------------------------------

    def _download_shard(self, shard: str) -> Estimate:
        size = self._texts.bytes if shard in self._config.shards else self._texts.bytes / 30
        if self._config.source.kind == "demo":
            return Estimate(PYTHON, START + size / 2e6, size / 3, "2 MB of text written a second")
        seconds = START + size / TEXT_BYTES
        return Estimate(PYTHON, seconds, size / 3, "50 MB of text a second, without the network")

    def _chunk_shard(self, shard: str) -> Estimate:
        seconds = START + self._texts.bytes / TEXT_BYTES
        return Estimate(1.2 * PYTHON, seconds, self._texts.bytes / 2.5, "50 MB of text a second")

    def _list_passages(self) -> Estimate:
        files = len(self._config.shards) * self._config.chunk.chunks_per_shard
        return Estimate(PYTHON, START + 0.01 * files, 100 * files, "10 ms a file")

    def _select_documents(self, queries: str) -> Estimate:
        fraction = self._config.select.fraction
        held = {task: n / fraction if fraction else n for task, n in self._texts.selected.items()}
        size = sum(self._texts.document_bytes[task] * n for task, n in held.items())
        chosen = sum(self._texts.document_bytes[t] * n for t, n in self._texts.selected.items())
        seconds = START + size / TEXT_BYTES
        return Estimate(PYTHON + 2.5 * size, seconds, chosen / 2.5, "50 MB of text a second")

    def _split_documents(self) -> Estimate:
        size = sum(self._texts.document_bytes[t] * n for t, n in self._texts.selected.items())
        seconds = START_TORCH + size / 2e6
        return Estimate(TORCH + 3 * size, seconds, size / 2.5, "2 MB of text a second, tokenised")

    # --- models ------------------------------------------------------------------------------

    def _fetch_model(self, model: str) -> Estimate:
        size = 4 * self._shape(model).parameters
        return Estimate(TORCH + 2 * size, START_TORCH + size / 50e6, size, "50 MB a second")

    def _train_model(self, model: str) -> Estimate:
        spec, size = self._config.models[model], self._shape(model)
        tokens = spec.steps * spec.batch_size * spec.sequence_tokens
        if spec.objective == "masked":  # a text is not packed with others
            length = self._texts.bytes / self._texts.documents / TOKEN_BYTES
            tokens *= min(1.0, length / spec.sequence_tokens)
        work = 3 * tokens * size.forward(spec.sequence_tokens)
        step = GPU_STEP_SECONDS if self._gpu else STEP_SECONDS
        seconds = 2 * START_TORCH + spec.steps * step + work / self._rates["train"]
        batch = spec.batch_size * spec.sequence_tokens
        memory = TORCH + 16 * size.parameters + 8 * batch * size.vocabulary
        memory += 8 * spec.documents * spec.sequence_tokens
        device = 16 * size.parameters + activations(size, batch, True)
        whence = f"6 FLOP a weight, {self._whence}"
        return Estimate(memory, seconds, 4 * size.parameters, whence, device)

    _train_embedder = _train_model

    # --- vectors -----------------------------------------------------------------------------

    def _embed(self, embedder: str, rows: float) -> Estimate:
        size, embed = self._shape(embedder), self._config.embed
        work = rows * self._tokens * size.forward(self._tokens, logits=False)
        seconds = START_TORCH + work / self._rates["forward"]
        memory = TORCH + 8 * size.parameters
        memory += ENCODED * min(rows, 4096) * self._passage_bytes  # embed.SORTED_AT_ONCE
        batch = min(embed.batch_tokens, rows * self._tokens)
        if not self._gpu:
            memory += 8 * batch * (embed.max_tokens * 4 + size.width * 4)
        disk = rows * size.width * (2 if embed.dtype == "float16" else 4)
        device = 4 * size.parameters + activations(size, batch, False)
        return Estimate(memory, seconds, disk, f"2 FLOP a weight, {self._whence}", device)

    def _embed_chunk(self, embedder: str, shard: str, chunk: str) -> Estimate:
        return self._embed(embedder, self._passages / self._config.chunk.chunks_per_shard)

    def _embed_queries(self, queries: str, embedder: str) -> Estimate:
        return self._embed(embedder, self._queries)

    def _code_bytes(self, index: str) -> float:
        """Of a vector in an index, its id included."""
        code = getattr(self._config.indexes[index], "code", None)
        d = self._dimension(index)
        if code is None or code == "Flat":
            return 4 * d + 8
        if code.startswith("PQ"):
            return int(code[2:].partition("x")[0]) + 8
        return (d if code == "SQ8" else 2 * d) + 8

    def _train_shard_index(self, index: str, shard: str) -> Estimate:
        spec, d = self._config.indexes[index], self._dimension(index)
        if not getattr(spec, "lists", 0):
            return Estimate(PYTHON, START, 0, "nothing to learn")
        rows = min(spec.sample_per_shard, self._passages)
        lists = min(spec.lists, rows)
        seconds = START + 21 * rows * lists * d / (4 * DISTANCES)
        return Estimate(PYTHON + 12 * rows * d, seconds, 4 * lists * d, "20 iterations of k-means")

    def _merge_training(self, index: str) -> Estimate:
        spec, d = self._config.indexes[index], self._dimension(index)
        if not getattr(spec, "lists", 0):
            return Estimate(PYTHON, START, 0, "nothing to learn")
        rows = len(self._config.shards) * min(spec.lists, spec.sample_per_shard, self._passages)
        seconds = START + 21 * rows * spec.lists * d / (4 * DISTANCES)
        return Estimate(PYTHON + 8 * rows * d, seconds, 4 * spec.lists * d, "20 iterations")

    def _fill_shard_index(self, index: str, shard: str) -> Estimate:
        spec, d = self._config.indexes[index], self._dimension(index)
        size = self._passages * self._code_bytes(index)
        seconds = START + 2 * size / DISK
        seconds += self._passages * (getattr(spec, "lists", 0)) * d / (4 * DISTANCES)
        memory = PYTHON + size + 48 * self._passages + 4 * d * (65536 + (getattr(spec, "lists", 0)))
        return Estimate(min(memory, PYTHON + 3 * size + 1e9), seconds, size, "200 MB a second")

    def _merge_index(self, index: str) -> Estimate:
        total = len(self._config.shards) * self._passages
        spec, size = self._config.indexes[index], total * self._code_bytes(index)
        memory = PYTHON + 32 * total
        if not getattr(spec, "lists", 0):  # the shards' files, under another name
            return Estimate(memory, START + total / 20e6, 0, "20 million ids a second")
        return Estimate(memory, START + 2 * size / DISK, size, "200 MB a second")

    # --- neighbours --------------------------------------------------------------------------

    def _exact_distances(self, d: int) -> tuple[float, float]:
        """Memory and seconds of the candidates' distances in float64."""
        block = min(256.0, self._queries) * self._config.search.candidates * d * 8
        pairs = self._queries * self._config.search.candidates
        return 3 * block + 24 * pairs, pairs * d * 8 / DISK

    def _search_index(self, queries: str, index: str) -> Estimate:
        spec, d = self._config.indexes[index], self._dimension(index)
        total = len(self._config.shards) * self._passages
        read = total * self._code_bytes(index)
        share = 1.0 if not getattr(spec, "lists", 0) else min(1.0, spec.nprobe / spec.lists)
        memory, seconds = self._exact_distances(d)
        seconds += read / DISK + self._queries * total * share * d / (16 * DISTANCES)
        memory += PYTHON + 4 * d * (self._queries + (getattr(spec, "lists", 0)))
        return Estimate(memory, START + seconds, 12 * self._queries * 50, "all vectors read once")

    def _measure_recall(self, index: str) -> Estimate:
        found = self._search_index("test", index)
        d, queries = self._dimension(index), min(self._config.search.recall_queries, self._queries)
        total = len(self._config.shards) * self._passages
        seconds = START + total * d * (4 / DISK + queries / (16 * DISTANCES))
        block = 8 * d * min(65536.0, self._passages)
        return Estimate(found.memory + block, seconds, 1e3, "all vectors read once")

    def _choose_neighbors(self, queries: str, selection: str) -> Estimate:
        chosen = self._config.selections[selection]
        memory, seconds = self._exact_distances(self._dimension(chosen.index))
        seconds += self._queries * 0.003
        memory += PYTHON
        return Estimate(memory, START + seconds, 600 * self._queries, "vectors fetched by id")

    def _draw_random(self, queries: str) -> Estimate:
        d = self._shape(self._config.embedders[0]).width
        memory, seconds = self._exact_distances(d)
        memory += PYTHON + 16 * len(self._config.shards) * self._passages
        return Estimate(memory, START + seconds, 12 * self._queries * 50, "vectors fetched by id")

    def _measure_distances(self) -> Estimate:
        rows = len(self._config.built_indexes) * self._queries * self._config.search.candidates
        memory = PYTHON + 60 * MB + 100 * rows  # pandas
        return Estimate(memory, 2 * START + rows / 2e6, 20 * rows / 10, "rows")

    def _gather_neighbors(self, queries: str, candidates: str, task: str) -> Estimate:
        depth, size = self._config.gather.depth, self._texts.document_bytes[task]
        rows = self._texts.selected[task] * depth
        if candidates == "random":
            size = self._texts.bytes / self._texts.documents
        if self._config.chunk.unit == "window":
            size = min(size, self._config.chunk.window_tokens * TOKEN_BYTES)
        at_once = min(512 * depth, rows) * size
        # a neighbour is found in a row group of 256, all of which is read
        seconds = START + rows * 256 * size / 500e6
        return Estimate(PYTHON + 4 * at_once, seconds, rows * size / 2.5, "500 MB of text a second")

    # --- evaluation --------------------------------------------------------------------------

    def _validate_part(self, model: str, method: str, task: str, part: str) -> Estimate:
        return self._evaluation(model, method, task, self._config.validation.count or 100.0)

    def _evaluate_part(self, model: str, method: str, task: str, part: str) -> Estimate:
        documents = self._texts.selected[task] / len(self._config.parts(method, task))
        return self._evaluation(model, method, task, documents)

    def _evaluation(self, model: str, method: str, task: str, documents: float) -> Estimate:
        recipe, size = self._config.methods[method], self._shape(model)
        length = self._texts.document_bytes[task]
        trains = recipe.kind == "ttt"
        per_neighbor = published_seconds().get((model, task)) if self._gpu and trains else None
        neighbors, points = recipe.num_neighbors, len(recipe.evaluate_at)
        # passes over texts as long as the document, a backward one as long as two forward
        steps = (neighbors**2 if recipe.step == "batch" else neighbors) if trains else 0
        read = {"in_context": points, "interpolate": 1, "knn_lm": 2 + neighbors}
        passes = 3 * steps + read.get(recipe.kind, points)
        if per_neighbor is not None:
            source = "published, on an A100; with an evaluation after every neighbour"
            seconds = per_neighbor * steps * documents
        else:
            tokens = length / TOKEN_BYTES
            work = size.forward(min(tokens, 1024)) * tokens * passes
            step = GPU_STEP_SECONDS if self._gpu else STEP_SECONDS
            seconds = work / self._rates["train"] + steps * max(1.0, tokens / 1024) * step
            seconds *= documents
            source = f"2 FLOP a weight and token of each pass, {self._whence}"
        # weights, gradients, two moments and what puts the weights back; or weights alone
        copies = 5 if trains and recipe.lora is None else 1
        used = 4 * copies * size.parameters + activations(size, recipe.window or 1024, trains)
        memory = TORCH + (8 * size.parameters if self._gpu else used)
        memory += 3 * documents * neighbors * length
        rows = documents * points
        return Estimate(memory, START_TORCH + seconds, 100 * rows, source, used)

    def _score(self) -> Estimate:
        cells = self._config.cells()
        rows = sum(
            self._texts.selected[task] * len(self._config.methods[method].evaluate_at)
            for _, method, task in cells
        )
        sample = 8 * self._config.score.resamples * max(self._texts.selected.values())
        seconds = START + rows / 1e4 + len(cells) * sample / 1e9
        return Estimate(PYTHON + 500 * rows + 2 * sample, seconds, 300 * rows / 10, "rows")

    def _draw_figure(self, figure: str) -> Estimate:
        return Estimate(1.4 * PYTHON, 1.8, 1e5, "the demo's benchmarks")

    def _compare(self) -> Estimate:
        return Estimate(PYTHON, 3.0, 1e5, "the demo's benchmarks")

    def _draw_side_by_side(self) -> Estimate:
        return self._draw_figure("side_by_side")

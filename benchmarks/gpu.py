"""The engines of test-time training on a GPU: that they agree, how fast they are, where time goes.

    bash benchmarks/gpu.sh [--only parity,small,large,neo,adapters,profile] [--minutes 8]

It needs PyTorch and transformers and nothing that is downloaded (adapters: peft too). Where
pydantic is missing, a stand-in holds the recipe. A table goes to the output, and a JSON file to the
folder `$OUT` if that is set. `--device cpu --tiny` tries the script itself.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "workflow")]


from shapes import Numbers, flops, plain_loop, random_model, random_query  # noqa: E402

from tttnn.methods.measure import Query  # noqa: E402
from tttnn.methods.ttt import engine as loop  # noqa: E402
from tttnn.methods.ttt.engines import graphs, lean  # noqa: E402
from tttnn.methods.ttt.settings import Recipe  # noqa: E402

RATE = 2e-5
AT = [0, 1, 2, 5, 10, 20, 50]
ENGINES = {"loop": loop, "lean": lean, "graphs": graphs}
PARITY = {"float32": 2e-6, "bfloat16": 2e-3}
"""How far an engine's log-likelihoods may be from the reference loop's, relatively."""


class Report:
    """What was found: rows of a table, printed as they come, and kept for the JSON."""

    def __init__(self, minutes: float) -> None:
        self.rows: list[dict[str, Any]] = []
        self.failed: list[str] = []
        self._until = time.monotonic() + 60 * minutes

    def add(self, **row: Any) -> None:
        self.rows.append(row)
        cells = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values())
        print(f"| {' | '.join(cells)} |", flush=True)

    def head(self, *names: str) -> None:
        print(f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}", flush=True)

    def note(self, text: str) -> None:
        self.rows.append({"note": text})
        print(text, flush=True)

    def fail(self, text: str) -> None:
        self.failed.append(text)
        self.note(f"FAILED: {text}")

    @property
    def seconds_left(self) -> float:
        return self._until - time.monotonic()


@contextmanager
def going_on(report: Report, what: str) -> Iterator[None]:
    """Print an error and go on with what is next."""
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        report.fail(f"{what}: {str(error).partition(chr(10))[0]}")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the clock, when all work is done; and what was returned."""
    synchronize()
    started = time.perf_counter()
    result = run()
    synchronize()
    return time.perf_counter() - started, result


def adapted(name: str, model: Any, queries: list[Query], recipe: Any) -> list[Any]:
    """What an engine measures of the queries."""
    window = model.config.max_position_embeddings
    return list(ENGINES[name].adapt(model, Numbers(), queries, recipe, window))


def apart(one: list[Any], other: list[Any]) -> float:
    """The largest relative difference between log-likelihoods."""
    pairs = (
        (a.loglikelihood, b.loglikelihood)
        for x, y in zip(one, other, strict=True)
        for a, b in zip(x.measurements, y.measurements, strict=True)
    )
    return max(abs(a / b - 1) if b else float("inf") for a, b in pairs)


# --- the card ----------------------------------------------------------------------------------


def card(report: Report, device: str, size: int) -> float:
    """Its name, and the bfloat16 matrix rate measured, FLOP a second; copies, bytes a second."""
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    a, b = (torch.randn(size, size, device=device).to(torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    seconds = min(timed(lambda: [a @ b for _ in range(10)])[0] for _ in range(3)) / 10
    rate = 2 * size**3 / seconds
    source = torch.empty(2**28 if device == "cuda" else 2**20, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    copy = min(timed(lambda: target.copy_(source))[0] for _ in range(3))
    report.note(
        f"{name}, torch {torch.__version__}: {rate / 1e12:.0f} TFLOP/s in bfloat16 products of "
        f"{size} x {size}, copies at {2 * 4 * source.numel() / copy / 1e9:.0f} GB/s"
    )
    return rate


# --- parity ------------------------------------------------------------------------------------


def parity(report: Report, options: argparse.Namespace, rate: float) -> None:
    """Every engine beside the reference loop, on this device."""
    report.head("parity", "engine", "precision", "dropout", "apart", "bound")
    shapes = ["tiny", "tiny-neo", "tiny-llama", *([] if options.tiny else ["gpt2"])]
    for shape in shapes:
        for dropout in ("none", "as_model"):
            for precision in ("float32", "bfloat16"):
                with going_on(report, f"parity of {shape}"):
                    _parity(report, options, shape, dropout, precision)


def _parity(
    report: Report, options: argparse.Namespace, shape: str, dropout: str, precision: str
) -> None:
    model = random_model(shape, options.device)
    vocabulary = model.config.vocab_size
    # lengths that are padded, but for those of the last query: as long as a graph
    lengths = [[200, 150, 33, 260], [90, 70, 2, 300], [256, 128, 256, 384]]
    if dropout == "as_model":
        lengths = lengths[-1:]  # with padding, other numbers are drawn
    queries = [random_query(n + 1, sizes, vocabulary) for n, sizes in enumerate(lengths)]
    recipe = Recipe(
        num_neighbors=3,
        evaluate_at=[0, 1, 3],
        learning_rate=RATE,
        dropout=dropout,
        precision=precision,
    )
    before = [tensor.clone() for tensor in model.state_dict().values()]
    expected = adapted("loop", model, queries, recipe)
    for name in ("lean", "graphs"):
        found = adapted(name, model, queries, recipe)
        again = adapted(name, model, queries[::-1], recipe)[::-1]
        # a graph draws what the loop draws where nothing is padded, if PyTorch counts as it does
        told = name == "graphs" and dropout == "as_model"
        far, bound = apart(expected, found), 1.0 if told else PARITY[precision]
        report.add(
            parity=shape, engine=name, precision=precision, dropout=dropout, apart=far, bound=bound
        )
        if not far <= bound:
            report.fail(f"parity of {shape}, {name}, {precision}, dropout {dropout}: {far:.1e}")
        if apart(found, again) > PARITY[precision]:
            report.fail(f"{shape}, {name}, {precision}: the order of documents changes results")
    if any(not torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True)):
        report.fail(f"parity of {shape}: weights did not come back")


# --- speed -------------------------------------------------------------------------------------


def speed(
    report: Report,
    options: argparse.Namespace,
    rate: float,
    shape: str,
    lengths: list[int],
    ways: list[tuple[str, str]],
    goal: float,
) -> None:
    """One document's adaptation, ways beside the plain loop, in turns."""
    report.head("work", "way", "seconds", "plain / it", "spread", "ms a step", "share", "apart")
    model = random_model(shape, options.device)
    window, vocabulary = model.config.max_position_embeddings, model.config.vocab_size
    query = random_query(7, lengths, vocabulary)
    neighbors = len(lengths) - 1
    points = [k for k in AT if k <= neighbors]
    recipe = Recipe(num_neighbors=neighbors, evaluate_at=points, learning_rate=RATE)
    work = sum(flops(model, tokens) for tokens in lengths[1:])
    every = work + len(points) * flops(model, lengths[0]) / 3
    seconds: dict[tuple[str, str], list[float]] = {way: [] for way in [("plain", ""), *ways]}
    step: dict[tuple[str, str], float] = {}
    far: dict[tuple[str, str], float] = {}
    expected: list[float] = []
    plain_loop(model, Numbers(), replace(query, neighbors=query.neighbors[:2]), window, RATE)
    for repeat in range(options.repeats):
        if repeat and report.seconds_left < 30:
            break
        torch.manual_seed(loop.seed_of(recipe, query))
        taken, expected = timed(lambda: plain_loop(model, Numbers(), query, window, RATE))
        seconds["plain", ""].append(taken)
        for way in ways:
            with going_on(report, f"{shape}, {' '.join(way)}"):
                name, precision = way
                asked = recipe.model_copy(update={"precision": precision})
                # what an engine makes once, graphs above all, is made by a first document
                queries = iter([query, query])
                adapt = ENGINES[name].adapt(model, Numbers(), queries, asked, window)
                next(adapt)
                taken, found = timed(lambda run=adapt: next(run))
                adapt.close()
                seconds[way].append(taken)
                last = found.measurements[-1]
                step[way] = last.train_seconds / last.steps
                far[way] = max(
                    abs(m.loglikelihood / expected[m.num_neighbors] - 1) for m in found.measurements
                )
    plain = seconds["plain", ""]
    report.add(
        work=shape,
        way="plain float32",
        seconds=statistics.median(plain),
        ratio=1.0,
        spread="",
        ms="",
        share=every / statistics.median(plain) / rate,
        apart="",
    )
    best = 0.0
    for way in ways:
        if not seconds[way]:
            continue
        ratios = [a / b for a, b in zip(plain, seconds[way], strict=False)]
        best = max(best, statistics.median(ratios))
        report.add(
            work=shape,
            way=" ".join(way),
            seconds=statistics.median(seconds[way]),
            ratio=statistics.median(ratios),
            spread=f"{min(ratios):.2f} to {max(ratios):.2f}",
            ms=1000 * step[way],
            share=every / statistics.median(seconds[way]) / rate,
            apart=far[way],
            share_of_steps=work / (step[way] * neighbors) / rate,
        )
    memory = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0
    report.note(
        f"{shape}: {neighbors} neighbours of {min(lengths[1:])} to {max(lengths[1:])} tokens, "
        f"document of {lengths[0]}; best {best:.1f} x, asked {goal:g} x; at most {memory:.0f} GB"
    )


WAYS = [("lean", "float32"), ("graphs", "float32"), ("lean", "bfloat16"), ("graphs", "bfloat16")]


def small(report: Report, options: argparse.Namespace, rate: float) -> None:
    """GPT-2 small shape, at most 512 tokens, 50 neighbours."""
    count = 4 if options.tiny else 50
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(128, 513, (count + 1,), generator=generator).tolist()
    shape = "tiny" if options.tiny else "gpt2"
    speed(report, options, rate, shape, [512, *lengths[1:]], WAYS, 10)


def _window(
    report: Report, options: argparse.Namespace, rate: float, shape: str, tokens: int
) -> None:
    count = 2 if options.tiny else options.neighbors
    speed(report, options, rate, shape, [tokens] * (count + 1), [WAYS[1], WAYS[2], WAYS[3]], 4)


def large(report: Report, options: argparse.Namespace, rate: float) -> None:
    """GPT-2 large shape, one window."""
    _window(report, options, rate, "tiny" if options.tiny else "gpt2-large", 1024)


def neo(report: Report, options: argparse.Namespace, rate: float) -> None:
    """GPT-Neo 1.3B shape, one window."""
    tokens = 512 if options.tiny else 2048
    _window(report, options, rate, "tiny-neo" if options.tiny else "gpt-neo-1.3b", tokens)


def adapters(report: Report, options: argparse.Namespace, rate: float) -> None:
    """Documents in flight: document steps a second (see in_flight.py)."""
    import in_flight

    if options.device == "cpu":
        found = [in_flight.adapters_row("cpu", 4, 64, 4, 1.0)]
    else:
        found = in_flight.rows(options.device)
    for row in found:
        report.rows.append(row)
        if "failed" in row:
            report.fail(f"{row['row']}: {row['failed']}")


def profile(report: Report, options: argparse.Namespace, rate: float) -> None:
    """Where a step's time goes: kernels of a replayed document, by their share."""
    shapes = ["tiny"] if options.tiny else ["gpt2", "gpt2-large", "gpt-neo-1.3b"]
    for shape in shapes:
        if report.seconds_left < 20:
            report.note(f"profile of {shape}: no time left")
            continue
        with going_on(report, f"profile of {shape}"):
            _profile(report, options, shape)


GROUPS = {
    "attention": ("flash", "fmha", "attention", "efficient"),
    "AdamW and clipping": ("adam", "multi_tensor", "foreach", "lpnorm"),
    "products": ("gemm", "cutlass", "xmma", "nvjet", "addmm", "aten::mm", "aten::bmm"),
    "dropout": ("dropout", "bernoulli"),
    "norms": ("layer_norm", "layernorm", "gammabeta"),
    "losses": ("softmax", "nll"),
    "copies": ("memcpy", "memset", "copy"),
}


def _group(kernel: str) -> str:
    """What a kernel is for, by its name."""
    name = kernel.lower()
    return next((g for g, parts in GROUPS.items() if any(p in name for p in parts)), "others")


def _profile(report: Report, options: argparse.Namespace, shape: str) -> None:
    model = random_model(shape, options.device)
    window = model.config.max_position_embeddings
    tokens = 512 if shape in ("gpt2", "tiny") else window
    query = random_query(5, [tokens] * 7, model.config.vocab_size)
    recipe = Recipe(num_neighbors=6, evaluate_at=[0, 6], learning_rate=RATE, precision="bfloat16")
    running = graphs.adapt(model, Numbers(), iter([query, query]), recipe, window)
    next(running)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if options.device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as found:
        next(running)
        synchronize()
    running.close()
    name = "self_device_time_total" if options.device == "cuda" else "self_cpu_time_total"
    events = [(getattr(event, name), event.count, event.key) for event in found.key_averages()]
    if options.device == "cuda":  # kernels, not what launched them
        events = [
            (getattr(event, name), event.count, event.key)
            for event in found.key_averages()
            if "cuda" in str(getattr(event, "device_type", "")).lower()
        ] or events
    whole = sum(spent for spent, _, _ in events) or 1
    report.head(f"{shape}: {whole / 1000:.1f} ms", "share", "ms", "times")
    groups: dict[str, list[float]] = {}
    for spent, count, key in events:
        sums = groups.setdefault(_group(key), [0.0, 0])
        sums[0] += spent
        sums[1] += count
    for group, (spent, count) in sorted(groups.items(), key=lambda one: -one[1][0]):
        report.add(kernel=f"all {group}", share=spent / whole, ms=spent / 1000, times=count)
    for spent, count, key in sorted(events, reverse=True)[:18]:
        report.add(kernel=key[:90], share=spent / whole, ms=spent / 1000, times=count)


PARTS = {
    "parity": parity,
    "small": small,
    "large": large,
    "neo": neo,
    "adapters": adapters,
    "profile": profile,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--minutes", type=float, default=8.0, help="no part begins after that")
    parser.add_argument("--neighbors", type=int, default=20, help="of the large shapes")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, to try the script")
    options = parser.parse_args()
    report = Report(options.minutes)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    rate = card(report, options.device, 256 if options.tiny else 8192)
    for name in options.only.split(","):
        if report.seconds_left < 10:
            report.note(f"{name}: no time left")
            continue
        started = time.monotonic()
        with going_on(report, name):
            PARTS[name](report, options, rate)
        report.note(f"{name}: {time.monotonic() - started:.0f} s")
    if out := os.environ.get("OUT"):
        text = json.dumps({"rows": report.rows, "failed": report.failed}, indent=1, default=str)
        (Path(out) / "gpu.json").write_text(text + "\n", encoding="utf-8")
    for line in report.failed:
        print(f"FAILED: {line}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())

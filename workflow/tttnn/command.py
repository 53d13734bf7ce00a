"""The command line: `tttnn <stage> …`, as the rules call it, and the commands people use.

The options of a stage are the parameters of its function: a `Path`, a list of them, a string, a
number, or a spec, which is a section of the configuration given as JSON. A parameter that cannot be
given by its name stands on the command line without it, too; one that may be a `bool` besides may
be given without a value. What `--help` says of an option stands in the function's docstring, on a
line that begins with the option, or with the parameter's name in capitals.
"""

from __future__ import annotations

import argparse
import ast
import errno
import gc
import importlib
import inspect
import keyword
import os
import re
import select
import signal
import sys
import textwrap
import types
import typing
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tttnn import caches
from tttnn.stages import MODULES

COMMANDS = {
    "import": "tttnn.corpus.imported",
    "plan": "tttnn.operations.plan",
    "status": "tttnn.operations.status",
    "recover": "tttnn.operations.recover",
    "adapt": "tttnn.methods.cases",
    "generate": "tttnn.generate",
    "tasks": "tttnn.harness.tasks",
    "query": "tttnn.live.query",
    "serve": "tttnn.live.serve",
    "crate": "tttnn.operations.crate",
    "enough": "tttnn.scores.enough",
    "deploy": "tttnn.operations.deploy",
    "summary": "tttnn.scores.summary",
    "findings": "tttnn.findings.page",
    "record": "tttnn.records.record",
    "compare": "tttnn.records.compare",
    "redraw": "tttnn.operations.redraw",
}

MORE = "give the job more (snakemake --set-resources {0}:mem_mb=…), or raise chunk.chunks_per_shard"
RAISE = "raise memory_mb"
LOWER = {
    "adapt": "lower --window",
    "generate": "lower --window, or train adapters with --save-adapter",
    "adopt_embeddings": "lower embed.batch_tokens",
    "embed_chunk": "lower embed.batch_tokens",
    "embed_queries": "lower embed.batch_tokens",
    "embed_windows": "lower embed.batch_tokens or windows.most",
    "evaluate_part": "lower the method's window, or give it lora",
    "evaluate_tuned": "lower the method's window, or give it lora",
    "evaluate_windows": "lower the method's window, or give it lora",
    "evaluate_experts": "lower the method's window",
    "train_expert": "lower the experts' window, or their rank",
    "merge_training": f"{RAISE}, or lower the index's sample_per_shard, or its lists",
    **dict.fromkeys(
        (
            *("fill_shard_index", "merge_index", "search_shard", "merge_candidates"),
            *("draw_random", "measure_recall", "measure_distances", "choose_neighbors"),
            *("search_words", "merge_scored", "pool_candidates"),
            *("search_windows", "choose_windows", "cluster_passages"),
        ),
        RAISE,
    ),
    "train_embedder": "lower the model's batch_size or sequence_tokens",
    "train_model": "lower the model's batch_size or sequence_tokens",
    "train_shard_index": f"{RAISE}, or lower the index's sample_per_shard, or its lists",
}
"""What to do where memory was not enough."""

STDOUT = 1  # the descriptor

MEND = {
    errno.ENOENT: "correct the path, which starts in the folder where the command is given",
    errno.ENOTDIR: "correct the path, a part of which is a file",
    errno.EEXIST: "name another, or move what is there away",
    errno.EISDIR: "name a file, and not a folder",
    errno.EACCES: "change its permissions, or name another",
    errno.ENOSPC: "free some room there, or name another place",
}
"""What to do about an error of the operating system's."""

TOLD = re.compile(r"^(-[\w-]+(?:, -[\w-]+)*|[A-Z]+) {2,}(\S.*(?:\n {2,}\S.*)*)\n?", re.M)
"""Of a docstring: options with commas between, or a parameter in capitals; and what it says."""


def _from_json(section: type[BaseModel]) -> Callable[[str], BaseModel]:
    def parse(text: str) -> BaseModel:
        try:
            return section.model_validate_json(text)
        except ValidationError as error:  # argparse would only say that the value is invalid
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def _told(function: Callable) -> dict[str, str]:
    """What a docstring says of each option, in the words of `argparse`."""
    found = TOLD.findall(inspect.getdoc(function) or "")
    return {
        name: " ".join(text.split()).replace("%", "%%")
        for names, text in found
        for name in names.split(", ")
    }


def _description(function: Callable) -> str:
    """A docstring without what it says of each option."""
    return re.sub(r"\n{3,}", "\n\n", TOLD.sub("", inspect.getdoc(function) or "")).strip()


def _add_options(parser: argparse.ArgumentParser, function: Callable) -> None:
    hints, told = typing.get_type_hints(function), _told(function)
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        required = parameter.default is parameter.empty
        default = None if required else parameter.default
        alone: dict[str, typing.Any] = {}
        if typing.get_origin(kind) is types.UnionType:
            kind, *others = (part for part in typing.get_args(kind) if part is not type(None))
            alone = {"nargs": "?", "const": True} if bool in others else {}
        if parameter.kind is parameter.POSITIONAL_ONLY:
            count: str | None = None if required else "?"
            if typing.get_origin(kind) is list:
                (kind,), count = typing.get_args(kind), "+"
            parser.add_argument(
                name, type=kind, nargs=count, default=default, help=told.get(name.upper())
            )
            continue
        option = f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
        if typing.get_origin(kind) is list:
            (item,) = typing.get_args(kind)
            parser.add_argument(
                option,
                nargs="*",
                type=item,
                required=required,
                default=default,
                help=told.get(option),
            )
            continue
        if kind is bool:
            parser.add_argument(option, action="store_true", help=told.get(option))
            continue
        if issubclass(kind, BaseModel):
            kind = _from_json(kind)
        usual = None if default is None else f"default: {default}"
        said = " — ".join(filter(None, (told.get(option), usual))) or None
        parser.add_argument(
            option, type=kind, required=required, default=default, help=said, **alone
        )


def _import(module: str) -> types.ModuleType:
    """Import a stage's module; its libraries make millions of objects and no garbage.

    Collecting while they load costs a job that uses transformers nearly a second of four.
    """
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def function_of(name: str) -> str:
    """What the function of a command is called: Python keeps `import` for itself."""
    return f"{name}_" if keyword.iskeyword(name) else name


def _first_line(name: str, module: str) -> str:
    """Of the function's docstring, without importing the module."""
    file = Path(__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == function_of(name):
            return (ast.get_docstring(node) or "").partition("\n")[0]
    raise LookupError(f"{file} has no function {name}")


def _listing() -> str:
    """The commands, each with a line, and the stages' names."""
    width = max(map(len, COMMANDS))
    commands = (f"  {name:{width}}  {_first_line(name, COMMANDS[name])}" for name in COMMANDS)
    return "\n".join(
        [
            "commands:",
            *commands,
            "",
            "stages, which the workflow's rules call:",
            *textwrap.wrap(", ".join(MODULES), 78, initial_indent="  ", subsequent_indent="  "),
            "",
            "tttnn NAME --help tells about one of them.",
        ]
    )


class _Parser(argparse.ArgumentParser):
    """Makes the listing only where it is asked for; jobs do without."""

    def format_help(self) -> str:
        return f"{super().format_help()}\n{_listing()}\n"


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether the machine or the GPU had no room; torch, if it is loaded, has a class for that."""
    torch = sys.modules.get("torch")
    return isinstance(error, MemoryError) or (
        torch is not None and isinstance(error, torch.OutOfMemoryError)
    )


def _run(name: str, module: str, arguments: list[str]) -> None:
    function = getattr(_import(module), function_of(name))
    parser = argparse.ArgumentParser(
        prog=f"tttnn {name}",
        description=_description(function),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(parser, function)
    values = inspect.signature(function).bind_partial()
    values.arguments.update(vars(parser.parse_args(arguments)))
    function(*values.args, **values.kwargs)


def _words(error: ValueError | OSError) -> str:
    """An error in words: the operating system's have a number and no remedy."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        remedy = MEND.get(error.errno or 0, "look at the path, and at what is there")
        return f"{error.filename}: {error.strerror.lower()}: {remedy}"
    return str(error)


def _reader_is_gone(error: BaseException) -> bool:
    """Whether what reads our output, `head` say, has enough; a stage may have other pipes."""
    if not isinstance(error, BrokenPipeError):
        return False
    poll = select.poll()
    poll.register(STDOUT, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _main(arguments: list[str] | None) -> None:
    """Run one stage or command: see `main`."""
    parser = _Parser(prog="tttnn", description="Run one command, or one stage of the workflow.")
    parser.add_argument("name", metavar="NAME", help="one of those below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.name not in (known := [*COMMANDS, *MODULES]):
        near = "".join(
            f" Did you mean {name!r}?" for name in get_close_matches(chosen.name, known, n=1)
        )
        parser.error(f"there is no command {chosen.name!r}.{near} `tttnn --help` lists them all")
    caches.settle()
    module = COMMANDS.get(chosen.name) or MODULES[chosen.name]
    try:
        _run(chosen.name, module, chosen.arguments)
    except (ValueError, OSError) as error:
        if "TTTNN_TRACEBACK" in os.environ or _reader_is_gone(error):
            raise
        sys.exit(f"tttnn {chosen.name}: {_words(error)}")
    except (MemoryError, RuntimeError) as error:
        if "TTTNN_TRACEBACK" in os.environ or not _is_out_of_memory(error):
            raise
        said = "".join(f" ({line})" for line in str(error).strip().splitlines()[:1])
        remedy = LOWER.get(chosen.name, MORE.format(chosen.name))
        sys.exit(f"tttnn {chosen.name}: there is not enough memory{said}: {remedy}")


def main(arguments: list[str] | None = None) -> None:
    """Run one stage or command; a fault the user can mend ends in one message, not a traceback.

    Such a fault is a `ValueError`, an `OSError` or too little memory; what libraries raise over a
    file's content becomes the first where it is read (`tttnn.reading`). Anything else is a fault of
    the program. Where what reads the output has gone away, it ends quietly, as the shell's own
    tools do. With TTTNN_TRACEBACK in the environment, the traceback is always shown.
    """
    try:
        try:
            _main(arguments)
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except BrokenPipeError as error:
        if not _reader_is_gone(error):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # for the flush at exit
        sys.exit(128 + signal.SIGPIPE)

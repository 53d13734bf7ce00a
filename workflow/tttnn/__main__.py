"""The command line: `tttnn <stage> …`, as the rules call it, and the commands people use.

The options of a stage are the parameters of its function: a `Path`, a list of them, a string, a
number, or a spec, which is a section of the configuration given as JSON. A parameter that cannot be
given by its name stands on the command line without it, too.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import inspect
import os
import sys
import types
import typing
from collections.abc import Callable

from pydantic import BaseModel, ValidationError

from tttnn import caches
from tttnn.stages import MODULES

COMMANDS = {
    "adapt": "tttnn.methods.cases",
    "findings": "tttnn.findings.page",
    "plan": "tttnn.operations.plan",
    "recover": "tttnn.operations.recover",
    "status": "tttnn.operations.status",
    "summary": "tttnn.scores.summary",
}

MORE = "give the job more (snakemake --set-resources {0}:mem_mb=…), or raise chunk.chunks_per_shard"
LOWER = {
    "adapt": "lower --window",
    "embed_chunk": "lower embed.batch_tokens",
    "embed_queries": "lower embed.batch_tokens",
    "evaluate_part": "lower the method's window, or give it lora",
    "merge_training": "lower the index's sample_per_shard, or the number of its lists",
    "train_embedder": "lower the model's batch_size or sequence_tokens",
    "train_model": "lower the model's batch_size or sequence_tokens",
    "train_shard_index": "lower the index's sample_per_shard, or the number of its lists",
}
"""What to do where memory was not enough."""


def _from_json(section: type[BaseModel]) -> Callable[[str], BaseModel]:
    def parse(text: str) -> BaseModel:
        try:
            return section.model_validate_json(text)
        except ValidationError as error:  # argparse would only say that the value is invalid
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def _add_options(parser: argparse.ArgumentParser, function: Callable) -> None:
    hints = typing.get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        if parameter.kind is parameter.POSITIONAL_ONLY:
            parser.add_argument(name, type=kind)
            continue
        option = f"--{name.replace('_', '-')}"
        required = parameter.default is parameter.empty
        default = None if required else parameter.default
        if typing.get_origin(kind) is types.UnionType:
            kind = next(part for part in typing.get_args(kind) if part is not type(None))
        if typing.get_origin(kind) is list:
            (item,) = typing.get_args(kind)
            parser.add_argument(option, nargs="*", type=item, required=required, default=default)
            continue
        if kind is bool:
            parser.add_argument(option, action="store_true")
            continue
        if issubclass(kind, BaseModel):
            kind = _from_json(kind)
        parser.add_argument(option, type=kind, required=required, default=default)


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


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether the machine or the GPU had no room; torch, if it is loaded, has a class for that."""
    torch = sys.modules.get("torch")
    return isinstance(error, MemoryError) or (
        torch is not None and isinstance(error, torch.OutOfMemoryError)
    )


def _run(name: str, module: str, arguments: list[str]) -> None:
    function = getattr(_import(module), name)
    parser = argparse.ArgumentParser(
        prog=f"tttnn {name}",
        description=inspect.getdoc(function),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(parser, function)
    values = inspect.signature(function).bind_partial()
    values.arguments.update(vars(parser.parse_args(arguments)))
    function(*values.args, **values.kwargs)


def main(arguments: list[str] | None = None) -> None:
    """Run one stage or command; a fault the user can mend ends in one message, not a traceback.

    Such a fault is a `ValueError`, an `OSError` or too little memory; what libraries raise over a
    file's content becomes the first where it is read (`tttnn.reading`). Anything else is a fault of
    the program. With TTTNN_TRACEBACK in the environment, the traceback is always shown.
    """
    parser = argparse.ArgumentParser(prog="tttnn", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*COMMANDS, *MODULES], metavar="command")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    caches.settle()
    module = COMMANDS.get(chosen.name) or MODULES[chosen.name]
    try:
        _run(chosen.name, module, chosen.arguments)
    except (ValueError, OSError) as error:
        if "TTTNN_TRACEBACK" in os.environ:
            raise
        sys.exit(f"tttnn {chosen.name}: {error}")
    except (MemoryError, RuntimeError) as error:
        if "TTTNN_TRACEBACK" in os.environ or not _is_out_of_memory(error):
            raise
        said = "".join(f" ({line})" for line in str(error).strip().splitlines()[:1])
        remedy = LOWER.get(chosen.name, MORE.format(chosen.name))
        sys.exit(f"tttnn {chosen.name}: there is not enough memory{said}: {remedy}")


if __name__ == "__main__":
    main()

"""Writes docs/troubleshooting.md: what every error message says, and what to do.

    PYTHONPATH=workflow python docs/messages.py

The messages are those of the package's own source, as its syntax trees have them: what stands in an
f-string's braces is a placeholder here. How the page begins, with what Snakemake itself says, is
written by hand and stays. A test holds the rest to the source.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "workflow/tttnn"
PAGE = ROOT / "docs/troubleshooting.md"
MARK = "<!-- what follows is made by docs/messages.py -->\n"

ROOMS = {
    "config sections stages": "The configuration",
    "corpus demo": "The corpus: import, fetching, reading, passages",
    "models": "Models: fetching, training, loading",
    "retrieval": "Embedding, indexing, searching, choosing, gathering",
    "methods needs": "Adapting and evaluating, `tttnn adapt`",
    "scores published": "Tables",
    "figures": "Figures",
    "records findings": "Records and findings: `tttnn record`, `redraw`, `compare`, `findings`",
    "live": "Asking live: `tttnn query`, `serve`",
    "operations": "Running: `tttnn plan`, `status`, `recover`, `crate`, `deploy`",
    "harness": "The evaluation harness",
    "": "In Python, `tttnn generate`, and what all rooms share",
}
"""By the rooms of the package; the last is of the modules beside them."""

PROGRAM = {"AssertionError", "AttributeError", "LookupError", "NotImplementedError", "TypeError"}
"""What is a fault of the program, and has no remedy but to report it."""

VERBS = (
    "accept|add|adopt|ask|build|call|change|check|chmod|choose|clone|compare|"
    "compress|convert|copy|correct|create|cut|decompress|delete|do|download|draw|"
    "drop|embed|end|enter|evaluate|export|extend|fetch|fill|find|follow|free|get|"
    "give|go|install|keep|lay|leave|let|list|load|log|look|lower|make|mend|merge|"
    "move|name|open|pass|pick|point|put|raise|read|rebuild|recompute|record|"
    "reinstall|remove|rename|repair|replace|report|requantise|reset|restart|run|save|"
    "say|see|select|set|shorten|split|start|state|stop|submit|switch|take|tell|"
    "train|try|tune|unpack|update|upgrade|use|wait|widen|write|on a machine"
)
"""What a remedy begins with."""
REMEDY = re.compile(rf"[:;.] (?=(?:(?:or|so|first|then|once,?) )*(?:(?:{VERBS})\b|⟨remedy⟩))", re.I)
NEAREST = " Did you mean ⟨name⟩? Valid: ⟨names⟩."
"""How `tttnn.sections.base.nearest` ends a message."""


class Message(NamedTuple):
    """What is said, with ⟨placeholders⟩, and where."""

    text: str
    module: str


@cache
def _tree(module: str) -> ast.Module | None:
    file = PACKAGE.parent / (module.replace(".", "/") + ".py")
    return ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else None


@cache
def _constants(module: str) -> dict[str, ast.expr]:
    """The strings that a module has names for, its own and those that it imports."""
    found: dict[str, ast.expr] = {}
    tree = _tree(module)
    for node in tree.body if tree else []:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tttnn"):
            for name in node.names:
                if name.name.isupper() and name.name in _constants(node.module or ""):
                    found[name.asname or name.name] = _constants(node.module or "")[name.name]
    return found


def _assigned(function: ast.AST) -> dict[str, ast.expr]:
    """What a function's names stand for, where there is one assignment or a default."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
    if isinstance(function, ast.FunctionDef):
        every = function.args.posonlyargs + function.args.args
        pairs = zip(every[::-1], function.args.defaults[::-1], strict=False)
        keywords = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        for argument, default in (*pairs, *keywords):
            if default is not None:
                found.setdefault(argument.arg, []).append(default)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _is_text(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(op=ast.Add()):
            return _is_text(node.left) or _is_text(node.right)
    return False


def _text(node: ast.expr, names: dict[str, ast.expr], depth: int = 0) -> str:
    """The literal parts of a message, and the names of the others in ⟨⟩."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(
                _text(part.value if isinstance(part, ast.FormattedValue) else part, names, depth)
                for part in parts
            )
        case ast.BinOp(left, ast.Add(), right):
            return _text(left, names, depth) + _text(right, names, depth)
        case ast.Call(func=ast.Name(id="nearest")):
            return NEAREST
        case ast.Name(id=name) if depth < 3 and name in names and _is_text(names[name]):
            return _text(names[name], names, depth + 1)
    return f"⟨{_called(node)}⟩"


def _called(node: ast.expr) -> str:
    """What to call a placeholder: the last name in it that says something."""
    match node:
        case ast.Name(id=name):
            return name.strip("_").replace("_", " ")
        case ast.Attribute(attr=name):
            return name.strip("_").replace("_", " ")
        case ast.Subscript(value=value, slice=ast.Constant(value=str() as key)):
            return f"{_called(value)} {key}".replace("_", " ")
        case ast.Subscript(value=value) | ast.Starred(value=value) | ast.Await(value=value):
            return _called(value)
        case ast.Call(func=ast.Attribute(attr="join"), args=[value, *_]):
            return _called(value)
        case ast.Call(args=[value, *_]) if not isinstance(value, ast.Constant):
            return _called(value)
        case ast.Call(func=function):
            return _called(function)
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            return _called(first.iter)
        case ast.BinOp(left=left, right=right):
            return _called(left if not isinstance(left, ast.Constant) else right)
        case ast.BoolOp(values=[value, *_]) | ast.IfExp(body=value):
            return _called(value)
        case ast.UnaryOp(operand=value):
            return _called(value)
    return "…"


def _is_error(call: ast.Call) -> bool:
    """Whether an error is made, of those that end in a message for the user."""
    name = ast.unparse(call.func).rpartition(".")[2]
    if name in PROGRAM:
        return False
    return name.endswith("Error") or name in ("Refused", "SystemExit", "no_space", "exit")


def _of(function: ast.AST, module: str, names: dict[str, ast.expr]) -> Iterator[Message]:
    """Those of a function, with what the functions within it see."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            yield from _of(node, module, names | _assigned(node))
            continue
        if isinstance(node, ast.Call) and _is_error(node):
            resolved = [names.get(a.id, a) if isinstance(a, ast.Name) else a for a in node.args]
            if texts := [_text(each, names) for each in resolved if _is_text(each)]:
                yield Message(" ".join(": ".join(texts).split()), module)
        yield from _of(node, module, names)


def messages() -> list[Message]:
    """Every message of the package, once."""
    found: dict[str, Message] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        tree = _tree(module)
        assert tree is not None
        for message in _of(tree, module, _constants(module)):
            if len(re.sub("⟨.*?⟩", "", message.text)) > 8:  # more than punctuation
                found.setdefault(message.text, message)
    return list(found.values())


def _room(module: str) -> str:
    first = module.split(".")[1]
    found = (rooms for rooms in ROOMS if first in rooms.split())
    return next(found, "")


def _escaped(text: str) -> str:
    """As Markdown shows it as it is; what stands in backticks is code there, too."""
    parts = re.split(r"(`[^`]*`)", text)
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(r"([\\*_\[\]|#~])", r"\\\1", parts[place])
        parts[place] = parts[place].replace("<", "&lt;").replace("`", "\\`")
        parts[place] = re.sub("⟨(.*?)⟩", r"*\1*", parts[place])
    for place in range(1, len(parts), 2):
        parts[place] = re.sub("⟨(.*?)⟩", lambda name: name[1].upper(), parts[place])
    return "".join(parts)


def _item(message: Message) -> str:
    """A list's item: what is said and, where it names one, the remedy on a line of its own."""
    if (found := REMEDY.search(message.text)) is None:
        return f"- {_escaped(message.text)}"
    said, remedy = message.text[: found.start() + 1], message.text[found.end() :]
    return f"- {_escaped(said)}\\\n  → {_escaped(remedy)}"


def _order(message: Message) -> str:
    return re.sub("⟨.*?⟩|[^a-z ]", "", message.text.lower()).strip()


def generated() -> str:
    """The part of the page that is made from the source, room by room."""
    lines = []
    every = messages()
    for rooms, title in ROOMS.items():
        lines += [f"## {title}", ""]
        own = (message for message in every if _room(message.module) == rooms)
        lines += [*map(_item, sorted(own, key=_order)), ""]
    return "\n".join(lines)


def page() -> str:
    """The page: its beginning as it stands, and what is generated."""
    return PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + "\n" + generated()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

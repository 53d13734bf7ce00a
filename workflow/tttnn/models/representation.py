"""How an embedder's token vectors become one: as the paper has it, or as its manifest says.

The paper takes the mean of the last hidden state (section 3), as it is. What a model's own files
say otherwise is read when it is fetched (`tttnn.models.sentence_transformers`).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tttnn.models.model_files import ModelError
from tttnn.reading import read_json
from tttnn.sections.pooling import Pooling


class Representation(BaseModel):
    """A text's vector: `prompt` before the text, its token vectors pooled, scaled to length 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pooling: Pooling = "mean"
    normalize: bool = False
    prompt: str = ""

    def __str__(self) -> str:
        pooled = {
            "mean": "the mean of token vectors",
            "cls": "the first token's vector",
            "max": "the largest of token vectors, number by number",
            "last": "the last token's vector",
        }[self.pooling]
        scaled = "scaled to length 1" if self.normalize else "not scaled"
        prompt = f"after the prompt {self.prompt!r}" if self.prompt else "no prompt"
        return f"{pooled}, {scaled}, {prompt}"


PAPERS = Representation()
"""The paper's, and that of every model whose files say nothing else."""


def representation_of(folder: Path) -> Representation:
    """How the model in a run's folder represents texts, by its manifest."""
    path = folder / "manifest.json"
    told = read_json(path, f"remove {folder} and run again").get("representation")
    try:
        return PAPERS if told is None else Representation.model_validate(told)
    except ValidationError as error:
        raise ModelError(
            f"{path} says a representation that is none ({error.error_count()} faults): remove "
            f"{folder} and run again"
        ) from error

"""Settings of a model on the hub."""

from __future__ import annotations

from typing import Literal

from tttnn.sections.representing import Representing


class HubModel(Representing):
    """A model on the Hugging Face hub; safetensors weights only."""

    kind: Literal["huggingface"]
    id: str  # as the hub has it, such as openai-community/gpt2
    revision: str  # a commit, so that the same weights come back in ten years
    tokenizer: str | None = None  # another repository's tokenizer, as `id@revision`

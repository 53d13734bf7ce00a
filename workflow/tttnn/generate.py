"""`tttnn generate`: continue a prompt before and after training on its neighbours.

The paper's released code has such a function, which calls what is not there
(eval_tttlm.py:310-348). Here the weights are put back afterwards, and adapters can be kept.
"""

from __future__ import annotations

import shutil
import sys
from math import inf
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tttnn.adapting import LEARNING_RATE, adapted, bits_per_byte, recipe_for
from tttnn.arguments import positive
from tttnn.files import replacing
from tttnn.live.query import Finder, table
from tttnn.live.shard import Run
from tttnn.methods.ttt.settings import Lora, Recipe
from tttnn.models.folder import context_length, load_causal
from tttnn.models.hub import named
from tttnn.models.tokens import tokens
from tttnn.sections.base import nearest
from tttnn.wording import counted

LORA_LEARNING_RATE = 2e-4  # config/modern.yaml's
COLDEST = 0.01
"""A temperature by which logits can be divided: below, numbers overflow."""


def continued(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> str:
    """The model's continuation of a prompt: the likeliest tokens, or, by temperature, drawn.

    It ends at an end-of-text token. Raises `ValueError` for a prompt without tokens, or one that
    leaves no room in the model's context.
    """
    ids = tokens(tokenizer, prompt)
    if not ids:
        raise ValueError("the tokenizer has no token for the prompt: give one of a word or more")
    room = context_length(model) - len(ids)
    if room < new_tokens:
        raise ValueError(
            f"the prompt has {len(ids)} tokens, which leaves room for {max(room, 0)} of "
            f"{new_tokens} more: shorten it, or lower --tokens"
        )
    sampled: dict[str, Any] = {"do_sample": temperature > 0}
    if temperature > 0:
        sampled |= {"temperature": temperature, "top_k": 0, "top_p": 1.0}
    inputs = torch.tensor([ids], device=model.device)
    end = tokenizer.eos_token_id
    torch.manual_seed(seed)
    with torch.inference_mode():
        made = model.generate(  # type: ignore[operator]
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=new_tokens,
            eos_token_id=end,
            pad_token_id=0 if end is None else end,
            **sampled,
        )
    return str(tokenizer.decode(made[0, len(ids) :], skip_special_tokens=True))


def write_adapter(
    model: PreTrainedModel, lora: Lora, folder: Path, base: str, revision: str | None = None
) -> None:
    """Write the adapters that stand in the model, in PEFT's format, into a new folder.

    `base` is where PEFT finds the model that they are for: a folder, or a model of the hub, at
    `revision`.
    """
    from peft import LoraConfig
    from safetensors.torch import save

    # PEFT names a weight by where it stands in the model that it wraps, without the adapter's name
    found = {
        f"base_model.model.{name.replace('.default.', '.')}": parameter.detach().contiguous().cpu()
        for name, parameter in model.named_parameters()
        if ".lora_" in name
    }
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        target_modules=lora.targets,
        base_model_name_or_path=base,
        revision=revision,
        task_type="CAUSAL_LM",
        inference_mode=True,
    )
    with replacing(folder, directory=True) as beside:
        # not by save_file, whose files none but their owner may read
        weights = save(found, metadata={"format": "pt"})
        (beside / "adapter_model.safetensors").write_bytes(weights)
        config.save_pretrained(str(beside))


def _model(run: Run, name: str, revision: str | None) -> tuple[Path, float | None]:
    """A model of the run, a folder or of the hub, and the learning rate the run gives it.

    Raises `ValueError` where there is none, and for a revision of what has none.
    """
    if name in run.config.models:
        folder = run.folder / "models" / name
        if not folder.is_dir():
            raise ValueError(f"{folder} is missing: run the workflow to its models first")
        if revision is not None:
            raise ValueError(
                f"--revision {revision} is of a model on the hub, and {name} is one of the run's: "
                "leave one of them out"
            )
        return folder, run.config.models[name].adapt_learning_rate
    if not Path(name).is_dir() and (near := nearest(name, run.config.evaluate.models)):
        print(f"the run has no model {name}.{near}", file=sys.stderr)
    return named(name, revision), None


def generate(
    prompt: str,
    /,
    *,
    run: Path,
    model: str,
    k: int = 20,
    index: str | None = None,
    tokens: int = 100,
    temperature: float = 0.0,
    seed: int = 0,
    learning_rate: float | None = None,
    window: int | None = None,
    rank: int | None = None,
    save_adapter: Path | None = None,
    revision: str | None = None,
) -> None:
    """Continue PROMPT before and after training on its nearest passages, then put the model back.

    It also says how well the model predicts the prompt itself, before and after.

    PROMPT           the text to be continued
    --run            the run whose index is searched: its name in this folder, or the path of its
                     results/NAME
    --model          one of the run's models, a folder in Hugging Face format, or, where there is
                     none of that name, a model of the hub
    --revision       a commit of that model's page on the hub; without: its latest
    -k               how many passages, nearest first
    --index          the run's index; without: its first
    --tokens         of the continuation, at most
    --temperature    0: the likeliest token each time; 1: drawn as the model says
    --seed           of what is drawn, and of dropout, if the model has any
    --learning-rate  without: the run's for that model, or the paper's 2e-5; 2e-4 of adapters
    --window         tokens of a gradient step; without: the model's context length
    --save-adapter   train low-rank adapters in place of the weights, and write them into this new
                     folder in PEFT's format
    --rank           of these adapters; without: 16
    """
    if not prompt.strip():
        raise ValueError("the prompt is empty: give one of a word or more")
    if save_adapter is not None and save_adapter.exists():
        raise ValueError(f"{save_adapter} is there already: name a new folder for the adapter")
    if rank is not None and save_adapter is None:
        raise ValueError("--rank is of adapters: name a folder for them (--save-adapter), too")
    adapters = 16 if rank is None else rank
    for name, value in (("-k", k), ("--tokens", tokens), ("--rank", adapters)):
        if value < 1:
            raise ValueError(f"{name} is {value}: it must be 1 or more")
    if temperature and not COLDEST <= temperature < inf:
        raise ValueError(f"--temperature is {temperature}: it must be 0, or {COLDEST} or more")
    if not 0 <= seed < 2**63:
        raise ValueError(f"--seed is {seed}: it must be 0 or more, and below 2^63")
    if learning_rate is not None:
        positive(learning_rate, "--learning-rate")
    opened = Run(run, index)
    folder, rate = _model(opened, model, revision)
    network, tokenizer = load_causal(folder, device="cuda" if torch.cuda.is_available() else "cpu")
    width = network.config.get_text_config().hidden_size
    if adapters > width:
        raise ValueError(
            f"--rank is {adapters}: the model's matrices have {width} at most, lower it"
        )
    before = continued(network, tokenizer, prompt, tokens, temperature, seed)
    bits = [bits_per_byte(network, tokenizer, prompt)]
    rows = Finder(opened).neighbors(prompt, k)
    print("\n".join(table(rows, shutil.get_terminal_size((120, 24)).columns)))
    lora = None if save_adapter is None else Lora(rank=adapters, alpha=2 * adapters)
    how = _recipe(len(rows), lora, learning_rate, rate, window, seed)
    with adapted(network, tokenizer, [row["text"] for row in rows], how):
        bits.append(bits_per_byte(network, tokenizer, prompt))  # NaN is an error there
        after = continued(network, tokenizer, prompt, tokens, temperature, seed)
        if save_adapter is not None:
            assert lora is not None
            write_adapter(network, lora, save_adapter, *_base(model, folder, revision))
    print(
        f"\nbefore: {prompt}⟫{before}\n\nafter {counted(len(rows), 'neighbour')}: {prompt}⟫{after}"
    )
    print(f"\nthe prompt: {bits[0]:.3f} bits per byte before, {bits[1]:.3f} after")
    if save_adapter is not None:
        print(f"\nadapter: {save_adapter}")


def _base(name: str, folder: Path, revision: str | None) -> tuple[str, str | None]:
    """Where whoever loads an adapter finds its model: by its name on the hub, or a whole path."""
    is_cached = folder.parent.name == "snapshots"
    return (name, revision or folder.name) if is_cached else (str(folder.resolve()), None)


def _recipe(
    count: int,
    lora: Lora | None,
    asked: float | None,
    of_model: float | None,
    window: int | None,
    seed: int,
) -> Recipe:
    """All of `count` neighbours; a model's own learning rate is for all of its weights."""
    usual = (of_model or LEARNING_RATE) if lora is None else LORA_LEARNING_RATE
    settings = {"window": window, "seed": seed, "lora": lora and lora.model_dump()}
    return recipe_for(count, usual if asked is None else asked, [0, count], **settings)

"""Conversations, chat templates in four styles, and checkpoints that have them.

Each style is written twice: with `{% generation %}` around what the assistant says, and without. The templates are written
for these tests, in the manner of those that models come with.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import tokenizers
import torch
import transformers
from models import tiny_model

import rho_mask

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Style:
    template: str
    """With marks."""
    end: str
    """The token that ends a turn."""
    newline: bool
    """Whether the assistant's turn is followed by a newline."""
    newline_marked: bool = False
    """Whether that newline is marked as the assistant's."""
    bos: str | None = None
    others: tuple[str, ...] = ()
    """Its other special tokens."""
    spaces: bool = False
    """Whether tokens begin with a visible space, as in SentencePiece; bytes otherwise."""

    @property
    def unmarked(self) -> str:
        return re.sub(r"\{%-? *(end)?generation *-?%\}", "", self.template)


STYLES = {
    # Qwen's: the newline after a turn is the template's.
    "chatml": Style(
        template="""
{%- for message in messages -%}
    {{- '<|im_start|>' + message['role'] + '\\n' -}}
    {%- if message['role'] == 'assistant' -%}
        {%- generation -%}{{- message['content'] + '<|im_end|>' -}}{%- endgeneration -%}
    {%- else -%}
        {{- message['content'] + '<|im_end|>' -}}
    {%- endif -%}
    {{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}""",
        end="<|im_end|>",
        newline=True,
        others=("<|im_start|>",),
    ),
    # Llama 3's: BOS, nothing between turns, trimmed texts.
    "headers": Style(
        template="""
{{- bos_token -}}
{%- for message in messages -%}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' -}}
    {%- if message['role'] == 'assistant' -%}
        {%- generation -%}{{- message['content'] | trim + '<|eot_id|>' -}}{%- endgeneration -%}
    {%- else -%}
        {{- message['content'] | trim + '<|eot_id|>' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}""",
        end="<|eot_id|>",
        newline=False,
        bos="<|begin_of_text|>",
        others=("<|start_header_id|>", "<|end_header_id|>"),
    ),
    # Mistral's: the system's text is part of the first question, EOS ends an answer, which begins with a space.
    "brackets": Style(
        template="""
{{- bos_token -}}
{%- if messages[0]['role'] == 'system' -%}
    {%- set system = messages[0]['content'] + '\\n\\n' -%}{%- set turns = messages[1:] -%}
{%- else -%}
    {%- set system = '' -%}{%- set turns = messages -%}
{%- endif -%}
{%- for message in turns -%}
    {%- if message['role'] == 'user' -%}
        {{- '[INST] ' + (system if loop.first else '') + message['content'] + ' [/INST]' -}}
    {%- else -%}
        {%- generation -%}{{- ' ' + message['content'] | trim + eos_token -}}{%- endgeneration -%}
    {%- endif -%}
{%- endfor -%}""",
        end="</s>",
        newline=False,
        bos="<s>",
        others=("[INST]", "[/INST]"),
        spaces=True,
    ),
    # Gemma's: the assistant has another name, and the newline after its turn is marked.
    "turns": Style(
        template="""
{{- bos_token -}}
{%- for message in messages -%}
    {%- if message['role'] == 'assistant' -%}
        {{- '<start_of_turn>model\\n' -}}
        {%- generation -%}{{- message['content'] | trim + '<end_of_turn>\\n' -}}{%- endgeneration -%}
    {%- else -%}
        {{- '<start_of_turn>' + message['role'] + '\\n' + message['content'] | trim + '<end_of_turn>\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}""",
        end="<end_of_turn>",
        newline=True,
        newline_marked=True,
        bos="<bos>",
        others=("<start_of_turn>",),
    ),
}

TEXTS = (
    "What is 2 + 3?",
    "5",
    "Name three apples.\nOne a line.",
    "Cox, Gala,\nElstar.\n",
    "  padded  ",
    "Wörter, слова, 言葉 and 🍎🍏",
    "def add(a, b):\n    return a + b\n\n\nprint(add(2, 3))",
    "yes",
    "Say nothing at all, at some length, with a comma, and a full stop at its end.",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    'He said "no" twice: "no".',
    "1,234.56 % of 7",
)


def chats(count: int = 24, seed: int = 3) -> list[Messages]:
    """Conversations of one to four turns, with a system message or none."""
    drawn = random.Random(seed)
    made = []
    for number in range(count):
        messages = [{"role": "system", "content": "You are brief."}] if number % 3 == 0 else []
        for _ in range(1 + number % 4):
            messages.append({"role": "user", "content": drawn.choice(TEXTS)})
            messages.append({"role": "assistant", "content": drawn.choice(TEXTS)})
        made.append(messages)
    return made


def tokenizer_of(style: Style, template: str | None) -> transformers.PreTrainedTokenizerFast:
    """A byte-pair tokenizer trained on the texts."""
    names = [name for name in (style.bos, style.end, *style.others, "<pad>") if name]
    unknown = "<unk>" if style.spaces else None
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=unknown))
    alphabet = []
    if style.spaces:
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="first")
        tokenizer.decoder = tokenizers.decoders.Metaspace(prepend_scheme="first")
    else:
        # Newlines are a word of their own, as in Llama 3 and Qwen: a prompt that ends with them ends with a token.
        words = tokenizers.Regex(r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+| ?\p{L}+|\s+(?!\S)|\s+")
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
            [
                tokenizers.pre_tokenizers.Split(words, "isolated"),
                tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.decoder = tokenizers.decoders.ByteLevel()
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=names + ([unknown] if unknown else []),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator([*TEXTS, "You are brief.", "system\nuser\nassistant\nmodel\n\n"] * 3, trainer)
    loaded = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=style.bos,
        eos_token=style.end,
        pad_token="<pad>",
        unk_token=unknown,
        clean_up_tokenization_spaces=False,
    )
    loaded.chat_template = template
    if style.bos:
        # Around plain texts; a template writes it itself.
        loaded._tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
            single=f"{style.bos} $A", special_tokens=[(style.bos, loaded.bos_token_id)]
        )
    return loaded


def checkpoint(folder: Path, style: Style, template: str | None) -> Path:
    """A tiny model with such a tokenizer."""
    tokenizer = tokenizer_of(style, template)
    model = tiny_model(
        len(tokenizer),
        max_position_embeddings=512,
        # With larger weights, PyTorch in f32 is more than 1e-4 from itself in float64.
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run(binary: Path, *arguments: Any, code: int = 0) -> str:
    """Runs the program, expects this exit code, and returns what it says."""
    done = subprocess.run([str(part) for part in (binary, *arguments)], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stderr


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def exported(binary: Path, model: Path) -> Path:
    """The export of a checkpoint, beside it: not in the user's cache, where `score` would put it."""
    out = model.with_name(f"{model.name}-exported")
    if not out.exists():
        run(binary, "export", model, "--out", out)
    return out


def score(binary: Path, rows: list[dict[str, Any]], model: Path, out: Path, *options: Any, code: int = 0) -> rho_mask.Masks:
    """The masks of these rows, in which every target is kept."""
    corpus = write_rows(out.with_suffix(".jsonl"), rows)
    model = exported(binary, model)
    keep = () if "--by" in options else ("--by", "loss", "--keep", "1.0")
    run(binary, "score", corpus, "--model", model, "--device", "cpu", "--out", out, *keep, *options, code=code)
    return rho_mask.open_masks(out)


def column(masks: rho_mask.Masks, name: str) -> list[list[Any]]:
    """A column of all documents, in order."""
    values = masks.table[name]
    return (values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values).to_pylist()


def loss_and_entropy(model: Path, ids: list[int]) -> tuple[list[float], list[float]]:
    """Of every token but the first, in float64."""
    loaded = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float64).eval()
    with torch.no_grad():
        log_p = loaded(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
    loss = -log_p.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    return loss.tolist(), (-(log_p.exp() * log_p).sum(-1)).tolist()

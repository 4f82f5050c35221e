"""A tiny model, its tokenizer, and the loss over kept tokens, computed independently: document by document, in float64,
from the masks alone. And the first step of trainers of Transformers' kind."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any

import tokenizers
import torch
import transformers
from conversion import END, Document

TOLERANCE = 1e-5
BATCH = 4


def tiny_model(vocabulary: int, **settings: Any) -> transformers.PreTrainedModel:
    torch.manual_seed(5)
    settings = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 256,
        # Logits far from equal, so that every token has a different loss.
        "initializer_range": 0.6,
        "pad_token_id": END,
        "eos_token_id": END,
        "bos_token_id": None,
        **settings,
    }
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=vocabulary, **settings))


def tokenizer_of(vocabulary: int) -> transformers.PreTrainedTokenizerBase:
    words = {"<end>" if i == END else f"w{i}": i for i in range(vocabulary)}
    model = tokenizers.models.WordLevel(words, unk_token="<end>")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(model), eos_token="<end>", pad_token="<end>"
    )


def mean_loss(model: transformers.PreTrainedModel, documents: Iterable[Document]) -> float:
    """The mean of -ln P(token | previous tokens of its document) over the kept tokens."""
    model = copy.deepcopy(model).double().eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for document in documents:
            ids = torch.tensor([document.ids])
            log_p = model(input_ids=ids).logits[0].log_softmax(-1)
            for i, kept in enumerate(document.kept):
                if kept:
                    total -= float(log_p[i - 1, ids[0, i]])
                    count += 1
    return total / count


def arguments(kind: Any, dataset: Any, tmp_path: Any, **more: Any) -> Any:
    """One step over all documents: the logged loss is that of all batches together."""
    return kind(
        output_dir=str(tmp_path / "run"),
        max_steps=1,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=math.ceil(len(dataset) / BATCH),
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        # TRL defaults to bfloat16, and the loss must be exact.
        bf16=False,
        disable_tqdm=True,
        **more,
    )


def first_loss(trainer: Any) -> float:
    trainer.train()
    return next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)

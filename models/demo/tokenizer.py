"""Trains tokenizer.json: byte-level BPE with 2,048 entries, on grade-school word problems.

    python tokenizer.py ref_math_train.jsonl.zst tokenizer.json

In: a .jsonl.zst file whose objects have `id`, `text` and `source`. Uses 95 % of GSM8K's training problems, chosen by a
hash of `id`. The vocabulary has all bytes, so that any text can be tokenised.
"""

import hashlib
import io
import json
import sys

import zstandard
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers


def texts(path):
    with open(path, "rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8", newline="\n")
        for document in map(json.loads, lines):
            first = int.from_bytes(hashlib.sha256(document["id"].encode()).digest()[:4], "big")
            if document["source"] == "gsm8k_train" and first >= 0.05 * 2**32:
                yield document["text"]


def main():
    data, out = sys.argv[1:]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        special_tokens=["<s>", "</s>"],
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(texts(data), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    tokenizer.save(out, pretty=False)


if __name__ == "__main__":
    main()

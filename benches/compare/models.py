"""Creates the model and the corpus of the comparison: a Llama with random weights (speed does not depend on their values)
as a Hugging Face checkpoint and as optimum's export, and a corpus as text or as token ids."""

import json
import os
import random
import subprocess
import sys

# Hidden size, layers, vocabulary; the last shape is scored from token ids, because it has no tokenizer of its own.
SHAPES = {"35m": (512, 6, 16384), "100m": (768, 12, 16384), "wide": (512, 6, 151936)}


def documents(path, limit):
    """The texts of a JSON lines file, plain or .zst, or of a folder of such files."""
    import zstandard

    paths = [path]
    if os.path.isdir(path):
        found = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
        paths = sorted(p for p in found if p.endswith((".jsonl", ".jsonl.zst")))
    count = 0
    for path in paths:
        opened = zstandard.open(path, "rt", encoding="utf-8") if path.endswith(".zst") else open(path, encoding="utf-8")
        with opened as lines:
            for line in lines:
                if count == limit:
                    return
                count += 1
                yield json.loads(line)["text"]


def tokenizer_for(texts, vocabulary):
    """Byte-level BPE, trained on the corpus itself."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def prepare(folder, shape, corpus, count, train_count):
    """Fills `folder` once; later runs reuse it. Returns the paths and sizes that main needs."""
    note = os.path.join(folder, "note.json")
    if os.path.exists(note):
        with open(note) as file:
            return json.load(file)
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, layers, vocabulary = SHAPES[shape]
    hf, onnx = os.path.join(folder, "hf"), os.path.join(folder, "onnx")
    os.makedirs(hf, exist_ok=True)
    tokenizer = tokenizer_for(documents(corpus, train_count), min(vocabulary, 16384))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size() if shape != "wide" else vocabulary,
        hidden_size=hidden,
        intermediate_size=hidden * 8 // 3 // 64 * 64,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(hf)
    export = (
        "import sys; from optimum.exporters.onnx import main_export; main_export(sys.argv[1], sys.argv[2],"
        "task='text-generation', no_post_process=True, do_validation=False, device='cpu')"
    )
    subprocess.run([sys.executable, "-c", export, hf, onnx], check=True, stdout=subprocess.DEVNULL)
    for place in (hf, onnx) if shape != "wide" else ():
        tokenizer.save(os.path.join(place, "tokenizer.json"))

    # The ids of the narrow vocabulary, mapped at random into the wide one.
    spread = list(range(config.vocab_size))
    random.Random(0).shuffle(spread)
    lengths = []
    path = os.path.join(folder, "corpus.jsonl")
    with open(path, "w", encoding="utf-8") as out:
        for text in documents(corpus, count):
            ids = tokenizer.encode(text).ids
            lengths.append(len(ids))
            row = {"text": text} if shape != "wide" else {"input_ids": [spread[i] for i in ids]}
            out.write(json.dumps(row) + "\n")
    parameters = sum(p.numel() for p in model.parameters())
    embedding = config.vocab_size * hidden
    note_of = {
        "corpus": path, "hf": hf, "onnx": onnx, "parameters": parameters, "lengths": lengths,
        "products": parameters - embedding, "hidden": hidden, "layers": layers, "tokens_field": shape == "wide",
    }
    with open(note, "w") as file:
        json.dump(note_of, file)
    return note_of

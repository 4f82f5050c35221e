"""Checks that the demo reference keeps more tokens inside mathematics than outside.

In: the model's folder, and a corpus whose documents have a field `math`: the [start, end] code point spans of
mathematics (see examples/README.md). Out: a table on standard output. Does not use the program, so that it is an
independent check. Scores one document at a time.

    python contrast.py --model . --corpus ../../examples/corpus
"""
import argparse, gzip, io, json
from pathlib import Path

import numpy as np
import onnxruntime
import zstandard
from tokenizers import Tokenizer

KEEP_LOSS = KEEP_ENTROPY = 0.7


def read_documents(path):
    with open(path, "rb") as raw:
        stream = {".gz": gzip.open, ".zst": zstandard.ZstdDecompressor().stream_reader}.get(path.suffix, lambda f: f)(raw)
        yield from map(json.loads, io.TextIOWrapper(stream, encoding="utf-8", newline="\n"))


def windows_of(length, context):
    """(start, first scored token, end) of each window. Windows overlap by half the context; every token but the first
    is scored once."""
    start, scored = 0, 1
    while scored < length:
        end = min(start + context, length)
        yield start, scored, end
        start, scored = end - context // 2, end


def score(session, token_ids, context):
    """Loss and entropy of each target token, in nats; NaN for token 0."""
    loss, entropy = np.full(len(token_ids), np.nan), np.full(len(token_ids), np.nan)
    names = [i.name for i in session.get_inputs()]
    for start, scored, end in windows_of(len(token_ids), context):
        window = np.array([token_ids[start:end]], np.int64)
        feeds = {"input_ids": window, "attention_mask": np.ones_like(window), "position_ids": np.arange(end - start)[None]}
        logits = session.run(["logits"], {name: feeds[name] for name in names})[0][0].astype(np.float64)
        log_p = logits - logits.max(-1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(-1, keepdims=True))
        rows = np.arange(scored, end) - start - 1  # the row before a token predicts it
        loss[scored:end] = -log_p[rows, token_ids[scored:end]]
        entropy[scored:end] = -(np.exp(log_p[rows]) * log_p[rows]).sum(-1)
    return loss, entropy


def lowest(scores, share):
    """A mask that keeps the share of scored tokens with the lowest scores; ties go to the earlier token."""
    scored = ~np.isnan(scores)
    keep = np.zeros(len(scores), bool)
    keep[np.argsort(scores, kind="stable")[:round(share * scored.sum())]] = True  # NaN sorts last
    return keep


def main():
    parser = argparse.ArgumentParser(description="compare the kept shares inside and outside mathematics")
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--corpus", required=True, type=Path)
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    context = json.loads((args.model / "config.json").read_text())["max_position_embeddings"]
    session = onnxruntime.InferenceSession(str(args.model / "model.onnx"), providers=["CPUExecutionProvider"])

    columns = []  # one entry per file; the lines after those of the files use all of them
    print(f"{'':<24}{'tokens':>8}{'in math':>9}   % kept inside / outside, difference in points")
    print(f"{'':<24}{'':>17}   {'loss':<22}{'entropy':<22}{'intersection':<22}")

    def line(name, inside, outside, masks):
        cells = []
        for mask in masks:
            if inside.any() and outside.any():
                a, b = 100 * mask[inside].mean(), 100 * mask[outside].mean()
                cells.append(f"{a:5.1f} /{b:5.1f} {a - b:+6.1f}")
            else:
                cells.append(f"    - /{100 * mask[outside].mean():5.1f}")
        text = inside | outside  # all but the special tokens
        print(f"{name:<24}{text.sum():>8}{inside.sum() / text.sum():>9.1%}   " + "".join(f"{cell:<22}" for cell in cells))

    for path in sorted(args.corpus.rglob("*.jsonl*")):
        losses, entropies, inside, outside, kinds = [], [], [], [], []
        for document in read_documents(path):
            encoding = tokenizer.encode(document["text"])
            loss, entropy = score(session, encoding.ids, context)
            text = np.array([not special for special in encoding.special_tokens_mask], bool)
            in_math = np.array([any(a < end and start < b for start, end in document["math"]) for a, b in encoding.offsets], bool)
            losses.append(loss), entropies.append(entropy)
            inside.append(text & in_math), outside.append(text & ~in_math)
            kinds += [document["source"]] * len(loss)
        loss, entropy, inside, outside = map(np.concatenate, (losses, entropies, inside, outside))
        by_loss, by_entropy = lowest(loss, KEEP_LOSS), lowest(entropy, KEEP_ENTROPY)
        line(path.name, inside, outside, (by_loss, by_entropy, by_loss & by_entropy))
        columns.append((inside, outside, by_loss, by_entropy, by_loss & by_entropy, loss, entropy, np.array(kinds)))

    inside, outside, *masks, loss, entropy, kinds = map(np.concatenate, zip(*columns))
    line("all", inside, outside, masks)
    for kind in sorted(set(kinds)):
        line(kind, inside & (kinds == kind), outside & (kinds == kind), masks)
    for name, values in (("loss", loss), ("entropy", entropy)):
        print(f"mean {name}: {np.nanmean(values[inside]):.2f} inside, {np.nanmean(values[outside]):.2f} outside (nats/token)")


if __name__ == "__main__":
    main()

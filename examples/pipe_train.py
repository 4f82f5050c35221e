"""Trains a small model on masks while they are being written, from an Arrow stream on standard input.

    rho-mask score examples/corpus --out - | python examples/pipe_train.py
    rho-mask convert masks/ --to labels --length 256 --out - | python examples/pipe_train.py

Ranks each batch online by excess loss (`rho_mask.slm_loss`). With `--static`, or on the labelled sequences of `convert`, it
trains on the masks of the stream instead. Scoring runs ahead of training by as much as a pipe and a few batches hold, and
waits if training is slower. Needs the packages rho-mask and torch.
"""

import argparse
import sys
import time

import pyarrow as pa
import torch
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

import rho_mask


class Block(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.RMSNorm(hidden), nn.RMSNorm(hidden)
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden, bias=False), nn.Linear(hidden, hidden, bias=False)
        self.mlp = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden))

    def forward(self, x, mask):
        batch, length, hidden = x.shape
        qkv = self.qkv(self.before_attention(x)).view(batch, length, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, hidden))
        return x + self.mlp(self.before_mlp(x))


class Model(nn.Module):
    """A decoder with learned positions; the attention mask keeps documents apart."""

    def __init__(self, vocabulary, length, hidden, layers, heads):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, hidden), nn.Embedding(length, hidden)
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(layers))
        self.norm, self.head = nn.RMSNorm(hidden), nn.Linear(hidden, vocabulary, bias=False)

    def forward(self, batch):
        mask = rho_mask.document_mask(batch["segment_ids"])
        x = self.tokens(batch["input_ids"]) + self.positions(batch["position_ids"])
        for block in self.blocks:
            x = block(x, mask)
        return self.head(self.norm(x))


def converted(stream):
    """The sequences of `convert --to labels --length N`, with `segment_ids` that number their documents."""
    for batch in stream:
        for row in batch.to_pylist():
            sequence = {name: torch.tensor(row[name]) for name in ["input_ids", "labels", "position_ids"]}
            lengths = torch.tensor(row["seq_lengths"])
            sequence["segment_ids"] = torch.arange(len(lengths)).repeat_interleave(lengths)
            yield sequence


def batches(sequences, size):
    """Stacks sequences; the last batch may have fewer."""
    pending = []
    for sequence in sequences:
        pending.append(sequence)
        if len(pending) == size:
            yield {name: torch.stack([s[name] for s in pending]) for name in sequence}
            pending = []
    if pending:
        yield {name: torch.stack([s[name] for s in pending]) for name in pending[0]}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--length", type=int, default=256, help="tokens per sequence")
    arguments.add_argument("--batch", type=int, default=8, help="sequences per step")
    arguments.add_argument("--keep", type=float, default=0.6, help="share of a batch's scored tokens to train on")
    arguments.add_argument("--static", action="store_true", help="train on the stream's masks, not by excess loss")
    arguments.add_argument("--steps", type=int, help="stop training and scoring after this many steps")
    arguments.add_argument("--hidden", type=int, default=64)
    arguments.add_argument("--layers", type=int, default=2)
    arguments.add_argument("--learning-rate", type=float, default=1e-3)
    options = arguments.parse_args()

    torch.manual_seed(0)
    with pa.ipc.open_stream(sys.stdin.buffer) as stream:
        metadata = rho_mask.metadata_of(stream.schema, "standard input")
        vocabulary = metadata["reference"]["vocabulary"]
        length, labelled = options.length, "labels" in stream.schema.names
        if labelled and "seq_lengths" not in stream.schema.names:
            sys.exit("standard input: expected fixed-length sequences: convert with --length")
        if labelled:
            length = metadata["convert"]["length"]
        sequences = converted(stream) if labelled else rho_mask.pack_stream(stream, length)
        model = Model(vocabulary, length, options.hidden, options.layers, heads=options.hidden // 32)
        optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate)
        start, tokens, learned, latest = time.monotonic(), 0, 0, []
        for step, batch in enumerate(batches(sequences, options.batch), 1):
            logits = model(batch)
            scored = batch["input_ids"].numel() if labelled else int((~batch["ref_loss"].isnan()).sum())
            if options.static or labelled:
                labels = rho_mask.to_predictions(batch["labels"])
                loss = cross_entropy(rho_mask.with_target(logits).flatten(0, 1), labels.flatten(), reduction="sum")
                kept = int((labels != rho_mask.IGNORE).sum())
                loss = loss / max(kept, 1)
            else:
                loss = rho_mask.slm_loss(logits, batch["input_ids"], batch["ref_loss"], options.keep)
                kept = int(options.keep * scored + 0.5)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tokens, learned, latest = tokens + scored, learned + kept, [*latest[-9:], loss.item()]
            if step % 10 == 0:
                mean = sum(latest) / len(latest)
                print(f"step {step}: {tokens:,} tokens, loss on kept tokens {mean:.3f} nats", file=sys.stderr)
            if step == options.steps:
                break
        seconds = time.monotonic() - start
    print(f"learned from {learned:,} of {tokens:,} tokens in {seconds:.1f} s; last loss {sum(latest) / len(latest):.3f}")


if __name__ == "__main__":
    main()

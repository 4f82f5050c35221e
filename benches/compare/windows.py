"""Code that both peers share: splits documents into windows without overlap, packs windows into batches with little
padding, writes results to Parquet."""

import json

import pyarrow
import pyarrow.parquet


def batches(corpus, tokenizer, context, batch_tokens, look_ahead=512):
    """Yields lists of windows of similar length, with at most `batch_tokens` tokens including padding."""
    waiting = []
    with open(corpus, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            ids = row["input_ids"] if "input_ids" in row else tokenizer.encode(row["text"], add_special_tokens=False).ids
            parts = (ids[start : start + context] for start in range(0, len(ids), context))
            waiting += [part for part in parts if len(part) > 1]
            if len(waiting) >= look_ahead:
                yield from packed(waiting, batch_tokens)
                waiting = []
    yield from packed(waiting, batch_tokens)


def packed(windows, batch_tokens):
    windows.sort(key=len)
    batch = []
    for window in windows:
        if batch and (len(batch) + 1) * len(window) > batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


class Output:
    """Writes rows of (input_ids, loss, entropy) to a Parquet file, a thousand at a time."""

    def __init__(self, path):
        self.path, self.rows, self.writer = path, [], None

    def add(self, ids, loss, entropy):
        self.rows.append((ids, loss, entropy))
        if len(self.rows) == 1000:
            self.flush()

    def flush(self):
        columns = zip(("input_ids", "loss", "entropy"), zip(*self.rows))
        table = pyarrow.table({name: list(values) for name, values in columns})
        self.writer = self.writer or pyarrow.parquet.ParquetWriter(self.path, table.schema)
        self.writer.write_table(table)
        self.rows = []

    def close(self):
        if self.rows:
            self.flush()
        self.writer.close()

"""Packed `labels` in Transformers: documents of a sequence do not see each other. The code is that of docs/trainers.md, with
the Trainer and in a loop of one's own. Runs under several versions of Transformers, so it imports nothing else that depends
on one."""

import math

import pytest
import torch
import transformers
from conversion import convert, many
from datasets import load_from_disk
from models import TOLERANCE, mean_loss, tiny_model
from support import ROOT

LENGTH = 64
"""Longer than the longest document, so that none is split and the masks determine the loss."""
BATCH = 4
ROUNDED = 1e-4
"""Transformers 4 logs losses to four decimals."""


@pytest.fixture
def folder(tmp_path, binary, monkeypatch):
    """A folder with `packed/`, as the document's code expects it."""
    masks = many(tmp_path / "masks")
    convert(binary, masks, "labels", tmp_path / "packed", "--length", str(LENGTH))
    monkeypatch.chdir(tmp_path)
    return masks


@pytest.fixture
def blocks():
    """The code for packed sequences: that with the Trainer, and that of a loop."""
    document = (ROOT / "docs/trainers.md").read_text("utf-8")
    _, section = document.split("For fixed-length sequences (`--length`)\nuse\n")
    section, _ = section.split("\n### TRL")
    found = [block.partition("```")[0] for block in section.split("```python\n")[1:]]
    assert len(found) == 2
    return found


def test_the_trainer(folder, blocks, tmp_path):
    model = tiny_model(folder.vocabulary)
    expected = mean_loss(model, folder.documents(targets=True))
    rows = len(load_from_disk("packed/"))
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "run"),
        max_steps=1,
        per_device_train_batch_size=BATCH,
        # All sequences in one step: the logged loss is that of all of them.
        gradient_accumulation_steps=math.ceil(rows / BATCH),
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
    )
    logged = []

    class Trainer(transformers.Trainer):
        def log(self, logs, *more):
            logged.append(logs)
            super().log(logs, *more)

    names = {"load_from_disk": load_from_disk, "model": model, "arguments": arguments, "Trainer": Trainer}
    exec(blocks[0], names)
    assert next(logs["loss"] for logs in logged if "loss" in logs) == pytest.approx(expected, abs=ROUNDED)


def test_a_loop(folder, blocks):
    model = tiny_model(folder.vocabulary).eval()
    expected = mean_loss(model, folder.documents(targets=True))
    data = load_from_disk("packed/").remove_columns(["attention_mask", "seq_lengths"])

    def loss(code):
        total = count = 0
        with torch.no_grad():
            for batch in torch.utils.data.DataLoader(data, BATCH, collate_fn=transformers.default_data_collator):
                names = {"model": model, "batch": batch}
                exec(code, names)
                learned = int((batch["labels"] != -100).sum())
                total, count = total + float(names["loss"]) * learned, count + learned
        return total / count

    assert loss(blocks[1]) == pytest.approx(expected, abs=TOLERANCE)
    # Without it, documents see each other: this is why the document says so.
    leaking = blocks[1].replace(",\n             use_cache=False", "")
    assert leaking != blocks[1] and abs(loss(leaking) - expected) > 1000 * TOLERANCE

"""TRL's `SFTTrainer(assistant_only_loss=True)` and axolotl's `type: chat_template` on conversations, against the labels that
`score --messages-field` and `convert --to labels` make of the same conversations.

Where they train on other tokens, the tests name them:

* the newline after the assistant's turn: axolotl finds the turn's text and the token that ends it, and nothing else. It is a
  target here where the template marks it; without marks, it is part of the turn that the template writes.
* the newline before the answer: TRL's own template for Qwen 2.5 marks it, although the prompt ends with it.
* the end of an empty answer: axolotl finds no text, and so no end.
* a token on both sides of the border: TRL trains on it. Here such a conversation is rejected.
"""

import datasets
import pytest
import torch
import transformers
import trl
from conversation_data import STYLES, chats, checkpoint, column, run, score, tokenizer_of, write_rows
from conversion import IGNORE
from models import TOLERANCE, arguments, first_loss
from trl import chat_template_utils

IGNORED = {"user", "system"}


@pytest.fixture(scope="module", params=STYLES)
def style(request):
    return STYLES[request.param]


@pytest.fixture(scope="module", params=["marked", "unmarked"])
def marked(request):
    return request.param == "marked"


@pytest.fixture(scope="module")
def model(style, marked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return checkpoint(folder, style, style.template if marked else style.unmarked)


@pytest.fixture(scope="module")
def labels(binary, model, tmp_path_factory):
    return our_labels(binary, chats(), model, tmp_path_factory.mktemp("labels"))


def our_labels(binary, conversations, model, place, *options):
    rows = [{"messages": messages} for messages in conversations]
    score(binary, rows, model, place / "masks", "--messages-field", "messages", *options)
    run(binary, "convert", place / "masks", "--to", "labels", "--out", place / "labels")
    return datasets.load_from_disk(str(place / "labels"))


def pairs(dataset):
    return [(row["input_ids"], row["labels"]) for row in dataset]


def load(model):
    torch.manual_seed(5)
    return transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)


def of_trl(dataset, model, tmp_path, **options):
    return trl.SFTTrainer(
        model=load(model),
        args=arguments(trl.SFTConfig, dataset, tmp_path, max_length=None, **options),
        train_dataset=dataset,
        processing_class=transformers.AutoTokenizer.from_pretrained(model),
    )


def messages_dataset(conversations):
    return datasets.Dataset.from_list([{"messages": messages} for messages in conversations])


def axolotl(conversations, model, style, tmp_path):
    """What axolotl's loader makes of a file of conversations, with the tokenizer's own template."""
    from axolotl.utils.data import shared
    from axolotl.utils.data.wrappers import get_dataset_wrapper
    from axolotl.utils.dict import DictDefault

    path = write_rows(tmp_path / "chats.jsonl", [{"messages": messages} for messages in conversations])
    wanted = DictDefault({"path": str(path), "ds_type": "json", "type": "chat_template", "roles_to_train": ["assistant"]})
    config = DictDefault(
        {"sequence_len": 512, "chat_template": "tokenizer_default", "eot_tokens": [style.end], "train_on_inputs": False}
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    loaded = shared.load_dataset_with_config(wanted, use_auth_token=False)
    dataset, _ = get_dataset_wrapper(wanted, tokenizer, config, None, loaded)
    return dataset


def first_loss_of_axolotl(dataset, model, tmp_path):
    """With axolotl's collator. Its trainer is that of Transformers, with options."""
    from axolotl.utils.collators import DataCollatorForSeq2Seq

    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    trainer = transformers.Trainer(
        model=load(model),
        args=arguments(transformers.TrainingArguments, dataset, tmp_path),
        train_dataset=dataset,
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
    return first_loss(trainer)


def without_newlines(dataset, model, style):
    """The labels without those of newlines behind the token that ends a turn."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    end = tokenizer.convert_tokens_to_ids(style.end)
    (newline,) = tokenizer("\n", add_special_tokens=False).input_ids

    def changed(ids, labels):
        behind = [i > 0 and ids[i - 1] == end and ids[i] == newline for i in range(len(ids))]
        return [IGNORE if at else label for at, label in zip(behind, labels)]

    return [(ids, changed(ids, labels)) for ids, labels in pairs(dataset)]


def test_they_cover_what_they_should(labels, style, marked):
    assert len(labels) == len(chats())
    # Context and targets in each, several spans in most.
    spans = [sum(a == IGNORE != b for a, b in zip(row["labels"], row["labels"][1:])) for row in labels]
    assert spans == [sum(message["role"] == "assistant" for message in messages) for messages in chats()]


@pytest.mark.parametrize("marked", ["marked"], indirect=True)
def test_trl_trains_on_the_same_tokens(labels, model, tmp_path):
    own = of_trl(messages_dataset(chats()), model, tmp_path / "own", assistant_only_loss=True)
    ours = of_trl(labels, model, tmp_path / "ours")
    assert pairs(own.train_dataset) == pairs(labels) == pairs(ours.train_dataset)
    assert first_loss(ours) == pytest.approx(first_loss(own), abs=TOLERANCE)


def test_axolotl_trains_on_the_same_tokens(labels, model, style, marked, tmp_path, monkeypatch):
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "1")
    own = axolotl(chats(), model, style, tmp_path)
    newlines = style.newline and (style.newline_marked or not marked)
    expected = without_newlines(labels, model, style) if newlines else pairs(labels)
    assert (expected != pairs(labels)) == newlines
    assert pairs(own) == expected
    ours = labels
    if newlines:
        ours = labels.remove_columns("labels").add_column("labels", [labels for _, labels in expected])
    loss = first_loss_of_axolotl(ours, model, tmp_path / "ours")
    assert loss == pytest.approx(first_loss_of_axolotl(own, model, tmp_path / "own"), abs=TOLERANCE)

"""TRL's `SFTTrainer(assistant_only_loss=True)` and axolotl's `type: chat_template` on conversations, against the labels that
`score --messages-field` and `convert --to labels` make of the same conversations.

Where they train on other tokens, a test names them:

* what a template adds to an answer, such as a space before it or a newline after its end: axolotl trains on the answer and
  the token that ends it, and on nothing else. Also, it does not find the end of an empty answer.
* what the prompt for an answer ends with, such as the newline of Qwen 2.5: some of TRL's own templates mark it.
* a token on both sides of a border: TRL trains on it. Here such a conversation is rejected, and such a token of a completion
  is context.
"""

import json
import re
from dataclasses import replace

import datasets
import pytest
import torch
import transformers
import trl
from conversation_data import STYLES, Style, chats, checkpoint, exported, run, score, write_rows
from conversion import IGNORE
from models import TOLERANCE, arguments, first_loss
from trl import chat_template_utils


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


def our_labels(binary, conversations, model, place, *options, code=0):
    rows = [{"messages": messages} for messages in conversations]
    score(binary, rows, model, place / "masks", "--messages-field", "messages", *options, code=code)
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
    # Without marks, all that the template writes for a turn is the assistant's.
    newlines = style.newline and (style.newline_marked or not marked)
    expected = without_newlines(labels, model, style) if newlines else pairs(labels)
    assert (expected != pairs(labels)) == newlines
    assert pairs(own) == expected
    ours = labels
    if newlines:
        ours = labels.remove_columns("labels").add_column("labels", [labels for _, labels in expected])
    loss = first_loss_of_axolotl(ours, model, tmp_path / "ours")
    assert loss == pytest.approx(first_loss_of_axolotl(own, model, tmp_path / "own"), abs=TOLERANCE)


@pytest.mark.parametrize("style", ["brackets"], indirect=True)
@pytest.mark.parametrize("marked", ["marked"], indirect=True)
def test_axolotl_leaves_out_the_space_before_an_answer(style, marked, binary, tmp_path, monkeypatch):
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "1")
    untrimmed = replace(style, template=style.template.replace(" | trim", ""))
    model = checkpoint(tmp_path / "model", untrimmed, untrimmed.template)
    # Only before a space, the space of the template is a token of its own.
    conversations = [conversation("Say a number.", "5"), conversation("Say a number.", " 5")]
    ours = pairs(our_labels(binary, conversations, model, tmp_path))
    own = pairs(axolotl(conversations, model, untrimmed, tmp_path))
    assert own[0] == ours[0]
    assert [at for at, (a, b) in enumerate(zip(own[1][1], ours[1][1])) if a != b] == [ours[1][1].index(spaces(model)[0])]
    assert pairs(of_trl(messages_dataset(conversations), model, tmp_path, assistant_only_loss=True).train_dataset) == ours


def conversation(*texts):
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def spaces(model):
    return transformers.AutoTokenizer.from_pretrained(model)("[INST] ", add_special_tokens=False).input_ids[1:]


@pytest.mark.parametrize("style", ["chatml", "headers"], indirect=True)
@pytest.mark.parametrize("marked", ["marked"], indirect=True)
def test_axolotl_leaves_out_the_end_of_an_empty_answer(style, marked, model, binary, tmp_path, monkeypatch):
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "1")
    conversations = [conversation("Say nothing.", "", "Say a number.", "5")]
    ours = our_labels(binary, conversations, model, tmp_path)
    own = axolotl(conversations, model, style, tmp_path)
    end = transformers.AutoTokenizer.from_pretrained(model).convert_tokens_to_ids(style.end)
    labels = ours[0]["labels"]
    first = labels.index(end)
    assert labels[first - 1 : first + 2] == [IGNORE, end, IGNORE]
    labels[first] = IGNORE
    assert pairs(own) == [(ours[0]["input_ids"], labels)]
    trained = of_trl(messages_dataset(conversations), model, tmp_path, assistant_only_loss=True).train_dataset
    assert pairs(trained) == pairs(ours)


@pytest.mark.parametrize("style", ["chatml"], indirect=True)
def test_a_token_on_both_sides_of_the_border_is_rejected(style, model, binary, marked, tmp_path, monkeypatch):
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "1")
    conversations = [conversation("Say a number.", "\n5"), conversation("Say a number.", "5")]
    # Exit code 1: finished, without the rows that are rejected.
    ours = our_labels(binary, conversations, model, tmp_path, "--max-rejected", "1", code=1)
    (rejected,) = (json.loads(line) for line in (tmp_path / "masks/rejected.jsonl").read_text().splitlines())
    assert rejected["row"] == 0 and "border" in rejected["reason"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    both, other = axolotl(conversations, model, style, tmp_path)
    assert pairs([other]) == (pairs(ours) if marked else without_newlines(ours, model, style))
    assert tokenizer.decode(next(label for label in both["labels"] if label != IGNORE)) == "\n\n"
    if marked:
        both, other = of_trl(messages_dataset(conversations), model, tmp_path, assistant_only_loss=True).train_dataset
        assert pairs([other]) == pairs(ours)
        assert tokenizer.decode(next(label for label in both["labels"] if label != IGNORE)) == "\n\n"


BAR = "\uff5c"
"""The bar of DeepSeek's tokens, a full-width one."""

# TRL has templates with marks for many models, and takes them where it knows a model's own template. By name: the token that
# ends a turn, and what the model's own template comes to without marks: the same labels, or the text before the first
# target that TRL's template marks as well, or the reason why conversations of several turns are rejected.
TRLS = {
    "cohere": ("<|END_OF_TURN_TOKEN|>", "the same"),
    "deepseekv3": (f"<{BAR}end▁of▁sentence{BAR}>", "begins"),
    "gemma3": ("<end_of_turn>", "the same"),
    "lfm2": ("<|im_end|>", "the same"),
    "llama3": ("<|eot_id|>", "the same"),
    "phi3": ("<|endoftext|>", "ends"),
    "qwen2_5": ("<|im_end|>", "\n"),
    "qwen3": ("<|im_end|>", "ends"),
    "qwen3_instruct_2507": ("<|im_end|>", "the same"),
}


@pytest.mark.parametrize("name", TRLS)
def test_the_templates_of_trl(name, binary, tmp_path, monkeypatch):
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "1")
    end, unmarked = TRLS[name]
    own, training = (getattr(chat_template_utils, f"{name}{kind}_chat_template") for kind in ("", "_training"))
    special = re.findall(rf"<[|{BAR}][^<>|{BAR} ]+[|{BAR}]>|<start_of_turn>|<end_of_turn>", own + training)
    style = Style(own, end, newline=True, bos="<bos>", others=tuple(sorted({*special} - {end})))
    model = checkpoint(tmp_path / "model", style, own)
    (tmp_path / "training.jinja").write_text(training)
    ours = our_labels(binary, chats(), model, tmp_path, "--chat-template", tmp_path / "training.jinja")
    theirs = of_trl(messages_dataset(chats()), model, tmp_path / "theirs", assistant_only_loss=True)
    assert pairs(theirs.train_dataset) == pairs(ours)
    trained = of_trl(ours, model, tmp_path / "ours")
    assert first_loss(trained) == pytest.approx(first_loss(theirs), abs=TOLERANCE)

    (tmp_path / "own").mkdir()
    if unmarked in ("begins", "ends"):
        rows = [{"messages": messages} for messages in chats() if len(messages) > 3]
        path = write_rows(tmp_path / "several.jsonl", rows)
        options = ("--model", exported(binary, model), "--messages-field", "messages", "--out", tmp_path / "no")
        said = run(binary, "score", path, *options, code=2)
        assert f"expected to find where the assistant's text {unmarked}" in said
        return
    found = our_labels(binary, chats(), model, tmp_path / "own")
    assert pairs(axolotl(chats(), model, style, tmp_path)) == without_newlines(found, model, style)
    if unmarked == "the same":
        assert pairs(found) == pairs(ours)
        return
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    for (ids, labels), (same, marked) in zip(pairs(found), pairs(ours)):
        assert ids == same
        more = [at for at in range(len(ids)) if labels[at] != marked[at]]
        assert {tokenizer.decode(ids[at]) for at in more} == {unmarked}
        # Each stands before an answer, and is no target.
        assert all(labels[at] == IGNORE != labels[at + 1] and labels[at - 1] == IGNORE for at in more)


COMPLETIONS = [
    ("What is 2 + 3?", " 5"),
    ("Name three apples.\n", "Cox, Gala,\nElstar."),
    ("Say nothing at all", ", at some length, with a comma"),
    ("Wörter und", " 言葉 and 🍎🍏"),
    ("", "yes"),
]


@pytest.mark.parametrize("style", ["chatml", "headers", "brackets"], indirect=True)
@pytest.mark.parametrize("marked", ["marked"], indirect=True)
def test_trl_trains_on_the_same_completions(style, marked, model, binary, tmp_path):
    def ours(rows, place):
        # TRL puts EOS after a completion.
        fields = ("--prompt-field", "prompt", "--completion-field", "completion", "--eos", "always")
        place.mkdir()
        score(binary, rows, model, place / "masks", *fields)
        run(binary, "convert", place / "masks", "--to", "labels", "--out", place / "labels")
        return datasets.load_from_disk(str(place / "labels"))

    rows = [{"prompt": prompt, "completion": completion} for prompt, completion in COMPLETIONS]
    if style.spaces:
        # There, a completion that does not begin with a space begins within a word.
        rows = [row for row in rows if row["completion"].startswith(" ") or not row["prompt"]]
    labels = ours(rows, tmp_path / "rows")
    own = of_trl(datasets.Dataset.from_list(rows), model, tmp_path / "own")
    # The first token of all is never a target; TRL's shift leaves it out, too.
    expected = [(ids, [IGNORE, *labels[1:]]) for ids, labels in pairs(own.train_dataset)]
    assert pairs(labels) == expected
    trained = of_trl(labels, model, tmp_path / "ours")
    assert first_loss(trained) == pytest.approx(first_loss(own), abs=TOLERANCE)

    # A token that begins in the prompt: TRL trains on it, here it is context.
    rows = [{"prompt": "Say ", "completion": "at some length"}]
    ((ids, labels),) = pairs(ours(rows, tmp_path / "border"))
    ((same, more),) = pairs(of_trl(datasets.Dataset.from_list(rows), model, tmp_path / "more").train_dataset)
    assert ids == same
    (at,) = (at for at in range(1, len(ids)) if labels[at] != more[at])
    token = transformers.AutoTokenizer.from_pretrained(model).convert_ids_to_tokens(ids[at])
    assert labels[at] == IGNORE and token in ("Ġat", "▁at")

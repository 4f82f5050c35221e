"""Masks with targets: scores against PyTorch in float64, and that nothing trains on context, in `MaskedDataset` and in
`rho-mask train`."""

import json

import pytest
import transformers
from conversation_data import STYLES, chats, checkpoint, column, loss_and_entropy, run, score, write_rows
from conversion import IGNORE

import rho_mask

CLOSE = 1e-4
"""Between scores in f32 and in float64."""

LENGTH = 256
"""Longer than the longest document, so that none is split."""


@pytest.fixture(scope="module", params=STYLES)
def style(request):
    return STYLES[request.param]


@pytest.fixture(scope="module")
def model(style, tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("model"), style, style.template)


@pytest.fixture(scope="module")
def tokenizer(model):
    return transformers.AutoTokenizer.from_pretrained(model)


def rows():
    return [{"id": str(number), "messages": messages} for number, messages in enumerate(chats())]


def conversations(tokenizer):
    """Token ids and targets, as Transformers has them."""
    options = {"tokenize": True, "return_dict": True, "return_assistant_tokens_mask": True}
    made = [tokenizer.apply_chat_template(messages, **options) for messages in chats()]
    return [(of["input_ids"], [bit == 1 for bit in of["assistant_masks"]]) for of in made]


def checked(masks, model, expected):
    """Compares ids, targets, the scores of every token, and what is kept at `--keep 1.0`."""
    assert column(masks, "input_ids") == [ids for ids, _ in expected]
    assert column(masks, "target") == [target for _, target in expected]
    assert any(not all(target) for _, target in expected) and all(any(target) for _, target in expected)
    # The first token has no score.
    assert column(masks, "mask_loss") == [[False, *target[1:]] for _, target in expected]
    for (ids, _), *scores in zip(expected, column(masks, "loss"), column(masks, "entropy")):
        for got, right in zip(scores, loss_and_entropy(model, ids)):
            assert got[0] is None and got[1:] == pytest.approx(right, abs=CLOSE)


@pytest.fixture(scope="module")
def masks(binary, model, tmp_path_factory):
    return score(binary, rows(), model, tmp_path_factory.mktemp("masks") / "masks", "--messages-field", "messages")


def test_the_scores_of_conversations(masks, model, tokenizer):
    checked(masks, model, conversations(tokenizer))


def test_context_without_scores(masks, binary, model, tmp_path):
    options = ("--messages-field", "messages", "--score-context", "no")
    without = score(binary, rows(), model, tmp_path / "masks", *options)
    for name in ("loss", "entropy"):
        expected = [
            [value if bit else None for value, bit in zip(values, target)]
            for values, target in zip(column(masks, name), column(masks, "target"))
        ]
        assert column(without, name) == expected
    assert column(without, "mask_loss") == column(masks, "mask_loss")


def test_the_scores_of_completions(binary, model, style, tokenizer, tmp_path):
    rows = [
        {"prompt": "What is 2 + 3?", "completion": " 5"},
        {"prompt": "Name three apples.", "completion": " Cox, Gala,\nElstar."},
        {"prompt": "Wörter, слова", "completion": ", 言葉 and 🍎🍏"},
        # Of which the first token begins in the prompt.
        {"prompt": "Say nothing ", "completion": "at some length"},
    ]

    def right(row):
        encoding = tokenizer(row["prompt"] + row["completion"], return_offsets_mapping=True)
        ids, offsets = encoding["input_ids"], encoding["offset_mapping"]
        # BOS has no offsets; EOS comes after the text.
        border = len(row["prompt"])
        return [*ids, tokenizer.eos_token_id], [*(start >= border and end > start for start, end in offsets), True]

    fields = ("--prompt-field", "prompt", "--completion-field", "completion", "--eos", "always")
    found = score(binary, rows, model, tmp_path / "masks", *fields)
    checked(found, model, [right(row) for row in rows])


@pytest.mark.parametrize("form", ["labels", "bits"])
def test_the_scores_of_tokens_with_targets(form, binary, model, tokenizer, tmp_path):
    expected = conversations(tokenizer)

    def field(ids, target):
        return (
            [token if bit else IGNORE for token, bit in zip(ids, target)] if form == "labels" else [int(b) for b in target]
        )

    rows = [{"input_ids": ids, "wanted": field(ids, target)} for ids, target in expected]
    fields = ("--tokens-field", "input_ids", "--targets-field", "wanted")
    checked(score(binary, rows, model, tmp_path / "masks", *fields), model, expected)


def test_the_scores_of_texts_with_spans(binary, model, tokenizer, tmp_path):
    text = "What is 2 + 3? Wörter, слова, 言葉 and 🍎🍏 with a comma"
    # Characters, not bytes; the second one begins and ends within words.
    spans = [[text.index(part), text.index(part) + len(part)] for part in ("What is", "лова, 言葉 an")]
    encoding = tokenizer(text, return_offsets_mapping=True)
    target = [
        end > start and not any(start < last and first < end for first, last in spans)
        for start, end in encoding["offset_mapping"]
    ]
    rows = [{"text": text, "spans": spans}]
    found = score(binary, rows, model, tmp_path / "masks", "--spans-field", "spans")
    checked(found, model, [(encoding["input_ids"], target)])


RULES = (
    ("--by", "intersection", "--keep", "0.6"),
    ("--by", "union", "--keep", "0.3", "--scope", "corpus"),
    ("--by", "random", "--keep", "0.5", "--scope", "document"),
    ("--by", "loss", "--keep", "1.0"),
    ("--by", "threshold", "--above", "0"),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule[1])
def test_packed_sequences_have_no_label_for_context(rule, masks, binary, tokenizer, tmp_path):
    run(binary, "select", masks.path, "--out", tmp_path / "selected", *rule)
    name = f"mask_{rule[1]}"
    selected = rho_mask.open_masks(tmp_path / "selected")
    kept = {tuple(ids): bits for ids, bits in zip(column(selected, "input_ids"), column(selected, name))}
    targets = {tuple(ids): target for ids, target in conversations(tokenizer)}
    for mask in (name, None):
        seen = {}
        for sequence in rho_mask.MaskedDataset(selected, LENGTH, mask=mask):
            for number in range(1, int(sequence["segment_ids"].max()) + 1):
                of = sequence["segment_ids"] == number
                ids, labels = (tuple(sequence[name][of].tolist()) for name in ("input_ids", "labels"))
                # What the loss of a token is compared with, where it may be a target.
                reference = (~sequence["ref_loss"][of].isnan()).tolist()
                assert reference == [False, *targets[ids][1:]]
                seen[ids] = [token == label for token, label in zip(ids, labels)]
                assert all(bit or label == IGNORE for bit, label in zip(seen[ids], labels))
        assert seen.keys() == targets.keys()
        for ids, bits in seen.items():
            assert bits == (kept[ids] if mask else [False, *targets[ids][1:]])
            assert not any(bit and not target for bit, target in zip(bits, targets[ids]))
        assert any(map(any, seen.values()))


def first_step(out):
    return [json.loads(line) for line in (out / "batches.jsonl").read_text(encoding="utf-8").splitlines()]


def train(binary, model, out, objective, *options):
    """One step over all conversations."""
    sizes = ("--steps", "1", "--length", LENGTH, "--batch-tokens", LENGTH * len(chats()), "--micro-batch", "4")
    command = (binary, "train", "--model", model, "--device", "cpu", "--objective", objective, "--out", out)
    run(*command, *sizes, "--learning-rate", "1e-4", "--dump-batches", "1", *options)
    return first_step(out)


@pytest.mark.parametrize(
    "objective,data",
    [
        (objective, data)
        for objective in ("slm", "clm", "random", "static", "hard", "easy")
        for data in ("masks", "corpus", "both")
        # These need masks.
        if data != "corpus" or objective not in ("slm", "static")
    ],
)
@pytest.mark.parametrize("style", ["chatml"], indirect=True)
def test_the_first_step_trains_on_no_context(objective, data, masks, binary, model, tokenizer, tmp_path):
    options = [] if data == "corpus" else ["--masks", masks.path]
    if data != "masks":
        corpus = write_rows(tmp_path / "chats.jsonl", rows())
        options += ["--corpus", corpus, "--messages-field", "messages"]
    if objective in ("slm", "random", "hard", "easy"):
        options += ["--keep", "0.5"]
    lines = train(binary, model, tmp_path / "out", objective, *options)
    expected = conversations(tokenizer)
    assert {line["document"].split(" (")[0] for line in lines} == {row["id"] for row in rows()}
    losses = {True: [], False: []}
    for line in lines:
        ids, target = expected[int(line["document"].split(" (")[0])]
        # A document may be split; the first token of each part is its context.
        part = slice(line["from"], line["from"] + len(line["ids"]))
        assert line["ids"] == ids[part]
        target = [False, *target[part][1:]]
        # A loss for targets only: context is not even ranked.
        assert [loss is not None for loss in line["loss"]] == target
        assert not any(bit and not may for bit, may in zip(line["selected"], target))
        assert all(weight == 0 for weight, may in zip(line["weight"], target) if not may)
        for loss, bit, may in zip(line["loss"], line["selected"], target):
            if may:
                losses[bit].append(loss)
    share = 0.5 if "--keep" in options else 1.0
    assert len(losses[True]) == int(share * (len(losses[True]) + len(losses[False])) + 0.5)
    if objective == "hard":
        assert min(losses[True]) >= max(losses[False])
    elif objective == "easy":
        assert max(losses[True]) <= min(losses[False])

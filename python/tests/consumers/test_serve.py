"""The server under its users: lm-evaluation-harness gets the numbers of its own `hf` model from it, and the `openai` client
the log-probabilities of PyTorch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lm_eval
import openai
import pytest
import tokenizers
import torch
import transformers
from lm_eval.tasks import TaskManager

TOLERANCE = 1e-4
"""Of the sum over a text, in nats."""
CONTEXT = 128
TEXTS = [
    "Ann has 3 apples and buys 4 more. She has 7 apples.",
    "Bo reads 12 pages a day, so he reads 84 pages a week.",
    "The train leaves at 8:15 and arrives at 9:40, after 85 minutes.",
    "Größe: 5 €, 中文, 😀 and a\ttab\n\nline.",
    "Kim has 20 cards, gives 6 away and keeps 14 cards.",
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with a byte-level tokenizer, whose logits are far from equal."""
    folder = tmp_path_factory.mktemp("checkpoint")
    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trained.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(TEXTS * 3, trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=trained, bos_token="<s>", eos_token="</s>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(7)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@contextlib.contextmanager
def serving(binary: Path, model: Path, *options: str) -> Iterator[str]:
    """The URL of a server, which must end well."""
    command = [str(binary), "serve", "--model", str(model), "--device", "cpu", "--port", "0", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "RHO_MASK_API_KEY": "key"})
    try:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["listening"]["url"]
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def url(binary: Path, checkpoint: Path) -> Iterator[str]:
    with serving(binary, checkpoint, "--top", "3") as url:
        yield url


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tasks of the harness with local data: choices, last words, and whole texts."""
    folder = tmp_path_factory.mktemp("tasks")
    questions = [
        {
            "question": f"Question: What is {a} plus {b}?\nAnswer:",
            "choices": [str(a + b + d) for d in (-1, 0, 2, 10)],
            "gold": 1,
        }
        for a in range(3, 9)
        for b in range(11, 17)
    ]
    words = [{"context": text.rsplit(" ", 1)[0], "last": text.rsplit(" ", 1)[1]} for text in TEXTS]
    texts = [{"text": text} for text in [*TEXTS, " ".join(TEXTS) * 3]]
    for name, rows in {"questions": questions, "words": words, "texts": texts}.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = "dataset_path: json\ntest_split: test\nmetadata: {version: 1}\n"
    data = "dataset_kwargs:\n  data_files: {test: %s}\n"
    (folder / "choices.yaml").write_text(
        f"task: local_choices\n{common}{data % (folder / 'questions.jsonl')}"
        'output_type: multiple_choice\ndoc_to_text: "{{question}}"\ndoc_to_choice: "{{choices}}"\ndoc_to_target: gold\n'
        "metric_list: [{metric: acc}, {metric: acc_norm}]\n"
    )
    (folder / "words.yaml").write_text(
        f"task: local_words\n{common}{data % (folder / 'words.jsonl')}"
        'output_type: loglikelihood\ndoc_to_text: "{{context}}"\ndoc_to_target: " {{last}}"\n'
        "metric_list: [{metric: perplexity}, {metric: acc}]\n"
    )
    (folder / "texts.yaml").write_text(
        f"task: local_texts\n{common}{data % (folder / 'texts.jsonl')}"
        'output_type: loglikelihood_rolling\ndoc_to_text: ""\ndoc_to_target: "{{text}}"\n'
        "metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}]\n"
    )
    return folder


def evaluated(tasks: Path, kind: str, **arguments: Any) -> dict[str, Any]:
    result = lm_eval.simple_evaluate(
        model=kind,
        model_args=arguments,
        tasks=["local_choices", "local_words", "local_texts"],
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        bootstrap_iters=0,
        log_samples=True,
    )
    assert result is not None
    return result


@pytest.mark.parametrize(
    "how", [{"num_concurrent": 1, "batch_size": 1}, {"num_concurrent": 8, "batch_size": 4}], ids=["one", "many"]
)
def test_the_harness_gets_the_numbers_of_its_own_model(
    url: str, checkpoint: Path, tasks: Path, monkeypatch: pytest.MonkeyPatch, how: dict[str, int]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    path = str(checkpoint)
    # Through a server, the harness cuts long texts into windows that are two tokens shorter.
    expected = evaluated(tasks, "hf", pretrained=path, device="cpu", dtype="float32", max_length=CONTEXT - 2, batch_size=8)
    got = evaluated(
        tasks, "local-completions", model=path, base_url=f"{url}/v1/completions", max_length=CONTEXT, max_retries=1, **how
    )
    assert set(got["results"]) == {"local_choices", "local_words", "local_texts"}
    for task, results in expected["results"].items():
        for name, value in results.items():
            if isinstance(value, float):
                assert got["results"][task][name] == pytest.approx(value, rel=1e-4), (task, name)
    answers = 0
    for task, samples in expected["samples"].items():
        others = {other["doc_id"]: other for other in got["samples"][task]}
        assert len(others) == len(samples)
        for sample in samples:
            for ours, theirs in zip(others[sample["doc_id"]]["resps"], sample["resps"], strict=True):
                ours, theirs = (x[0] if isinstance(x[0], (list, tuple)) else x for x in (ours, theirs))
                assert float(ours[0]) == pytest.approx(float(theirs[0]), abs=TOLERANCE), task
                assert [str(x) for x in ours[1:]] == [str(x) for x in theirs[1:]], task
                answers += 1
    assert answers == 36 * 4 + 5 + 6


def test_the_client_gets_the_log_probabilities(url: str, checkpoint: Path) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="key", max_retries=0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint).double().eval()
    [name, path] = [entry.id for entry in client.models.list()]
    assert path == str(checkpoint)
    answer = client.completions.create(model=name, prompt=TEXTS, echo=True, logprobs=3, max_tokens=0)
    assert len(answer.choices) == len(TEXTS)
    for text, choice in zip(TEXTS, answer.choices):
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            log_p = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        assert choice.text == text and choice.finish_reason == "length"
        logprobs = choice.logprobs
        assert logprobs.token_logprobs[0] is None and logprobs.top_logprobs[0] is None
        for i in range(1, len(ids)):
            assert logprobs.token_logprobs[i] == pytest.approx(float(log_p[i - 1, ids[i]]), abs=1e-5)
            likely, best = logprobs.top_logprobs[i], log_p[i - 1].topk(3).values.tolist()
            assert list(likely.values())[:3] == pytest.approx(best, abs=1e-5)
        assert logprobs.text_offset == sorted(logprobs.text_offset)
    ids = tokenizer(TEXTS[0])["input_ids"]
    answer = client.completions.create(model=name, prompt=ids, max_tokens=1, temperature=0, logprobs=1)
    with torch.no_grad():
        best = int(model(torch.tensor([ids])).logits[0, -1].argmax())
    assert answer.choices[0].text == tokenizer.decode([best]), (answer, best)
    with pytest.raises(openai.BadRequestError, match="max_tokens: expected 0, or 1"):
        client.completions.create(model=name, prompt="a", max_tokens=5)
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="other", prompt="a", max_tokens=0, echo=True)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{url}/v1", api_key="no", max_retries=0).models.list()

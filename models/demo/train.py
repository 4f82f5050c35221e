"""Makes the demo reference: a Llama of about a million parameters that has read grade-school word problems.

In: a .jsonl.zst file whose objects have `id`, `text` and `source`; only `source` = gsm8k_train is used (MIT licence).
Out: tokenizer.json, config.json, generation_config.json and model.onnx in the output folder, and the figures for the
README on standard output. Does not score a corpus: see contrast.py.

    python train.py --data ref_math_train.jsonl.zst --out .
"""
import argparse, hashlib, io, json, math, random, tempfile, time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import zstandard
from optimum.exporters.onnx import main_export
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM

VOCABULARY = 2048
CONTEXT = 512
BOS, EOS = 0, 1
IGNORED = -100  # what torch's cross entropy leaves out
VALIDATION_SHARE = 0.05
TOKENS_PER_BATCH = 2048
WARMUP_STEPS = 150
FOLDER_LIMIT = 5_000_000  # bytes; the folder travels with the program
EXPORT_TOLERANCE = 1e-4  # nats; the same arithmetic in f32, summed in another order


def read_documents(path):
    """The documents, split by a hash of their id: the split does not depend on the order of the file."""
    training, validation = [], []
    with open(path, "rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8", newline="\n")
        for line in lines:
            document = json.loads(line)
            if document["source"] != "gsm8k_train":
                continue
            first = int.from_bytes(hashlib.sha256(document["id"].encode()).digest()[:4], "big")
            (validation if first < VALIDATION_SHARE * 2**32 else training).append(document["text"])
    return training, validation


def train_tokenizer(texts):
    """Byte-level BPE, so that no text is outside the vocabulary, however far from mathematics."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<s>", "</s>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)])
    return tokenizer


def epoch_of_rows(texts, tokenizer, rng):
    """One pass over the texts as token rows: BOS, one to four problems, EOS.

    A page of a corpus holds several problems, and seldom says "Question:". So some rows hold several problems, which
    also trains the positions that no single problem reaches, and half of the rows lose those two labels.
    """
    order = rng.sample(range(len(texts)), len(texts))
    pages = []
    while order:
        count = rng.choice([1, 1, 2, 3, 4])
        page = "\n\n".join(texts[i] for i in order[:count])
        if rng.random() < 0.5:
            page = page.replace("Question: ", "").replace("\nAnswer: ", "\n")
        pages.append(page)
        order = order[count:]
    return [encoding.ids[:CONTEXT] for encoding in tokenizer.encode_batch(pages)]


def batches_of(rows, rng):
    """Rows of like length together (padding wastes work), the batches then shuffled. Yields (input_ids, labels).

    Padding stands on the right: under a causal mask no token sees it, so no attention mask is needed.
    """
    rows = sorted(rows, key=len)
    groups, group = [], []
    for row in rows:
        if group and len(row) * (len(group) + 1) > TOKENS_PER_BATCH:
            groups.append(group)
            group = []
        group.append(row)
    groups.append(group)
    rng.shuffle(groups)
    for group in groups:
        width = max(map(len, group))
        input_ids = torch.full((len(group), width), EOS)
        labels = torch.full((len(group), width), IGNORED)
        for i, row in enumerate(group):
            input_ids[i, :len(row)] = torch.tensor(row)
            labels[i, 1:len(row)] = torch.tensor(row[1:])  # token-aligned: token 0 has no loss
        yield input_ids, labels


def losses_of(model, input_ids, labels):
    """The loss of every labelled token, in nats; the one place where targets are shifted against the logits."""
    logits = model(input_ids=input_ids).logits
    targets = labels[:, 1:]
    labelled = targets != IGNORED
    return torch.nn.functional.cross_entropy(logits[:, :-1][labelled].float(), targets[labelled], reduction="none")


@torch.no_grad()
def validation_loss(model, batches):
    model.eval()
    losses = torch.cat([losses_of(model, *batch) for batch in batches])
    model.train()
    return losses.double().mean().item()


def train(model, texts, validation, tokenizer, steps, learning_rate, seed):
    rng = random.Random(seed)
    # Norms are not pulled to zero.
    matrices = [w for w in model.parameters() if w.dim() > 1]
    norms = [w for w in model.parameters() if w.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}],
        lr=learning_rate, betas=(0.9, 0.95))

    def factor(step):
        if step < WARMUP_STEPS:
            return (step + 1) / WARMUP_STEPS
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - WARMUP_STEPS) / max(1, steps - WARMUP_STEPS)))

    step, tokens, epoch, start = 0, 0, 0, time.time()
    while step < steps:
        epoch += 1
        for batch in batches_of(epoch_of_rows(texts, tokenizer, rng), rng):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * factor(step)
            loss = losses_of(model, *batch).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step, tokens = step + 1, tokens + int((batch[1] != IGNORED).sum())
            if step % 200 == 0 or step == steps:
                seconds = time.time() - start
                print(f"step {step} epoch {epoch} training loss {loss.item():.3f} "
                      f"validation loss {validation_loss(model, validation):.4f} "
                      f"{tokens:,} tokens {tokens / seconds:,.0f} tokens/s {seconds:.0f} s", flush=True)
            if step == steps:
                break


def loss_through_onnx(path, batches):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = {i.name for i in session.get_inputs()}
    total, count = 0.0, 0
    for input_ids, labels in batches:
        feeds = {"input_ids": input_ids.numpy(), "attention_mask": np.ones(input_ids.shape, np.int64)}
        feeds["position_ids"] = np.broadcast_to(np.arange(input_ids.shape[1]), input_ids.shape).copy()
        logits = session.run(["logits"], {name: feeds[name] for name in names})[0]
        log_p = torch.log_softmax(torch.from_numpy(logits[:, :-1]).double(), -1)
        targets = labels[:, 1:]
        labelled = targets != IGNORED
        total -= log_p[labelled].gather(1, targets[labelled][:, None]).sum().item()
        count += int(labelled.sum())
    return total / count


def main():
    parser = argparse.ArgumentParser(description="train and export the demo reference")
    parser.add_argument("--data", required=True, help="a .jsonl.zst file with the GSM8K training problems")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    texts, held_out = read_documents(args.data)
    tokenizer = train_tokenizer(texts)
    tokenizer.save(str(args.out / "tokenizer.json"), pretty=False)
    rows = [encoding.ids[:CONTEXT] for encoding in tokenizer.encode_batch(held_out)]
    validation = list(batches_of(rows, random.Random(0)))
    print(f"{len(texts)} training documents, {len(held_out)} validation documents of {sum(map(len, rows)):,} tokens")

    # The export writes the head's matrix a second time (transposed) when it is tied, so tying would save no bytes.
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=128, intermediate_size=272, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=CONTEXT, tie_word_embeddings=False,
        bos_token_id=BOS, eos_token_id=EOS, pad_token_id=None)
    model = LlamaForCausalLM(config).train()
    print(f"{sum(w.numel() for w in model.parameters()):,} parameters")
    train(model, texts, validation, tokenizer, args.steps, args.learning_rate, args.seed)

    with tempfile.TemporaryDirectory() as checkpoint:
        model.eval().save_pretrained(checkpoint)
        main_export(checkpoint, args.out, task="text-generation", no_post_process=True, do_validation=False, device="cpu")
    in_torch = validation_loss(model, validation)
    in_onnx = loss_through_onnx(args.out / "model.onnx", validation)
    size = sum(file.stat().st_size for file in args.out.iterdir() if file.is_file())
    print(f"validation loss {in_torch:.5f} (torch) {in_onnx:.5f} (onnx) nats/token, folder {size:,} bytes")
    assert abs(in_torch - in_onnx) < EXPORT_TOLERANCE, "the export computes something else than the model"
    assert size < FOLDER_LIMIT, f"the folder holds {size:,} bytes, more than {FOLDER_LIMIT:,}"


if __name__ == "__main__":
    main()

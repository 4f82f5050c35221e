"""Computes losses and entropies of windows of tokens with Transformers.

Started as `python -I -c`, so nothing is imported from the current folder. First it prints the versions. Then it reads
lines of JSON and answers each with one: the checkpoint to load, then windows, one at a time.
"""

import json
import os
import platform
import site
import sys

# Answers go to the original standard output; what libraries print goes to standard error.
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

# Rows of logits turned into scores at once: the copies of 128 rows are small compared to the logits.
ROWS = 128


def answer(**fields):
    print(json.dumps(fields), file=answers, flush=True)


def number(text):
    """The first two numbers of a version."""
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in text.split(".")[:2])


# Isolated mode ignores packages installed with `pip install --user`. Add them, except in virtual environments, which
# ignore them too.
if sys.prefix == sys.base_prefix:
    site.addsitedir(site.getusersitepackages())

missing = []
try:
    import torch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    missing.append("torch")
try:
    import transformers
except ModuleNotFoundError as error:
    if error.name != "transformers":
        raise
    missing.append("transformers")
if missing:
    answer(missing=missing)
    sys.exit()
answer(
    python=platform.python_version(),
    torch=torch.__version__,
    transformers=transformers.__version__,
)


def load(checkpoint, dtype, threads):
    """The model of a checkpoint, and facts about it."""
    torch.set_num_threads(threads)
    version = number(transformers.__version__)
    options = {
        "dtype" if version >= (4, 56) else "torch_dtype": getattr(torch, dtype),
        "attn_implementation": "eager",
        "local_files_only": True,
        "trust_remote_code": False,
        "use_safetensors": True,
        "output_loading_info": True,
    }
    if hasattr(transformers.PreTrainedModel, "set_experts_implementation"):
        options["experts_implementation"] = "eager"
    config = transformers.AutoConfig.from_pretrained(
        checkpoint, local_files_only=True, trust_remote_code=False
    )
    if config.model_type == "falcon" and getattr(config, "alibi", False):
        # Eager attention adds the ALiBi bias twice, but these models were trained with it once.
        options["attn_implementation"] = "sdpa"
    # Models that also take images contain a text model and accept text alone.
    kinds = [transformers.AutoModelForCausalLM, getattr(transformers, "AutoModelForImageTextToText", None)]
    kinds = [kind for kind in kinds if kind is not None and type(config) in kind._model_mapping.keys()]
    if not kinds:
        return None, {"error": f"{config.model_type}: expected a model that predicts the next token, got none for {type(config).__name__}"}
    model, found = kinds[0].from_pretrained(checkpoint, **options)
    # A tensor without weights is random, so its scores would be meaningless.
    lacking = [str(name) for name in sorted(found["missing_keys"])]
    lacking += [str(name) for name in sorted(found["mismatched_keys"])]
    if lacking:
        return None, {"error": f"expected weights for all of {type(model).__name__}, got none that fit {', '.join(lacking[:3])}"}
    model.eval()
    unused = sorted(str(name) for name in found["unexpected_keys"])
    return model, {"class": type(model).__name__, "dtype": dtype, "unused": unused}


def finite(tensor):
    """The values as JSON numbers, with None for infinity and NaN, which JSON does not have."""
    return [value if abs(value) < float("inf") else None for value in tensor.tolist()]


def scores(model, tokens, scored_from):
    """Loss and entropy of `tokens[scored_from:]`, each given the tokens before it."""
    ids = torch.tensor([tokens])
    losses, entropies = [], []
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0]
        # The logits before a token predict it.
        for start in range(scored_from - 1, len(tokens) - 1, ROWS):
            end = min(start + ROWS, len(tokens) - 1)
            logs = torch.log_softmax(logits[start:end].double(), dim=-1)
            targets = ids[0, start + 1 : end + 1, None]
            losses += finite(-logs.gather(1, targets)[:, 0])
            entropies += finite(torch.special.entr(logs.exp()).sum(dim=-1))
    return {"loss": losses, "entropy": entropies}


def serve():
    first = sys.stdin.buffer.readline()
    if not first:
        return
    try:
        model, found = load(**json.loads(first))
    except (ImportError, OSError, ValueError) as error:
        model, found = None, {"error": f"{type(error).__name__}: {error}"}
    answer(**found)
    while model is not None and (line := sys.stdin.buffer.readline()):
        answer(**scores(model, **json.loads(line)))


serve()

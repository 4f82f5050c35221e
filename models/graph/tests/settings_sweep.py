"""Changes each setting of each family in turn, and records what Transformers computes.

    python models/graph/tests/settings_sweep.py OUT [FIXTURE ...]

Needs torch 2.12 and transformers 5.16. Starts from the fixtures of Transformers 5 (fixtures/generate.py). A case is a
configuration that differs from the fixture's in one setting: another number, the other flag, another activation, null, a
missing setting, or one that the family does not know. Transformers reads it as a config.json, loads the fixture's weights,
and computes losses and entropies in float64. Cases are skipped if Transformers refuses them, if weights are missing or have
another shape, or if values are not finite.

OUT/FIXTURE/NUMBER holds config.json, links to the fixture's weights, and expected.jsonl as in a fixture. OUT/cases.json
lists the cases: fixture, family, key (a path with dots), value (`null` if it is null, "(absent)" if it was removed), whether
the losses changed, by how much, the number of tensors that Transformers left unused, and the folder.
"""

import copy
import json
import math
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "fixtures"))

import generate  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText  # noqa: E402

LENGTHS = (30,)
CHANGED = 1e-6
"""Nats; two runs of Transformers agree to the last bit."""
ABSENT = "(absent)"
# Skipped: fixtures that differ from another of their family only in settings that are changed below anyway.
SPARED = {
    "llama_t5_linear",
    "gemma3_text_capped",
    "starcoder2_plain",
    "arcee_bias",
    "seed_oss_bias",
    "nemotron_bias",
    "ernie4_5_bias",
    "phi",
    "stablelm_parallel",
    "falcon_new_one_norm",
    "gptj_whole",
    "bloom_post",
    "olmoe_plain",
}
# Fixtures that differ only in tensor names add no settings.
FIXTURES = [name for name, fixture in generate.FIXTURES_5.items() if fixture.original and name not in SPARED]

# Settings that do not describe the computation: one other value each.
MINOR = {
    "architectures": ["OtherForCausalLM"],
    "transformers_version": "4.30.0",
    "id2label": {"0": "a", "1": "b", "2": "c"},
    "label2id": {"a": 0, "b": 1, "c": 2},
    "problem_type": "regression",
    "output_hidden_states": True,
    "output_attentions": True,
    "output_router_logits": True,
    "return_dict": True,
    "chunk_size_feed_forward": 2,
    "is_encoder_decoder": False,
    "dtype": "bfloat16",
    "use_cache": False,
    "_name_or_path": "other/name",
    "bos_token_id": 5,
    "eos_token_id": [5, 6],
    "pad_token_id": 7,
    "eod_token_id": 5,
    "initializer_range": 0.7,
    "init_std": 0.7,
}
# Settings that are read although they are not attributes of the configuration's class.
LEGACY = {"rope_theta", "rope_scaling", "partial_rotary_factor", "head_dim", "sliding_window_pattern", "rotary_pct"}
# Other values for settings that a family leaves unset or does not have.
OTHERS = {
    "sliding_window": [5, None],
    "use_sliding_window": [True, False],
    "max_window_layers": [0, 1],
    "layer_types": [["full_attention", "sliding_attention"], ["full_attention"] * 2, ["sliding_attention"] * 2],
    "sliding_window_pattern": [1, 2],
    "full_attention_interval": [1, 2],
    "no_rope_layers": [[1, 1], [0, 0], [1, 0]],
    "no_rope_layer_interval": [1, 2],
    "head_dim": [8, None],
    "num_key_value_heads": [1, 2, None],
    "n_inner": [None],
    "num_ln_in_parallel_attn": [1, 2],
    "clip_qkv": [0.5, None],
    "final_logit_softcapping": [1.5, None],
    "attn_logit_softcapping": [1.5, None],
    "query_pre_attn_scalar": [7],
    "logit_scale": [0.7],
    "logits_scaling": [1.3],
    "embedding_multiplier": [1.3],
    "residual_multiplier": [1.3],
    "attention_multiplier": [0.3],
    "attention_bias": [True, False],
    "mlp_bias": [True, False],
    "use_bias": [True, False],
    "use_qk_norm": [True, False],
    "qk_layernorm": [True, False],
    "norm_topk_prob": [True, False],
    "num_experts_per_tok": [1, 3],
    "mlp_only_layers": [[], [0], [1]],
    "decoder_sparse_step": [1, 2],
    "hidden_act": ["gelu", "relu", "gelu_pytorch_tanh", "swish", "quick_gelu", "relu2", None],
    "hidden_activation": ["gelu", "silu", None],
    "activation": ["relu", "gelu_pytorch_tanh", "silu"],
    "activation_function": ["gelu", "relu", "gelu_new", "silu"],
    "is_causal": [False],
    "use_bidirectional_attention": [True],
    "is_decoder": [True],
    "add_cross_attention": [True],
    "attention_chunk_size": [5],
    "per_layer_config": [{"0": {"sliding_window": 5}}],
    "tie_word_embeddings": [True, False],
    "rms_norm_eps": [0.05],
    "layer_norm_eps": [0.05],
    "layer_norm_epsilon": [0.05],
    "norm_eps": [0.05],
    "norm_epsilon": [0.05],
    "max_position_embeddings": [32, 128],
    "n_positions": [32, 128],
    "rotary_dim": [4, None],
    "swiglu_limit": [1.0],
    "scale_attn_weights": [True, False],
    "attn_output_gate": [False],
    "pretraining_tp": [2],
    "image_token_index": [50],
    "image_token_id": [50],
    "vision_feature_layer": [-2],
    # Old names of the rotation's settings.
    "rope_theta": [77.0],
    "rope_local_base_freq": [77.0],
    "rotary_emb_base": [77.0],
    "rotary_pct": [0.5, 1.0],
    "partial_rotary_factor": [0.5, 1.0],
    "original_max_position_embeddings": [20],
    "rope_scaling": [{"rope_type": "linear", "factor": 2.0}, {"type": "linear", "factor": 2.0}],
}
YARN = {"rope_type": "yarn", "factor": 3.0, "original_max_position_embeddings": 12}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 3.0,
    "original_max_position_embeddings": 20,
}
ROTATIONS = [
    {"rope_type": "default", "rope_theta": 77.0},
    {"rope_type": "default"},
    {"type": "linear", "factor": 2.0},
    {"rope_type": "linear", "factor": 2.0, "partial_rotary_factor": 0.5},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "dynamic", "factor": 2.0, "alpha": 9.0},
    {"rope_type": "proportional", "rope_theta": 77.0, "partial_rotary_factor": 0.5},
    dict(YARN, rope_theta=77.0),
    dict(YARN, mscale=0.7, mscale_all_dim=0.4),
    dict(YARN, mscale=0.7),
    dict(YARN, factor=None),
    dict(YARN, attention_factor=1.4, beta_fast=8.0, beta_slow=0.5, truncate=False),
    dict(YARN, llama_4_scaling_beta=0.4),
    LLAMA3,
    {
        "rope_type": "longrope",
        "short_factor": [1.5] * 8,
        "long_factor": [3.0] * 8,
        "original_max_position_embeddings": 12,
        "factor": 3.0,
    },
]
INSIDE = {
    "partial_rotary_factor": [0.5, 0.25, 1.0],
    "attention_factor": [1.4],
    "mscale": [0.7],
    "mscale_all_dim": [0.7],
    "truncate": [True, False],
    "alpha": [9.0],
    "llama_4_scaling_beta": [0.4],
    "beta_fast": [8.0],
    "beta_slow": [0.5],
    "factor": [2.0],
    "original_max_position_embeddings": [20],
    "mrope_section": [[1, 1, 0]],
    "type": ["linear", "yarn"],
}


def others(key, value):
    """Other values of a setting."""
    if key in OTHERS:
        return [ABSENT, *OTHERS[key]]
    if isinstance(value, bool):
        return [not value, ABSENT]
    if isinstance(value, int):
        return [value + 1, value * 2, ABSENT]
    if isinstance(value, float):
        return [value * 1.5 + 0.1, ABSENT]
    if isinstance(value, list) and value:
        return [value[::-1], value[:1] * len(value), ABSENT]
    return [ABSENT]


def altered(settings, path, value):
    """A copy with one setting changed; None if it has this value already."""
    changed = copy.deepcopy(settings)
    place = changed
    for step in path[:-1]:
        place = place[step]
    if value == ABSENT:
        if path[-1] not in place:
            return None
        del place[path[-1]]
    else:
        if path[-1] in place and place[path[-1]] == value and type(place[path[-1]]) is type(value):
            return None
        place[path[-1]] = value
    return changed


def rotations(settings, path):
    """Changes to `rope_parameters`, which may hold an object per layer type."""
    parameters = settings["rope_parameters"]
    yield [*path, "rope_parameters"], ABSENT
    yield [*path, "rope_parameters"], None
    for rotation in ROTATIONS:
        yield [*path, "rope_parameters"], rotation
    for rotation in (ROTATIONS[0], YARN):
        yield [*path, "rope_parameters"], {"full_attention": rotation, "sliding_attention": {"rope_type": "default"}}
    kinds = [kind for kind, inner in parameters.items() if isinstance(inner, dict)]
    for kind in kinds:
        yield [*path, "rope_parameters", kind], ABSENT
        for rotation in ROTATIONS:
            yield [*path, "rope_parameters", kind], rotation
    for kind in [[kind] for kind in kinds] or [[]]:
        inside = parameters[kind[0]] if kind else parameters
        for key in dict.fromkeys([*inside, *INSIDE]):
            values = [ABSENT, *INSIDE[key]] if key in INSIDE else others(key, inside.get(key))
            for value in values:
                yield [*path, "rope_parameters", *kind, key], value


def changes(settings, named):
    """All changes to try, as path and value. `named`: the settings that the configuration's class has."""
    for key in dict.fromkeys([*settings, *named, *OTHERS]):
        if key in ("model_type", "vision_config", "text_config"):
            continue
        if key == "rope_parameters":
            if isinstance(settings.get(key), dict):
                yield from rotations(settings, [])
        elif key in MINOR:
            yield [key], MINOR[key]
        else:
            values = others(key, settings.get(key, named.get(key)))
            # For settings that the class does not have, one value is enough.
            for value in values if key in settings or key in named or key in LEGACY else values[1:2]:
                yield [key], value
    # Files with the old names only.
    if isinstance(settings.get("rope_parameters"), dict):
        old = {key: value for key, value in settings.items() if key != "rope_parameters"}
        yield [], dict(old, rope_theta=300.0)
        yield [], dict(old, rope_theta=300.0, rope_scaling={"type": "linear", "factor": 2.0})
        yield [], dict(old, rope_theta=300.0, rope_scaling=YARN)
        yield [], dict(old, rope_theta=300.0, rope_scaling=LLAMA3)
        yield [], dict(old, rope_theta=300.0, rope_scaling=None, partial_rotary_factor=0.25)
        yield [], dict(old, rotary_emb_base=300.0, rotary_pct=0.5)
        yield [], dict(old, rope_theta=300.0, rope_local_base_freq=30.0)
    for inner in ("text_config", "vision_config"):
        if inner in settings:
            for key, value in settings[inner].items():
                if key == "rope_parameters":
                    yield from (([inner, *path], value) for path, value in rotations(settings[inner], []))
                elif key not in ("model_type", *MINOR):
                    for other in others(key, value)[: 3 if inner == "text_config" else 1]:
                        yield [inner, key], other


class Sweep:
    """One fixture and its weights."""

    def __init__(self, name):
        self.fixture = generate.FIXTURES_5[name]
        self.folder = os.path.join(HERE, "fixtures", name)
        self.options = dict(attn_implementation=self.fixture.attention, experts_implementation="eager", dtype=torch.float64)
        with open(os.path.join(self.folder, "config.json")) as file:
            self.settings = json.load(file)
        self.auto = AutoModelForImageTextToText if "vision_config" in self.settings else AutoModelForCausalLM
        model = self.auto.from_pretrained(self.folder, **self.options).eval()
        self.weights = model.state_dict()
        self.named = model.config.to_dict()
        self.rows = generate.expected(model, LENGTHS)

    def loaded(self, settings, folder):
        """The model with these settings, and how many tensors it left unused; raises if Transformers cannot load it."""
        if settings.get("tie_word_embeddings") != self.settings.get("tie_word_embeddings"):
            # If both tensors exist, `from_pretrained` decides which of them is used.
            model, report = self.auto.from_pretrained(folder, **self.options, output_loading_info=True)
            if report["missing_keys"] or report["mismatched_keys"]:
                raise ValueError("weights are missing")
            return model.eval(), len(report["unexpected_keys"])
        config = AutoConfig.from_pretrained(folder)
        model = self.auto.from_config(config, **self.options).eval()
        missing, unexpected = model.load_state_dict(self.weights, strict=False)
        if missing:
            raise ValueError("weights are missing")
        return model, len(unexpected)

    def differs(self, rows):
        worst = 0.0
        for row, base in zip(rows, self.rows):
            for value, before in zip(row["loss"][1:], base["loss"][1:]):
                if not math.isfinite(value):
                    raise ValueError("no number")
                worst = max(worst, abs(value - before))
        return worst


def sweep(name, out):
    """The cases of one fixture, and how many Transformers refused."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    sweep = Sweep(name)
    cases, refused, seen = [], 0, {json.dumps(sweep.settings, sort_keys=True)}
    for path, value in changes(sweep.settings, sweep.named):
        settings = altered(sweep.settings, path, value) if path else value
        if settings is None or (text := json.dumps(settings, sort_keys=True)) in seen:
            continue
        seen.add(text)
        place = os.path.join(name, f"{len(cases):03}")
        folder = os.path.join(out, place)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(settings, file, indent=1)
        weights = os.path.join(folder, "model.safetensors")
        if not os.path.lexists(weights):
            os.symlink(os.path.join(sweep.folder, "model.safetensors"), weights)
        try:
            model, unused = sweep.loaded(settings, folder)
            rows = generate.expected(model, LENGTHS)
            differs = sweep.differs(rows)
        # Whatever the reason, the case is skipped.
        except Exception:
            refused += 1
            continue
        with open(os.path.join(folder, "expected.jsonl"), "w") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        changed = {} if path else {key: settings[key] for key in settings if settings[key] != sweep.settings.get(key)}
        cases.append(
            dict(
                fixture=name,
                family=sweep.fixture.kind,
                key=".".join(path) or "rope_parameters (old names)",
                value=value if path else changed,
                changes=differs > CHANGED,
                differs=differs,
                unused=unused,
                folder=place,
            )
        )
    # Removes the last folder if its case was skipped.
    leftover = os.path.join(out, name, f"{len(cases):03}")
    for file in os.listdir(leftover) if os.path.isdir(leftover) else ():
        os.remove(os.path.join(leftover, file))
    if os.path.isdir(leftover):
        os.rmdir(leftover)
    return cases, refused


def main():
    out = os.path.abspath(sys.argv[1])
    names = sys.argv[2:] or FIXTURES
    os.makedirs(out, exist_ok=True)
    started, all_cases = time.monotonic(), []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, (cases, refused) in zip(names, pool.map(sweep, names, [out] * len(names))):
            changed = sum(case["changes"] for case in cases)
            print(f"{name}: {changed} change the losses, {len(cases) - changed} do not, {refused} are refused", flush=True)
            all_cases += cases
            # Written after each fixture, so that a stopped sweep keeps its results.
            with open(os.path.join(out, "cases.json"), "w") as file:
                json.dump(all_cases, file, indent=1)
    print(f"{len(all_cases)} cases of {len(names)} fixtures in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()

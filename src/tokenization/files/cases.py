"""Writes the cases of `cases.rs`: the token ids that Transformers gives with these files beside the demonstration
model's tokenizer.

Run with Transformers 5.16.1: python cases.py ../../../models/demo/tokenizer.json > cases.rs
"""

import json
import shutil
import sys
import tempfile

from transformers import AutoTokenizer

TEXT = "one [PAD] two  <x> three"


def token(content, **flags):
    return {
        "content": content,
        "lstrip": False,
        "rstrip": False,
        "single_word": False,
        "normalized": False,
        "special": True,
    } | flags


MARKED = {"__type": "AddedToken"}
CASES = [
    ("nothing", {}),
    ("decoder", {"tokenizer_config": {"added_tokens_decoder": {"2048": token("[PAD]"), "2049": token("<x>", lstrip=True)}}}),
    (
        "decoder, out of order",
        {"tokenizer_config": {"added_tokens_decoder": {"2049": token("[PAD]"), "2048": token("<x>")}}},
    ),
    ("decoder, no flags", {"tokenizer_config": {"added_tokens_decoder": {"2048": {"content": "<x>"}}}}),
    ("added_tokens.json", {"added_tokens": {"[PAD]": 2049, "<x>": 2048}}),
    ("added_tokens.json is not read", {"tokenizer_config": {"added_tokens_decoder": {}}, "added_tokens": {"[PAD]": 2048}}),
    ("pad_token", {"tokenizer_config": {"pad_token": "[PAD]"}}),
    ("pad_token with flags", {"tokenizer_config": {"pad_token": token("[PAD]", rstrip=True) | MARKED}}),
    ("unk before pad", {"tokenizer_config": {"pad_token": "[PAD]", "unk_token": "<x>"}}),
    (
        "special_tokens_map.json",
        {"special_tokens_map": {"pad_token": token("[PAD]", lstrip=True), "additional_special_tokens": ["<x>"]}},
    ),
    (
        "special_tokens_map.json wins",
        {"tokenizer_config": {"pad_token": "<x>"}, "special_tokens_map": {"pad_token": "[PAD]"}},
    ),
    (
        "special_tokens_map.json is not read",
        {"tokenizer_config": {"added_tokens_decoder": {}}, "special_tokens_map": {"pad_token": "[PAD]"}},
    ),
    ("extra", {"tokenizer_config": {"extra_special_tokens": ["<x>", token("[PAD]", lstrip=True) | MARKED]}}),
    ("additional", {"tokenizer_config": {"additional_special_tokens": ["<x>"]}}),
    (
        "extra goes before additional",
        {"tokenizer_config": {"additional_special_tokens": ["<x>"], "extra_special_tokens": ["[PAD]"]}},
    ),
    ("named extra", {"tokenizer_config": {"extra_special_tokens": {"b": "[PAD]", "a": "<x>"}}}),
    ("own names", {"tokenizer_config": {"z_token": "<x>", "a_token": "[PAD]"}}),
    ("own name with flags first", {"tokenizer_config": {"z_token": "<x>", "a_token": token("[PAD]", lstrip=True) | MARKED}}),
    ("a word of the vocabulary", {"tokenizer_config": {"added_tokens_decoder": {"1002": token("one", rstrip=True)}}}),
    ("other flags", {"tokenizer_config": {"added_tokens_decoder": {"0": token("<s>"), "1": token("</s>")}}}),
    (
        "named, listed",
        {
            "tokenizer_config": {
                "added_tokens_decoder": {"2048": token("[PAD]", special=False, normalized=True, lstrip=True)},
                "pad_token": "[PAD]",
            }
        },
    ),
    (
        "listed and in the map",
        {"added_tokens": {"[PAD]": 2048}, "special_tokens_map": {"pad_token": token("[PAD]", lstrip=True)}},
    ),
    (
        "pad and bos flags",
        {"tokenizer_config": {"add_bos_token": True, "bos_token": "<x>", "add_eos_token": True, "eos_token": "[PAD]"}},
    ),
    (
        "cut and padded by request alone",
        {
            "tokenizer_config": {
                "max_length": 2,
                "truncation": True,
                "padding": "max_length",
                "truncation_side": "left",
                "model_max_length": 3,
            }
        },
    ),
    ("marked by an object", {"tokenizer_config": {"pad_token": token("[PAD]") | MARKED}, "added_tokens": {"[PAD]": 2048}}),
]


def text(files, file):
    return 'r#"' + json.dumps(files[file]) + '"#' if file in files else '""'


demo = sys.argv[1]
print("//! Token ids that Transformers 5.16.1 gives with files beside the demonstration's tokenizer. Written by cases.py.")
print("\nuse super::Case;")
print(f"\npub(super) const TEXT: &str = {json.dumps(TEXT)};")
print("\npub(super) const CASES: &[Case] = &[")
for name, files in CASES:
    folder = tempfile.mkdtemp()
    shutil.copy(demo, folder + "/tokenizer.json")
    json.dump({"model_type": "nanochat"}, open(folder + "/config.json", "w"))
    for file, content in files.items():
        json.dump(content, open(f"{folder}/{file}.json", "w"))
    ids = AutoTokenizer.from_pretrained(folder)(TEXT, add_special_tokens=False)["input_ids"]

    lines = [
        f'name: "{name}"',
        f"config: {text(files, 'tokenizer_config')}",
        f"special: {text(files, 'special_tokens_map')}",
        f"added: {text(files, 'added_tokens')}",
        f"ids: &{ids}",
    ]
    print("    Case {", *(f"        {line}," for line in lines), "    },", sep="\n")
print("];")

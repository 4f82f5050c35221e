"""Loads checkpoints with Transformers and prints what it computes; or first writes them, with random weights.

    python their_logits.py read|write IDS FOLDER ...

Prints a line for each folder: the log-probabilities of each next token, [length][vocabulary], as JSON.
"""

import json
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM

command, ids, *folders = sys.argv[1:]
torch.manual_seed(3)
for folder in folders:
    if command == "write":
        AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    model, loading = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(loading[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), loading
    assert model.dtype == torch.float32, model.dtype
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor([json.loads(ids)])).logits[0]
    print(json.dumps(torch.log_softmax(logits.double(), -1).tolist()))

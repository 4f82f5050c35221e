"""Opens checkpoints with Transformers and says what it computes; and writes checkpoints of its own.

    python their_logits.py read FOLDER IDS      -> JSON: the log-probabilities of each next token, [length][vocabulary]
    python their_logits.py write FOLDER         saves the model in FOLDER again with random weights, then as read
"""

import json
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM

command, folder = sys.argv[1:3]
if command == "write":
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    model.save_pretrained(folder)
ids = json.loads(sys.argv[3])
model, loading = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
assert not any(loading[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), loading
assert model.dtype == torch.float32, model.dtype
with torch.no_grad():
    logits = model.eval()(input_ids=torch.tensor([ids])).logits[0]
print(json.dumps(torch.log_softmax(logits.double(), -1).tolist()))

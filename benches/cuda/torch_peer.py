"""Loss and entropy on a GPU as a careful user computes them with PyTorch: f16 weights, SDPA, sorted batches, the head and a
log-softmax in chunks, so that the full logits are never in memory.

    python torch_peer.py HF CORPUS OUT CONTEXT DEVICE
"""

import os
import sys

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compare"))
from windows import Output, batches

CHUNK = 4096

model_path, corpus, out, context, device = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float16, attn_implementation="sdpa").eval().to(device)
tokenizer = Tokenizer.from_file(os.path.join(model_path, "tokenizer.json"))
output = Output(out)
with torch.inference_mode():
    for batch in batches(corpus, tokenizer, int(context), 32768):
        width = max(map(len, batch))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in batch])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch])
        hidden = model.model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False).last_hidden_state
        scored = mask[:, 1:].bool().flatten()
        rows = hidden[:, :-1].reshape(-1, hidden.shape[-1])[scored.to(device)]
        targets = ids[:, 1:].flatten()[scored].to(device)
        loss, entropy = [], []
        for rows, targets in zip(rows.split(CHUNK), targets.split(CHUNK)):
            probable = torch.log_softmax(model.lm_head(rows).float(), -1)
            loss.append(-probable.gather(-1, targets[:, None])[:, 0])
            entropy.append(-(probable.exp() * probable).sum(-1))
        loss, entropy = torch.cat(loss).cpu().numpy(), torch.cat(entropy).cpu().numpy()
        at = 0
        for row in batch:
            end = at + len(row) - 1
            output.add(row, loss[at:end], entropy[at:end])
            at = end
output.close()

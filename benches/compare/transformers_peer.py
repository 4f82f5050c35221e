"""Loss and entropy as a careful user computes them with Transformers: sorted batches, no cache, softmax row by row in f32.

    python transformers_peer.py HF CORPUS OUT CONTEXT THREADS
"""

import os
import sys

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from windows import Output, batches

model_path, corpus, out, context, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32).eval()
tokenizer_path = os.path.join(model_path, "tokenizer.json")
tokenizer = Tokenizer.from_file(tokenizer_path) if os.path.exists(tokenizer_path) else None
output = Output(out)
with torch.inference_mode():
    for batch in batches(corpus, tokenizer, int(context), 8192):
        width = max(map(len, batch))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in batch])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch])
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        for row, own in zip(batch, logits):
            probable = torch.log_softmax(own[: len(row) - 1].float(), -1)
            loss = -probable.gather(-1, torch.tensor(row[1:])[:, None])[:, 0]
            entropy = -(probable.exp() * probable).sum(-1)
            output.add(row, loss.numpy(), entropy.numpy())
output.close()

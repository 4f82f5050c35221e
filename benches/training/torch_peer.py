"""Training steps of a Llama with random weights on random tokens, with Transformers and PyTorch's eager mode.

    python torch_peer.py VOCABULARY HIDDEN LAYERS BATCH LENGTH STEPS THREADS

Prints the median tokens/s of the steps (the first two are warm-up and do not count) and the peak memory of the process.
"""

import statistics
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

vocabulary, hidden, layers, batch, length, steps, threads = map(int, sys.argv[1:8])
torch.set_num_threads(threads)
torch.manual_seed(1)
config = LlamaConfig(
    vocab_size=vocabulary,
    hidden_size=hidden,
    intermediate_size=hidden * 8 // 3 // 64 * 64,
    num_hidden_layers=layers,
    num_attention_heads=hidden // 64,
    num_key_value_heads=hidden // 64,
    max_position_embeddings=2048,
    tie_word_embeddings=False,
)
model = LlamaForCausalLM(config)
optimizer = torch.optim.AdamW(model.parameters(), 1e-3, betas=(0.9, 0.95), weight_decay=0.1)
ids = torch.randint(0, vocabulary, (batch, length))
times = []
for _ in range(steps + 2):
    start = time.perf_counter()
    model(input_ids=ids, labels=ids).loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    times.append(time.perf_counter() - start)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"clm: {batch * length / statistics.median(times[2:]):.0f} tokens/s")
print(peak.strip())

"""Loss and entropy from the same export with ONNX Runtime in its common use: logits as output, the rest in NumPy.

    python onnxruntime_peer.py ONNX CORPUS OUT CONTEXT THREADS
"""

import os
import sys

import numpy
import onnxruntime
from tokenizers import Tokenizer

from windows import Output, batches

model_path, corpus, out, context, threads = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(os.path.join(model_path, "model.onnx"), options, ["CPUExecutionProvider"])
wanted = {value.name for value in session.get_inputs()}
tokenizer_path = os.path.join(model_path, "tokenizer.json")
tokenizer = Tokenizer.from_file(tokenizer_path) if os.path.exists(tokenizer_path) else None
output = Output(out)
# Smaller batches than the other peer's, because the logits of a batch are in memory twice.
for batch in batches(corpus, tokenizer, int(context), 4096):
    width = max(map(len, batch))
    ids = numpy.zeros((len(batch), width), numpy.int64)
    mask = numpy.zeros_like(ids)
    for i, row in enumerate(batch):
        ids[i, : len(row)], mask[i, : len(row)] = row, 1
    places = numpy.broadcast_to(numpy.arange(width), ids.shape)
    feeds = {"input_ids": ids, "attention_mask": mask, "position_ids": places}
    (logits,) = session.run(["logits"], {name: value for name, value in feeds.items() if name in wanted})
    for row, own in zip(batch, logits):
        own = own[: len(row) - 1]
        own -= own.max(-1, keepdims=True)
        exponentials = numpy.exp(own)
        total = exponentials.sum(-1)
        loss = numpy.log(total) - own[numpy.arange(len(own)), row[1:]]
        entropy = numpy.log(total) - (exponentials * own).sum(-1) / total
        output.add(row, loss, entropy)
output.close()

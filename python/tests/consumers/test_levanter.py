"""`--to levanter`, with levanter's semantics. levanter cannot be installed beside the others, because it needs JAX and
Marin's own schedulers. This test reproduces its steps from its sources (marin-levanter 0.2.20: `PrebuiltCacheProcessor` in
data/text/formats.py, `GrugLmExample.causal` in data/text/examples.py):

- ids become int32, weights float32;
- weights are multiplied by a mask that is 1 except at the last position;
- the loss at position i is that of token i + 1, times weight i; its sum is divided by that of the weights.
"""

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from conversion import convert
from models import TOLERANCE, mean_loss, tiny_model


@pytest.mark.parametrize("length", [None, 64])
def test_the_loss_of_levanter(binary, masks, tmp_path, length):
    options = ["--length", str(length)] if length else []
    folder = convert(binary, masks, "levanter", tmp_path / "levanter", *options)
    model = tiny_model(masks.vocabulary)
    total, weight, rows = 0.0, 0.0, []
    for name in masks.shards:
        table = parquet.read_table(folder / f"{name}.parquet")
        assert [str(kind.value_type) for kind in table.schema.types] == ["int32", "float"]
        for row in table.to_pylist():
            ids = np.asarray(row["input_ids"], dtype=np.int32)
            weights = np.asarray(row["loss_weights"], dtype=np.float32)
            assert len(ids) == len(weights) == (length or len(ids))
            rows.append((ids.tolist(), weights.tolist()))
            counted = torch.tensor(weights * (np.arange(len(ids)) < len(ids) - 1))
            # EOS separates documents: a segment starts after each EOS.
            segments = torch.tensor(np.cumsum(np.r_[0, ids[:-1] == 0]))
            apart = torch.full((len(ids), len(ids)), float("-inf"))
            within = (segments[:, None] == segments[None]).tril()
            with torch.no_grad():
                bias = apart.masked_fill(within, 0.0)[None, None]
                tokens = torch.tensor(ids)[None].long()
                log_p = model(input_ids=tokens, attention_mask=bias).logits[0].log_softmax(-1)
            predicted = -log_p[:-1].gather(1, tokens[0, 1:, None])[:, 0]
            total += float((predicted * counted[:-1]).sum())
            weight += float(counted.sum())
    documents = masks.documents(ended=True, targets=True)
    assert weight == sum(sum(document.kept) for document in documents)
    assert total / weight == pytest.approx(mean_loss(model, documents), abs=TOLERANCE)
    if not length:
        assert rows == [
            (list(document.ids), [float(kept) for kept in (*document.kept[1:], False)]) for document in documents
        ]

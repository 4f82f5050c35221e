"""A step for pipelines of datatrove that scores documents with rho-mask, and a pipeline with it.

    python examples/datatrove_step.py corpus/ scored/ model=ref/ by=loss keep=0.6

The last ones are options of `rho_mask.Scorer`. Two tasks read JSON lines and write them with the scores in `metadata`.
"""

import sys

import pyarrow as pa
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.batching import batched

import rho_mask


class RhoMaskScorer(PipelineStep):
    """Adds columns of the masks to the metadata of each document: its tokens, their losses in nats, which to train on.

    A document that cannot be scored has the reason in its metadata as `rho_mask_error`, and no columns.

    Args:
        columns: those to add; all but the document's own if none are named.
        batch_size: documents that are scored at once, ten times a model batch or more.
        options: those of `rho_mask.Scorer`: the model, and the options of `rho-mask worker`.
    """

    name = "rho-mask"
    type = "SCORER"

    def __init__(self, columns=(), batch_size=1000, **options):
        super().__init__()
        self.columns, self.batch_size, self.options = columns, batch_size, options

    def run(self, data, rank=0, world_size=1):
        # A task has a worker of its own, which loads the model once.
        with rho_mask.Scorer(**self.options) as scorer:
            for batch in batched(data, self.batch_size):
                with self.track_time("batch"):
                    table = pa.table({"id": [d.id for d in batch], "text": [d.text for d in batch]})
                    rows = scorer(table).drop_columns(["id", "shard", "row"]).to_pylist()
                for document, row in zip(batch, rows, strict=True):
                    error = row.pop("error")
                    self.stat_update("scored" if error is None else "rejected")
                    if error is None:
                        document.metadata.update({c: row[c] for c in self.columns or row})
                    else:
                        document.metadata["rho_mask_error"] = error
                    yield document


if __name__ == "__main__":
    corpus, out, *options = sys.argv[1:]
    scorer = RhoMaskScorer(**dict(option.split("=", 1) for option in options))
    steps = [JsonlReader(corpus), scorer, JsonlWriter(out)]
    LocalPipelineExecutor(steps, tasks=2, logging_dir=f"{out}/logs").run()

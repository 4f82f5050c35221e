"""Packing documents into sequences: every token is a target exactly once, at the right position."""

import numpy as np
import pyarrow as pa
import pytest
from support import documents, write_masks

from rho_mask import MasksError, open_masks
from rho_mask.masks import Documents
from rho_mask.packing import Columns, fill, plan

COLUMNS = Columns("mask_intersection", "loss")


def test_the_example(example_masks, example):
    masks = open_masks(example_masks)
    sequences = plan(masks.lengths, 8)
    filled = [fill(masks, sequences, i, 8, COLUMNS, pad=0) for i in range(len(sequences))]
    (arrays,) = [a for a in filled if 464 in a["input_ids"]]
    # Packed with a document of three tokens, which leaves the least room.
    assert arrays["input_ids"].tolist() == [7, 8, 9, *example.input_ids]
    assert arrays["labels"].tolist() == [-100, 8, 9, *example.labels]
    assert arrays["ref_loss"].tolist() == pytest.approx([np.nan, 1, 2, np.nan, *example.loss[1:]], nan_ok=True)
    assert arrays["position_ids"].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert arrays["segment_ids"].tolist() == [1, 1, 1, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("length", [2, 3, 5, 16, 1000])
def test_every_target_comes_once(tmp_path, length):
    made = documents(200, 60, seed=length)
    masks = open_masks(write_masks(tmp_path / "masks", {"a": made[:90], "b": made[90:]}))
    sequences = plan(masks.lengths, length)
    targets = []
    for i in range(len(sequences)):
        arrays = fill(masks, sequences, i, length, COLUMNS, pad=-7)
        assert {a.shape for a in arrays.values()} == {(length,)}
        padding = arrays["segment_ids"] == 0
        assert (arrays["input_ids"][padding] == -7).all() and (arrays["input_ids"][~padding] > 0).all()
        first = np.diff(arrays["segment_ids"], prepend=-1) != 0
        assert (arrays["position_ids"][first] == 0).all()
        assert (np.diff(arrays["position_ids"])[~first[1:]] == 1).all()
        for array in [arrays["labels"] == -100, np.isnan(arrays["ref_loss"])]:
            assert array[first | padding].all()
        # For each target: the previous token, the token itself, its loss, its label.
        for at in np.flatnonzero(~first & ~padding):
            told = (arrays["input_ids"][at - 1], arrays["input_ids"][at], arrays["ref_loss"][at], arrays["labels"][at])
            targets.append(tuple(value.item() for value in told))
    expected = [
        (ids[at - 1], ids[at], np.nan if loss[at] is None else loss[at], ids[at] if mask[at] else -100)
        for ids, loss, mask in made
        for at in range(1, len(ids))
    ]
    # As text, because NaN != NaN.
    assert sorted(map(str, targets)) == sorted(map(str, expected))


def test_a_document_that_fits_is_not_cut():
    random = np.random.default_rng(3)
    lengths = random.integers(0, 400, 2000)
    sequences = plan(lengths, 256)
    for document, length in enumerate(lengths):
        pieces = np.flatnonzero(sequences.document == document)
        if length < 2:
            assert len(pieces) == 0
            continue
        pieces = pieces[np.argsort(sequences.start[pieces])]
        starts, stops = sequences.start[pieces], sequences.stop[pieces]
        assert starts[0] == 0 and stops[-1] == length
        # The last token of a piece is the first of the next one.
        assert (starts[1:] == stops[:-1] - 1).all()
        assert len(pieces) == (1 if length <= 256 else -(-(length - 1) // 255))
    sizes = np.add.reduceat(sequences.stop - sequences.start, np.r_[0, sequences.ends[:-1]])
    assert sizes.max() <= 256 and sizes.sum() == (sequences.stop - sequences.start).sum()
    # No two sequences fit into one.
    assert np.sort(sizes)[:2].sum() > 256
    assert sizes.mean() > 0.97 * 256
    # In the order of their first documents.
    firsts = np.minimum.reduceat(sequences.document, np.r_[0, sequences.ends[:-1]])
    assert (np.diff(firsts) >= 0).all()


def test_bounds():
    assert len(plan(np.array([0, 1]), 8)) == 0 and len(plan(np.zeros(0, np.int64), 8)) == 0
    with pytest.raises(ValueError, match="at least 2, got 1"):
        plan(np.array([5]), 1)


def test_columns_of_another_kind_are_refused(example_masks):
    masks = open_masks(example_masks)
    COLUMNS.check(masks)
    Columns(None, None).check(masks)
    with pytest.raises(MasksError, match='"loss": expected a list of bool, got list'):
        Columns("loss", None).check(masks)
    with pytest.raises(MasksError, match='"id": expected a list of float, got string'):
        Columns(None, "id").check(masks)
    with pytest.raises(MasksError, match='no column "mask_excess"'):
        Columns("mask_excess", None).check(masks)


@pytest.mark.parametrize("mask", ["mask_intersection", None])
def test_context_is_never_a_target(tmp_path, mask):
    """The folder once with a column of targets, and once with what it means: no mask and no loss for context."""
    random = np.random.default_rng(5)
    made = documents(120, 40, seed=9)
    targets = [[bool(bit) for bit in random.random(len(ids)) < 0.5] for ids, _, _ in made]
    marked = open_masks(write_masks(tmp_path / "plain", {"a": made}))
    schema = marked.schema.append(pa.field("target", pa.list_(pa.bool_())))
    batch = pa.RecordBatch.from_pylist(
        [{**row, "target": target} for row, target in zip(marked.table.to_pylist(), targets)], schema
    )
    marked = Documents([batch], schema)
    for length in [2, 16, 100]:
        sequences = plan(marked.lengths, length)
        for i in range(len(sequences)):
            arrays = fill(marked, sequences, i, length, Columns(mask, "loss"), pad=0)
            first = int(sequences.ends[i - 1]) if i else 0
            at = 0
            for piece in range(first, int(sequences.ends[i])):
                document, start, stop = (int(a[piece]) for a in (sequences.document, sequences.start, sequences.stop))
                ids, loss, kept = made[document]
                for token in range(start + 1, stop):
                    place = at + token - start
                    may_be = targets[document][token]
                    trained = may_be and (mask is None or kept[token])
                    assert arrays["labels"][place] == (ids[token] if trained else -100)
                    known = may_be and loss[token] is not None
                    assert np.isnan(arrays["ref_loss"][place]) == (not known)
                at += stop - start

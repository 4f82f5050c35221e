"""Packing documents into sequences: every token is a target exactly once, at the right position."""

import numpy as np
import pytest
from support import documents, write_masks

from rho_mask import MasksError, open_masks
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

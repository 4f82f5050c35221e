"""The shift and the polarity, on the example in the docstring of alignment.py."""

import numpy as np

from rho_mask import IGNORE, to_labels, to_predictions, with_target


def test_the_example(example):
    ids, mask = np.array(example.input_ids), np.array(example.mask)
    assert IGNORE == -100
    assert to_labels(ids, mask).tolist() == list(example.labels)
    assert to_predictions(ids).tolist() == list(example.targets)
    assert to_predictions(mask).tolist() == list(example.target_mask)
    assert to_predictions(np.array(example.loss, float)).tolist() == [7.21, 2.05, 0.88, 0.31]


def test_predictions_stand_beside_their_targets(example):
    # A model that is certain of the correct next token: its logits are one-hot at that token.
    ids = np.array([example.input_ids])
    logits = np.zeros((1, 5, 4000))
    logits[0, np.arange(4), ids[0, 1:]] = 1.0
    assert (with_target(logits).argmax(-1) == to_predictions(ids)).all()


def test_batches_are_shifted_along_tokens():
    batch = np.arange(12).reshape(2, 6)
    assert to_predictions(batch).tolist() == [[1, 2, 3, 4, 5], [7, 8, 9, 10, 11]]
    assert with_target(np.zeros((2, 6, 9))).shape == (2, 5, 9)

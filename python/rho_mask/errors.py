"""What can go wrong, as exceptions. A message says where and what, expected and got; a hint, where there is one, what to
do about it."""

from __future__ import annotations


class RhoMaskError(Exception):
    """An error of rho-mask, with a hint where one is known."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\nhint: {hint}")
        self.message = message
        self.hint = hint


class MasksError(RhoMaskError):
    """A masks folder, file or stream that cannot be used as it is asked to be."""


class TokenizerMismatch(MasksError):
    """The masks were made with another tokenizer: their token ids mean something else."""


class MissingDocuments(MasksError):
    """Documents that are to be joined with their masks, and have none."""


class RunError(RhoMaskError):
    """The program stopped. `code` is its exit code: 2, 130 where it was interrupted, negative for a signal."""

    def __init__(self, message: str, hint: str | None, code: int) -> None:
        super().__init__(message, hint)
        self.code = code


class IncompleteWarning(UserWarning):
    """A run finished, and left documents or shards out."""

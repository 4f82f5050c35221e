"""The exceptions. A message says where and what, expected and got; the hint, if there is one, says what to do."""

from __future__ import annotations


class RhoMaskError(Exception):
    """An error of rho-mask, with an optional hint."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\nhint: {hint}")
        self.message = message
        self.hint = hint


class MasksError(RhoMaskError):
    """A masks folder, file or stream that cannot be used as requested."""


class TokenizerMismatch(MasksError):
    """The masks were created with another tokenizer: their token ids mean something else."""


class MissingDocuments(MasksError):
    """Documents without masks to join them with."""


class RunError(RhoMaskError):
    """The program stopped. `code` is its exit code: 2, 130 if it was interrupted, negative for a signal."""

    def __init__(self, message: str, hint: str | None, code: int) -> None:
        super().__init__(message, hint)
        self.code = code


class IncompleteWarning(UserWarning):
    """A run finished, but skipped documents or shards."""

"""The exceptions. A message says where and what, expected and got; the hint, if there is one, says what to do."""

from __future__ import annotations

from typing import Any


class RhoMaskError(Exception):
    """An error of rho-mask, with an optional hint."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\nhint: {hint}")
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions travel between the processes of an engine, and subclasses take other arguments than they store.
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[RhoMaskError], args: tuple[Any, ...], fields: dict[str, Any]) -> RhoMaskError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


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


class ScorerError(RunError):
    """The worker of a `Scorer` died, and so did the one that took its place. `said`: its last lines of standard error."""

    def __init__(self, message: str, hint: str | None, code: int, said: list[str]) -> None:
        super().__init__(message, hint, code)
        self.said = said


class SchemaMismatch(RhoMaskError):
    """A table with other columns than the first one that a `Scorer` got."""


class IncompleteWarning(UserWarning):
    """A run finished, but skipped documents or shards."""

"""Trainers' own readers, each in its own file. They warn of much that is not ours, when they are imported too, so warnings
are no errors where these tests run."""

from __future__ import annotations

import pytest
from conversion import Masks, five, many


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "ignore")


@pytest.fixture(scope="session", params=["five", "many"])
def masks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Masks:
    """The five tokens, and some hundred documents."""
    folder = tmp_path_factory.mktemp(request.param) / "masks"
    return {"five": five, "many": many}[request.param](folder)

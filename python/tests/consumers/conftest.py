"""Trainers' own readers, each in its own file. They warn of much that is not ours, so warnings are no errors here."""

from __future__ import annotations

from pathlib import Path

import pytest
from conversion import Masks, five, many


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session", params=["five", "many"])
def masks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Masks:
    """The five tokens, and some hundred documents."""
    folder = tmp_path_factory.mktemp(request.param) / "masks"
    return {"five": five, "many": many}[request.param](folder)

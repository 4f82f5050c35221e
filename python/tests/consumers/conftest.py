"""Tests with the trainers' own readers, one file each. These packages give many unrelated warnings, also on import, so
warnings are not errors here."""

from __future__ import annotations

import pytest
from conversion import Masks, five, many


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "ignore")


@pytest.fixture(scope="session", params=["five", "many"])
def masks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Masks:
    """The five tokens, and a few hundred documents."""
    folder = tmp_path_factory.mktemp(request.param) / "masks"
    return {"five": five, "many": many}[request.param](folder)

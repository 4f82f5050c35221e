"""The package as a whole."""

import subprocess
import sys

import pytest

import rho_mask


def test_everything_named_is_there_or_says_what_it_needs():
    assert sorted(rho_mask.__all__) == rho_mask.__all__
    for name in rho_mask.__all__:
        assert name in dir(rho_mask)
        try:
            assert getattr(rho_mask, name).__doc__ or name == "IGNORE"
        except ModuleNotFoundError as error:
            assert error.name == "torch" and "hint: pip install 'rho-mask[torch]'" in str(error)
    with pytest.raises(AttributeError, match="no attribute 'mask'"):
        rho_mask.mask  # noqa: B018


def test_an_engine_that_is_missing_is_named(monkeypatch):
    for name, package in [("ray", "ray"), ("spark", "pyspark")]:
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(sys.modules, f"rho_mask.{name}", raising=False)
        monkeypatch.delitem(vars(rho_mask), name, raising=False)
        with pytest.raises(ModuleNotFoundError, match=rf"hint: pip install 'rho-mask\[{name}\]'"):
            getattr(rho_mask, name)


def test_torch_is_not_imported_unasked():
    script = "import rho_mask, sys; assert not {'torch', 'datasets', 'ray', 'pyspark'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=rho_mask.__path__[0] + "/..")

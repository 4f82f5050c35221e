"""Takes an environment that has an older Transformers and little else, to be put before that of PyTorch. Fails if it would
hide a package of that environment which it has no reason to have in another version."""

from importlib.metadata import distributions

EXPECTED = {"datasets", "huggingface-hub", "tokenizers", "transformers", "pip", "setuptools"}

found = {distribution.metadata["Name"].lower().replace("_", "-") for distribution in distributions()}
assert found <= EXPECTED, found - EXPECTED

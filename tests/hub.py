"""A model in the cache of huggingface_hub, located by HF_HOME and HF_ENDPOINT. With `download` it is downloaded, else only
looked up."""

import sys

from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.file_download import _CACHED_NO_EXIST, try_to_load_from_cache

take, revision = sys.argv[1:]
names = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"]
if take == "download":
    for name in names:
        hf_hub_download("org/model", name, revision=revision)
folder = snapshot_download("org/model", revision=revision, local_files_only=True)
print(folder)
for name in names:
    path = try_to_load_from_cache("org/model", name, revision=revision)
    assert path == f"{folder}/{name}", path
    assert Path(path).read_bytes()
if take == "look":
    absent = try_to_load_from_cache("org/model", "added_tokens.json", revision=revision)
    assert absent is _CACHED_NO_EXIST

"""Writes the seeds of the fuzz targets: small files of every variant, whole and damaged. All content is synthetic.

    python3 -m venv VENV && VENV/bin/pip install -r ../../tests/requirements.txt && VENV/bin/python make_seeds.py

Files named `found-*` were found by a fuzzer; they are kept.
"""

import pathlib
import shutil

import seeds_containers
import seeds_parquet
import seeds_tables
import seeds_text

HERE = pathlib.Path(__file__).parent / "seeds"
MOST_BYTES = 6000

for target, files in {
    "json_lines": seeds_text.json_lines(),
    "text": seeds_text.text(),
    "arguments": seeds_text.arguments(),
    "dataset": seeds_text.dataset(),
    "tar": seeds_containers.tar_files(),
    "compressed": seeds_containers.compressed(),
    "parquet": seeds_parquet.files(),
    "arrow_file": seeds_tables.arrow_files(),
    "arrow_stream": seeds_tables.arrow_streams(),
    "masks": seeds_tables.masks(),
}.items():
    folder = HERE / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if not old.name.startswith("found-"):
            old.unlink()
    written = set()
    for name, content in files.items():
        # Some edits give the same bytes.
        if content in written:
            continue
        written.add(content)
        assert len(content) <= MOST_BYTES, (target, name, len(content))
        (folder / name).write_bytes(content)
shutil.rmtree(pathlib.Path(__file__).parent / "__pycache__", ignore_errors=True)

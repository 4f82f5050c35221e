"""Splits the bundled corpus for `loop.sh`: `loop_data.py CORPUS OUT`.

corpus.jsonl         all documents except the held-out ones: mathematics and junk
good.jsonl           the mathematics in them, one document each: the training data of the reference
held_out_math.jsonl  the mathematics of the held-out documents
held_out_rest.jsonl  the rest of the held-out documents
"""

import gzip
import hashlib
import json
import pathlib
import sys

HELD_OUT = 10  # one document in 10, by a hash of its id


def documents(corpus):
    """The documents of the JSON files that the standard library can read; the zstd file is skipped."""
    for path, opened in ((corpus / "pages.jsonl", open), (corpus / "notes.jsonl.gz", gzip.open)):
        with opened(path, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def parts(document):
    """The mathematics of a document, and the rest."""
    text, at = document["text"], 0
    mathematics, rest = [], []
    for start, end in document["math"]:
        rest.append(text[at:start])
        mathematics.append(text[start:end])
        at = end
    rest.append(text[at:])
    return "\n".join(mathematics).strip(), "\n".join(rest).strip()


def main():
    corpus, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    files = {name: [] for name in ("corpus", "good", "held_out_math", "held_out_rest")}
    for document in documents(corpus):
        mathematics, rest = parts(document)
        digest = hashlib.sha256(document["id"].encode()).digest()
        held_out = digest[0] % HELD_OUT == 0
        if not held_out:
            files["corpus"].append((document["id"], document["text"]))
        for name, text in (("held_out_math" if held_out else "good", mathematics), ("held_out_rest", rest)):
            if text and (held_out or name == "good"):
                files[name].append((document["id"], text))
    for name, rows in files.items():
        lines = (json.dumps({"id": id, "text": text}, ensure_ascii=False) + "\n" for id, text in rows)
        (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


main()

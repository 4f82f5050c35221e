"""Writes a bench's table into docs/performance.md or another document, between `<!-- NAME -->` and `<!-- end of NAME -->`. Its caption, with the
command, the processor, the commit and the load, is written together with the table, so that they always match."""

import os
import pathlib
import platform
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENTS = ["docs/performance.md", "docs/scale.md"]
"""Those with tables of benches."""


def processor():
    """The processor's name, and those of its instruction sets that the kernels use."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = said.get("flags", "").split()
    known = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx512_bf16": "BF16", "amx_tile": "AMX"}
    has = [word for flag, word in known.items() if flag in flags]
    return f"{said.get('model name', platform.machine())} ({', '.join(has)}), {os.cpu_count()} cores"


def commit():
    """The commit that is checked out, and whether files other than the documents differ from it."""
    def git(*words):
        asked = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return asked.stdout.strip()

    documents = [f":!{document}" for document in DOCUMENTS]
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *documents)
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" and changes" if changed else "")


def made_by():
    """The second half of the caption. Omits the path of the program, which means nothing to a reader."""
    words = [word for word in sys.argv[1:] if word != "--write"]
    if "--program" in words:
        place = words.index("--program")
        del words[place : place + 2]
    command = shlex.join(["python", "benches/" + pathlib.Path(sys.argv[0]).name, *words])
    return f"`{command}`, {processor()}, commit {commit()}, load {os.getloadavg()[0]:.1f} at the start"


def write(name, lines, document="performance"):
    """Replaces the lines between the markers of `name` in a document of docs/."""
    path = ROOT / f"docs/{document}.md"
    text = path.read_text()
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    if text.count(begin) != 1 or text.count(end) != 1:
        sys.exit(f"{path}: expected one {begin.strip()} and one {end.strip()}, got {text.count(begin)} and {text.count(end)}")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    path.write_text(before + begin + "".join(line + "\n" for line in lines) + end + after)

"""Takes an environment whose PyTorch was installed alone, makes PyTorch load without NVIDIA's libraries.

PyTorch's package for Linux is linked to a dozen libraries of NVIDIA's, some 5 GB, and does not load where one of them is
missing, although nothing on a CPU calls them. So each that is missing is given a stand-in: a library of that name, in which
all functions that PyTorch wants of it say so and end the program. The CUDA runtime is none of them: it is small, it is
asked whether there is a device, and it answers. Where PyTorch has no CUDA (macOS, ARM), nothing is missing.

Run by the environment's own Python; needs `readelf` and `cc`, as linking a Rust program does.
"""

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

LIBRARIES = re.compile(r"lib(cu|nccl|nv)")
"""NVIDIA's."""
FUNCTIONS = re.compile(r"(?!cuda[A-Z])(cu|nccl|nv)\w+")
"""What PyTorch calls in them; those of the CUDA runtime are real."""
REAL = re.compile(r"libcudart|libcuda\.so")
"""The runtime, and the driver, which is looked for when it is needed and not before."""


def inspected(library: Path) -> tuple[set[str], set[str]]:
    """The libraries it is linked to, and the functions it wants of others."""
    command = ["readelf", "--wide", "--dynamic", "--dyn-syms", str(library)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"NEEDED.*\[(.*)\]", said)), set(re.findall(r" GLOBAL +\S+ +UND (\w+)", said))


def main() -> None:
    spec = find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("there is no torch in this environment")
    folder = Path(spec.submodule_search_locations[0]) / "lib"
    needed, wanted = set(), set()
    for library in sorted(folder.glob("*.so")):
        libraries, functions = inspected(library)
        needed |= libraries
        wanted |= functions
    there = {path.name for path in folder.parent.parent.glob("nvidia/*/lib/*")}
    missing = sorted(name for name in needed - there if LIBRARIES.match(name) and not REAL.match(name))
    functions = sorted(name for name in wanted if FUNCTIONS.fullmatch(name))
    body = "".join(f'void {name}(void) {{ stands_in("{name}"); }}\n' for name in functions)
    source = f"""
#include <stdio.h>
#include <stdlib.h>
static void stands_in(const char *name) {{
    fprintf(stderr, "%s: a stand-in was called, for tests without a GPU\\n", name);
    abort();
}}
{body}"""
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / "stand_in.c"
        written.write_text(source)
        for name in missing:
            # `-fno-builtin`: some names are those of functions that the compiler believes to know.
            options = ["-shared", "-fPIC", "-fno-builtin", f"-Wl,-soname,{name}", "-o", str(folder / name)]
            subprocess.run(["cc", *options, str(written)], check=True)
    check = "import torch; assert not torch.cuda.is_available(); torch.ones(2, 2, requires_grad=True).sum().backward()"
    # Where there is a GPU, nothing may use it: the stand-ins would be called.
    subprocess.run([sys.executable, "-c", check], check=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})


if __name__ == "__main__":
    main()

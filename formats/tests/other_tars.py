"""Writes tar files in every format of Python's tarfile and of the tar programs at hand; prints what tarfile reads of each.

Usage: other_tars.py FOLDER. Prints a JSON object: for each file, a list of the names and texts of its members.
"""

import io
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile

folder = pathlib.Path(sys.argv[1])
long = "folder/" * 20
TEXTS = {
    "a.txt": "one",
    long + "line\nbreak.txt": "two",
    long + "umlaut ä.txt": "three",
    "x" * 120 + ".txt": "",
    "after.txt": "four" * 300,
}


def write(name, format, **headers):
    with tarfile.open(folder / name, "w", format=format) as archive:
        for path, text in TEXTS.items():
            member = tarfile.TarInfo(path)
            member.size = len(text.encode())
            member.pax_headers = headers
            archive.addfile(member, io.BytesIO(text.encode()))


write("pax.tar", tarfile.PAX_FORMAT)
# As macOS writes its attributes: values with line breaks, and what looks like a record.
write("attributes.tar", tarfile.PAX_FORMAT, **{"LIBARCHIVE.xattr.com.apple.x": "a\n12 path=no\n\n", "comment": "\n"})
write("gnu.tar", tarfile.GNU_FORMAT)
(folder / "joined.tar").write_bytes((folder / "pax.tar").read_bytes() + (folder / "gnu.tar").read_bytes())

# Holes, and data at the start, in the middle and at the end. Long, so that they are holes on every file system.
sparse = folder / "sparse"
sparse.mkdir()
for name, offsets, size in [
    ("ends.txt", [0, 300_000, 1_048_576], 1_048_580),
    ("hole.txt", [524_288], 2_000_000),
    ("only-hole.txt", [], 1_000_000),
    # More parts than the header of GNU's own format has room for.
    ("many.txt", [offset * 131_072 for offset in range(60)], 8_000_000),
]:
    with open(sparse / name, "wb") as file:
        file.truncate(size)
        for offset in offsets:
            file.seek(offset)
            file.write(b"text")
names = sorted(path.name for path in sparse.iterdir())
commands = {}
if shutil.which("tar"):
    for version in ["0.0", "0.1", "1.0"]:
        options = ["--format=posix", "--sparse", f"--sparse-version={version}"]
        commands[f"sparse-{version}.tar"] = ["tar", *options]
    commands["sparse-gnu.tar"] = ["tar", "--format=gnu", "--sparse"]
    commands["plain.tar"] = ["tar", "--format=ustar"]
if shutil.which("bsdtar"):
    commands["bsdtar.tar"] = ["bsdtar", "--format=pax"]
for name, command in commands.items():
    subprocess.run([*command, "-cf", str(folder / name), "-C", str(sparse), *names], check=True)

found = {}
for path in sorted(folder.glob("*.tar")):
    with tarfile.open(path, ignore_zeros=True) as archive:
        members = [(member.name, archive.extractfile(member).read().decode()) for member in archive if member.isreg()]
    found[path.name] = members
# tarfile and the files themselves: two oracles.
for name in commands:
    assert dict(found[name]) == {name: (sparse / name).read_text() for name in names}, name
print(json.dumps(found))

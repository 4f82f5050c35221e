"""Container seeds: tar files and compressed streams."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zlib

import pyarrow as pa

import seeds_text

JSON = b'{"text":"a text","id":"own","input_ids":[1,2]}'


def archive(members, form=tarfile.USTAR_FORMAT, **header):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, bufsize=512) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in header.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    # One block of the end-of-archive mark is enough here; the rest would only be padding.
    data = out.getvalue().rstrip(b"\0")
    return data + bytes(-len(data) % 512) + bytes(512)


def edited(data, changes, at=0):
    """A header with changed bytes and a corrected checksum."""
    data = bytearray(data)
    for place, new in changes:
        data[at + place : at + place + len(new)] = new
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


def tar_files():
    two = [("a.txt", b"first"), ("a.json", b'{"id":"x"}'), ("b.json", JSON)]
    plain = archive(two)
    one = archive([("a.txt", b"text")])
    link = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE]
    return {
        "plain": plain,
        "others": archive([("a.jpg", b"no"), ("a.cls", b"5"), ("b.txt", b"yes"), ("c.jpg", b"")]),
        "up": archive([("../../a.txt", b"up"), ("x/../../b.txt", b"up"), ("..", b""), ("../.txt", b"x")]),
        "absolute": archive([("/etc/a.txt", b"root"), ("//b.txt", b"x"), ("/", b"")]),
        "odd-names": archive([(".txt", b"x"), ("a", b"x"), ("a..txt", b"y"), ("a.b.TXT", b"z"), ("x/.a.txt", b"")]),
        "pax-name": archive([("n" * 200 + ".txt", b"long")], tarfile.PAX_FORMAT),
        "pax-up": archive([("../" * 60 + "é.txt", b"long")], tarfile.PAX_FORMAT),
        "pax-size": edited(archive([("a.txt", b"abc")], tarfile.PAX_FORMAT, pax_headers={"size": "99999999999999999999"}), []),
        "pax-small-size": archive([("a.txt", b"abc")], tarfile.PAX_FORMAT, pax_headers={"size": "1"}),
        "pax-damaged": archive([("a.txt", b"abc")], tarfile.PAX_FORMAT, pax_headers={"comment": "x"}).replace(b"comment=", b"comment "),
        "pax-length": archive([("a.txt", b"abc")], tarfile.PAX_FORMAT, pax_headers={"path": "b.txt"}).replace(b"14 path", b"99 path"),
        "gnu-name": archive([("m" * 150 + ".txt", b"long")], tarfile.GNU_FORMAT),
        "gnu-name-size": edited(archive([("m" * 150 + ".txt", b"long")], tarfile.GNU_FORMAT), [(124, b"77777777777\0")]),
        "gnu-binary-size": edited(one, [(124, b"\x80" + b"\xff" * 11)]),
        "negative-size": edited(one, [(124, b"\xff" * 12)]),
        "sparse": edited(one, [(156, b"S")]),
        "huge-size": edited(one, [(124, b"77777777777\0")]),
        "no-size": edited(one, [(124, b"nonsense\0\0\0\0")]),
        "links": b"".join(edited(archive([("a.txt", b"")])[:512], [(156, kind)]) for kind in link) + one,
        "global": edited(one[:512], [(156, b"g"), (124, b"00000000004\0")]) + one[512:1024] + plain,
        "names-without-members": edited(one[:512], [(156, b"L"), (124, b"00000000004\0")]) + one[512:],
        "checksum": plain[:150] + b"7" + plain[151:],
        "no-end": plain[:-512],
        "cut-in-header": plain[:700],
        "cut-in-member": plain[:514],
        "after-the-end": plain + b"rubbish",
        "not-utf8": archive([("a.txt", b"\xff\xfe"), ("b.json", b'{"text":"\xff"}')]),
        "deep-json": archive([("a.json", b'{"text":' + b"[" * 1500)]),
        "mark": archive([("a.txt", b"\xef\xbb\xbfmarked")]),
        "two-blocks": bytes(1024),
        "one-block": bytes(512),
    }


def zstd(data):
    return pa.compress(data, codec="zstd", asbytes=True)


def compressed():
    # The first byte selects the name: see `compressed` in `src/targets.rs`.
    def called(kind, codec):
        kinds, codecs = ["jsonl", "txt", "tar", "arrow", "parquet"], ["gz", "zst", "bz2", "xz"]
        return bytes([kinds.index(kind) * 4 + codecs.index(codec)])

    codecs = {"gz": gzip.compress, "zst": zstd, "bz2": bz2.compress, "xz": lzma.compress}
    lines = seeds_text.json_lines()["plain"]
    sink = pa.BufferOutputStream()
    table = pa.table({"text": ["a", "b"], "input_ids": [[1], [2, 3]]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    arrow = sink.getvalue().to_pybytes()
    contents = {"jsonl": lines, "txt": b"a text", "tar": tar_files()["plain"], "arrow": arrow, "parquet": b"PAR1"}
    found = {}
    for codec, pack in codecs.items():
        for kind, content in contents.items():
            found[f"{kind}-{codec}"] = called(kind, codec) + pack(content)
        head, packed = called("jsonl", codec), pack(lines)
        found[f"members-{codec}"] = head + packed + pack(b'{"text":"second member"}\n') + pack(b"")
        found[f"cut-{codec}"] = head + packed[: len(packed) // 2]
        found[f"rubbish-{codec}"] = head + packed + b"rubbish"
        found[f"padding-{codec}"] = head + packed + bytes(8)
        found[f"checksum-{codec}"] = head + packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]
        found[f"nothing-{codec}"] = head + pack(b"")
        found[f"twice-{codec}"] = head + pack(packed)
        found[f"not-{codec}"] = head + lines
        bomb = b'{"text":"' + b"a" * (3 << 20) + b'"}\n{"text":"after"}\n'
        if len(pack(bomb)) < 4000:
            found[f"bomb-{codec}"] = head + pack(bomb)
            found[f"bomb-txt-{codec}"] = called("txt", codec) + pack(bytes(3 << 20))
        huge = edited(archive([("a.txt", b"")])[:512], [(124, b"%011o\0" % (2 << 20))])
        if len(pack(huge + bytes(2 << 20))) < 4000:
            found[f"bomb-tar-{codec}"] = called("tar", codec) + pack(huge + b"a" * (2 << 20) + bytes(1024))
            long_name = edited(huge, [(156, b"L")])
            found[f"bomb-name-{codec}"] = called("tar", codec) + pack(long_name + b"a" * (2 << 20) + bytes(1024))
            message = b"\xff" * 4 + struct.pack("<I", 2 << 20) + bytes(2 << 20)
            found[f"bomb-arrow-{codec}"] = called("arrow", codec) + pack(message)
    # A window of 1.5 GB in the frame's header, and a dictionary of 4 GB in xz's.
    found["window-zst"] = called("jsonl", "zst") + b"\x28\xb5\x2f\xfd\x00\xa4" + zstd(lines)[6:]
    found["skippable-zst"] = called("jsonl", "zst") + b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstd(lines)
    found["skippable-huge-zst"] = called("jsonl", "zst") + b"\x50\x2a\x4d\x18\xff\xff\xff\xff" + zstd(lines)
    small = [{"id": lzma.FILTER_LZMA2, "dict_size": 4096}]
    packed = bytearray(lzma.compress(lines, filters=small))
    assert packed[12:14] == b"\x02\x00"
    # The header of the block: its size, flags, the filter with its dictionary's size, padding, and a checksum.
    packed[16] = 40
    packed[20:24] = struct.pack("<I", zlib.crc32(bytes(packed[12:20])))
    found["dictionary-xz"] = called("jsonl", "xz") + bytes(packed)
    name = gzip.compress(lines)
    found["name-gz"] = called("jsonl", "gz") + name[:3] + b"\x1e" + name[4:10] + b"\x04\0abcd" + b"n" * 50 + b"\0c\0\0\0" + name[10:]
    found["extra-gz"] = called("jsonl", "gz") + name[:3] + b"\x04" + name[4:10] + b"\xff\xff" + name[10:]
    found["empty"] = b""
    return found

"""The part of Thrift's compact protocol that Parquet's headers use: decodes bytes to an editable tree, and back.

A struct is a list of `[id, type, value]`, a list `(type, [values])`. The writer does not check that the result is valid.
"""

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)


class Reader:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def unsigned(self):
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def signed(self):
        value = self.unsigned()
        return (value >> 1) ^ -(value & 1)

    def take(self, length):
        self.at += length
        return bytes(self.data[self.at - length : self.at])

    def value(self, kind):
        if kind in (TRUE, FALSE):
            return None
        if kind == BYTE:
            return self.byte()
        if kind in (I16, I32, I64):
            return self.signed()
        if kind == DOUBLE:
            return self.take(8)
        if kind == BINARY:
            return self.take(self.unsigned())
        if kind in (LIST, SET):
            head = self.byte()
            count = head >> 4
            count = self.unsigned() if count == 15 else count
            inner = head & 15
            return (inner, [self.byte() if inner in (TRUE, FALSE) else self.value(inner) for _ in range(count)])
        if kind == STRUCT:
            return self.struct()
        raise ValueError(kind)

    def struct(self):
        fields, last = [], 0
        while True:
            head = self.byte()
            if head == 0:
                return fields
            delta, kind = head >> 4, head & 15
            last = last + delta if delta else self.signed()
            fields.append([last, kind, self.value(kind)])


def unsigned(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value):
    return unsigned((value << 1 ^ value >> 63) & (1 << 64) - 1)


def value(kind, what):
    if kind in (TRUE, FALSE):
        return b""
    if kind == BYTE:
        return bytes([what])
    if kind in (I16, I32, I64):
        return signed(what)
    if kind == DOUBLE:
        return what
    if kind == BINARY:
        return unsigned(len(what)) + what
    if kind in (LIST, SET):
        inner, items = what
        count = len(items)
        head = bytes([count << 4 | inner]) if count < 15 else bytes([0xF0 | inner]) + unsigned(count)
        items = [bytes([item]) if inner in (TRUE, FALSE) else value(inner, item) for item in items]
        return head + b"".join(items)
    return struct(what)


def struct(fields):
    out, last = bytearray(), 0
    for number, kind, what in fields:
        delta = number - last
        out += bytes([delta << 4 | kind]) if 0 < delta < 16 else bytes([kind]) + signed(number)
        # Bytes that are not a string are written unchanged.
        out += what if isinstance(what, bytes) and kind not in (BINARY, DOUBLE) else value(kind, what)
        last = number
    return bytes(out) + b"\0"


def get(fields, *path):
    """The value at a path of field numbers and list indexes."""
    for step in path:
        if isinstance(fields, tuple):
            fields = fields[1][step]
        else:
            fields = next(what for number, _, what in fields if number == step)
    return fields


def put(fields, path, new, kind=None):
    """Sets the value at a path of field numbers; adds the field, with this type, if it is missing."""
    for step in path[:-1]:
        fields = get(fields, step)
    for field in fields:
        if field[0] == path[-1]:
            field[1] = kind or field[1]
            field[2] = new
            return
    fields.append([path[-1], kind, new])
    fields.sort(key=lambda field: field[0])

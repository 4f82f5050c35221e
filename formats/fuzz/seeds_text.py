"""Text seeds: JSON lines, plain text, arguments, and descriptions of datasets."""

import json


def json_lines():
    plain = [{"id": index, "text": f"line {index} é", "input_ids": [index, 7]} for index in range(4)]
    lines = "\n".join(json.dumps(line, ensure_ascii=False) for line in plain).encode()
    deep = 900
    return {
        "plain": lines + b"\n",
        "crlf": lines.replace(b"\n", b"\r\n"),
        "mark": b"\xef\xbb\xbf" + lines,
        "blank": b"\n \n" + lines + b"\n\n\t\n",
        "nested": b'{"meta":{"inner":{"text":"x"}},"number":3}\n{"meta.inner":{"text":"y"}}\n{"meta.inner.text":"z"}',
        "deep-lists": b'{"x":' + b"[" * deep + b"]" * deep + b',"text":"y"}\n{"text":' + b"[" * deep,
        "deep-objects": b'{"text":' * 300 + b"1" + b"}" * 300 + b"\n" + b'{"meta":' * 200,
        "deep-tokens": b'{"input_ids":' + b"[" * deep + b"]" * deep + b"}",
        "escapes": rb'{"te\u0078t":"\u00e9\ud83d\ude00\n\"","id":"\\"}' + b"\n" + rb'{"text":"\ud800"}' + b"\n" + rb'{"id":"\udfff","text":"a"}',
        "numbers": b'{"text":"a","id":1e999}\n{"text":"b","id":-0}\n{"id":' + b"9" * 400 + b',"text":"c"}',
        "tokens": b'{"input_ids":[0,2147483647]}\n{"input_ids":[2147483648]}\n{"input_ids":[-1]}\n{"input_ids":[1.0,null]}\n{"input_ids":[]}',
        "messages": b'{"messages":[{"role":"user","content":null}],"tools":"[]"}\n{"messages":"[1","tools":null}\n{"messages":[NaN]}\n{"messages":{}}\n{"messages":' + b"[" * 200 + b"]" * 200 + b"}",
        "targets": b'{"text":"ab","input_ids":[5,6],"targets":[1,0]}\n{"text":"","input_ids":[5],"targets":[-100]}\n{"text":"a","input_ids":[5],"targets":[true,null]}\n{"text":"a","input_ids":[0],"targets":[0]}',
        "spans": b'{"text":"ab","spans":[[0,1],{"start":1,"end":2}]}\n{"text":"ab","spans":[[0,9]]}\n{"text":"ab","spans":[[0,2],[1,2,0.5]]}\n{"text":"ab","spans":"[[1e9,-1]]"}',
        "twice": b'{"text":1,"text":"b","text":null}\n{"text":"a","":1,"":2}',
        "many-fields": b"{" + b",".join(b'"%d":0' % index for index in range(300)) + b"}",
        "long-name": b'{"' + "é".encode() * 900 + b'":0}',
        "no-objects": b'[1]\n"text"\nnull\n5\ntrue\nnonsense\n',
        "cut": lines[:-5],
        "not-utf8": b'{"text":"\xff"}\n\xc3\n{"text":"\xed\xa0\x80"}\n' + lines,
        "zeros": b'\0\0{"text":"a"}\0\n\x1a',
        "too-long": b'{"text":"' + b"a" * 3000 + b'"}\n' + lines,
        "empty": b"",
    }


def text():
    return {
        "plain": "Some made-up text, é and 漢.\nA second line.\n".encode(),
        "crlf": b"one\r\ntwo\r\r\n\r\n",
        "mark": b"\xef\xbb\xbfafter the mark\n\xef\xbb\xbfnot at the start",
        "marks": b"\xef\xbb\xbf" * 3,
        "other-mark": "sixteen bits".encode("utf-16"),
        "cut-character": b"whole \xe6\xbc",
        "overlong": b"\xc0\xaf \xf8\x88\x80\x80\x80 \xed\xa0\x80",
        "zeros": b"a\0b\n\0\n",
        "brace": b"{ no object",
        "like-parquet": b"PAR1 is how some files begin",
        "like-gzip": b"\x1f\x8b",
        "like-arrow": b"ARROW1 is how some files begin",
        "blank": b" \t\n\x0c\n\r\n",
        "empty": b"",
    }


def arguments():
    return {
        "names": b"0.jsonl\n1.jsonl\nb.tar.gz\n",
        "braces": b"{0..1}.jsonl\n",
        "alternatives": b"{0,1}.jsonl\n{b,}.tar.gz\n",
        "nested": b"{{0,1},10}.{jsonl,txt}\n{0..1}{,0..2}\n",
        "pattern": b"*.jsonl\n?.jsonl\n[01].jsonl\n",
        "literal": b"[b].arrow\n",
        "stars": b"**\n***\n" + b"*a" * 30 + b"\n",
        "classes": b"[!a-z]*\n[\n[]]\n[a-\n[z-a]*\n",
        "many": b"{0..1048576}\n",
        "too-many": b"{0..99999999999999999999}{0..9999}{0..9999}\n",
        "padded": b"{000..3}\n{3..000}\n{1.." + b"0" * 300 + b"}\n",
        "open": b"{" * 500 + b"\n" + b"}" * 500,
        "deep": b"{a," * 400 + b"}" * 400 + b"\n",
        "deep-pairs": b"{" * 400 + b",}" * 400 + b"\n",
        "doubled": b"{a,b}" * 25 + b"\n",
        "no-choices": b"{a}" * 300 + b"\n{}{..}{,}{0..}{..0}\n",
        "marks": b"\xef\xbb\xbf0.jsonl\r\n\r\n",
        "urls": b"://x\nhttp://\ns3://a/{0..3}\n",
        "not-utf8": b"\xff.jsonl\n",
        "empty": b"",
    }


def dataset():
    def state(*names):
        return json.dumps({"_data_files": [{"filename": name} for name in names]}).encode()

    def splits(*names):
        return json.dumps({"splits": names}).encode()

    deep = b"[" * 1500
    return {
        "state": b"\0" + state("a.arrow"),
        "state-other-name": b"\0" + state("b.bin", "a.arrow"),
        "state-up": b"\0" + state("../outside.arrow", "a.arrow"),
        "state-down-and-up": b"\0" + state("x/../../outside.arrow", "./a.arrow"),
        "state-absolute": b"\0" + state("/etc/hostname", "a.arrow"),
        "state-twice": b"\0" + state("a.arrow", "a.arrow"),
        "state-missing": b"\0" + state("gone.arrow", "\0"),
        "state-itself": b"\0" + state("", ".", "state.json"),
        "state-none": b"\0" + state(),
        "state-deep": b'\0{"_data_files":' + deep,
        "state-deep-other": b'\0{"x":' + deep + b"]" * 1500 + b"}",
        "state-types": b'\0{"_data_files":{"filename":1}}',
        "state-empty": b"\0",
        "splits": b"\1" + splits("train"),
        "splits-up": b"\1" + splits("..", "../..", "train"),
        "splits-absolute": b"\1" + splits("/tmp", "/"),
        "splits-missing": b"\1" + splits("gone", "train"),
        "splits-twice": b"\1" + splits("train", "train"),
        "splits-deep": b'\1{"splits":' + deep,
        "masks": b"\2" + state("a.arrow"),
        "masks-up": b"\2" + state("../outside.arrow"),
        "masks-absolute": b"\2" + state("/dev/zero"),
        "masks-none": b"\2" + state(),
        "masks-folder": b"\2" + state("."),
        "masks-deep": b'\2{"_data_files":' + deep,
    }

"""Talks to `serve` over HTTP, as programs do, and compares with `score` and `worker` on the same texts.

Arguments: the program, a model, a folder to write to, the name of the check.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
from pyarrow import ipc

PROGRAM, MODEL, PLACE = sys.argv[1], sys.argv[2], Path(sys.argv[3])
CPU = ["--device", "cpu"]
ARROW = "application/vnd.apache.arrow.stream"
TEXTS = [
    "Ann has 3 apples and buys 4 more. She has 7 apples.",
    "x",
    "",
    "Größe: 5 €, 中文, 😀😀 and a\ttab\n\nline",
    "» forum » threads » 2004 " * 12,
    "What is 12 plus 30? The answer is 42.",
]


class Server:
    def __init__(self, *arguments, model=MODEL, env=None):
        models = [] if model is None else ["--model", model]
        self.errors = open(PLACE / "errors.txt", "w+")
        self.process = subprocess.Popen(
            [PROGRAM, "serve", *CPU, *models, "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, **(env or {})},
        )
        line = self.process.stdout.readline()
        assert line, self.said()
        listening = json.loads(line)["listening"]
        self.port = listening["port"]
        assert listening == {"url": f"http://127.0.0.1:{self.port}", "host": "127.0.0.1", "port": self.port}

    def said(self):
        self.errors.flush()
        return (PLACE / "errors.txt").read_text()

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def raw(self, method, path, body=None, headers=None):
        """Status, headers and bytes of an answer."""
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def post(self, path, value, **headers):
        body = value if isinstance(value, (str, bytes)) else json.dumps(value)
        status, _, answer = self.raw("POST", path, body, {"Content-Type": "application/json", **headers})
        return status, json.loads(answer)

    def complete(self, prompt, **more):
        request = {"prompt": prompt, "echo": True, "logprobs": 1, "max_tokens": 0, **more}
        status, answer = self.post("/v1/completions", request)
        assert status == 200, answer
        return answer

    def refused(self, value, path="/v1/completions", status=400):
        got, answer = self.post(path, value)
        assert got == status, (got, answer)
        return answer["error"]

    def metric(self, name):
        _, _, text = self.raw("GET", "/metrics")
        for line in text.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise AssertionError(name)

    def end(self, code=0):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=120) == code, self.said()
        assert "panicked" not in self.said(), self.said()


@contextlib.contextmanager
def serving(*arguments, **more):
    server = Server(*arguments, **more)
    try:
        yield server
        server.end()
    finally:
        server.process.kill()
        server.process.wait()


def scored(texts, *arguments, model=MODEL, field="text"):
    """The rows of `score` for these texts, each scored alone."""
    rows = []
    for text in texts:
        corpus, out = PLACE / "corpus.jsonl", PLACE / "masks"
        corpus.write_text(json.dumps({field: text}) + "\n")
        given = [PROGRAM, "score", *CPU, "--model", model, str(corpus), "--out", str(out), "--restart", *arguments]
        ended = subprocess.run(given, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        masks = pa.concat_tables(ipc.open_stream(path).read_all() for path in sorted(out.glob("**/*.arrow")))
        rows += masks.to_pylist()
    return rows


def bits(number):
    return struct.pack("<f", number)


def same(got, losses):
    """Whether log-probabilities are minus these losses, to the bit."""
    assert len(got) == len(losses)
    assert got[0] is None and losses[0] is None
    for logprob, loss in zip(got[1:], losses[1:]):
        assert bits(logprob) == bits(0.0 - loss), (logprob, loss)


def log_probabilities_are_those_of_score():
    expected = scored(TEXTS, "--top", "3")
    with serving() as server:
        for text, row in zip(TEXTS, expected):
            answer = server.complete(text, logprobs=3)
            [choice] = answer["choices"]
            logprobs = choice["logprobs"]
            assert answer["object"] == "text_completion" and choice["index"] == 0
            assert choice["text"] == text and choice["finish_reason"] == "length"
            assert answer["usage"] == {
                "prompt_tokens": len(row["input_ids"]),
                "completion_tokens": 0,
                "total_tokens": len(row["input_ids"]),
            }
            same(logprobs["token_logprobs"], row["loss"])
            assert logprobs["top_logprobs"][0] is None
            for i, likely in enumerate(logprobs["top_logprobs"][1:], 1):
                top = [bits(x) for x in row["top_logprobs"][i]]
                own = bits(logprobs["token_logprobs"][i])
                given = [bits(x) for x in likely.values()]
                # Tokens with equal strings are one entry.
                assert given[0] == top[0] and set(given) <= {*top, own} and own in given, (likely, top)
                assert likely[logprobs["tokens"][i]] >= logprobs["token_logprobs"][i]
            # As token ids, alone and together, and without the most likely tokens.
            ids = server.complete(row["input_ids"], logprobs=3)["choices"][0]["logprobs"]
            assert ids["token_logprobs"] == logprobs["token_logprobs"] and ids["tokens"] == logprobs["tokens"]
            assert server.complete(text, logprobs=None)["choices"][0]["logprobs"] is None
            none = server.complete(text, logprobs=0)["choices"][0]["logprobs"]
            assert none["token_logprobs"] == logprobs["token_logprobs"]
            for likely, own in zip(none["top_logprobs"][1:], none["token_logprobs"][1:]):
                assert list(likely.values()) == [own]
        for prompts in [TEXTS, [row["input_ids"] for row in expected]]:
            together = server.complete(prompts)["choices"]
            assert [choice["index"] for choice in together] == list(range(len(TEXTS)))
            for choice, row in zip(together, expected):
                got = choice["logprobs"]["token_logprobs"]
                assert len(got) == len(row["loss"])
                assert all(abs(a + b) <= 1e-5 for a, b in zip(got[1:], row["loss"][1:]))
        named = server.complete("a b", return_tokens_as_token_ids=True)["choices"][0]["logprobs"]
        [row] = scored(["a b"])
        assert named["tokens"] == [f"token_id:{id}" for id in row["input_ids"]]
        # Tokenised without the tokens of the tokenizer's template.
        status, tokens = server.post("/tokenize", {"prompt": "a b"})
        assert status == 200 and tokens == {
            "count": len(row["input_ids"]),
            "max_model_len": 512,
            "tokens": row["input_ids"],
        }, tokens
        plain = server.post("/tokenize", {"prompt": "a b", "add_special_tokens": False})[1]["tokens"]
        assert len(plain) < len(row["input_ids"]) and " ".join(map(str, plain)) in " ".join(map(str, row["input_ids"]))
        alone = server.complete("a b", add_special_tokens=False)["choices"][0]["logprobs"]
        assert len(alone["tokens"]) == len(plain)
        name = server.complete("a")["model"]
        assert server.complete("a", model=name)["choices"] == server.complete("a", model=MODEL)["choices"]
        status, _, models = server.raw("GET", "/v1/models")
        models = json.loads(models)
        assert status == 200 and models["object"] == "list"
        assert [(m["id"], m["object"], m["max_model_len"]) for m in models["data"]] == [
            (name, "model", 512),
            (MODEL, "model", 512),
        ]
        status, headers, health = server.raw("GET", "/health")
        assert (status, json.loads(health)) == (200, {"status": "ok"})


def the_next_token_is_the_most_likely_one():
    ids = scored([TEXTS[0]])[0]["input_ids"][:-1]
    with serving() as server:
        prompt = server.complete(ids)["choices"][0]
        answer = server.complete(ids, max_tokens=1, temperature=0, seed=1234)
        [choice] = answer["choices"]
        assert answer["usage"] == {"prompt_tokens": len(ids), "completion_tokens": 1, "total_tokens": len(ids) + 1}
        logprobs = choice["logprobs"]
        for name in ["tokens", "token_logprobs", "top_logprobs", "text_offset"]:
            assert len(logprobs[name]) == len(ids) + 1, name
        for a, b in zip(logprobs["token_logprobs"][1:-1], prompt["logprobs"]["token_logprobs"][1:]):
            assert abs(a - b) <= 1e-5
        # Each token of the vocabulary behind the prompt: none is more likely.
        vocabulary = 2048
        candidates = server.complete([ids + [id] for id in range(vocabulary)])["choices"]
        behind = [c["logprobs"]["token_logprobs"][-1] for c in candidates]
        best = max(range(vocabulary), key=behind.__getitem__)
        assert logprobs["tokens"][-1] == candidates[best]["logprobs"]["tokens"][-1]
        assert abs(logprobs["token_logprobs"][-1] - behind[best]) <= 1e-5
        assert [logprobs["token_logprobs"][-1]] == list(logprobs["top_logprobs"][-1].values())
        assert choice["text"] == prompt["text"] + logprobs["tokens"][-1]
        alone = server.complete(ids, max_tokens=1, temperature=0, echo=False)["choices"][0]
        assert alone["text"] == logprobs["tokens"][-1] and alone["logprobs"]["text_offset"] == [0]
        assert alone["logprobs"]["tokens"] == logprobs["tokens"][-1:]
        # A special token ends the text and is not part of it.
        special = {"<s>", "</s>"}
        for text in TEXTS:
            [one] = server.complete(text, max_tokens=1, temperature=0)["choices"]
            is_special = one["logprobs"]["tokens"][-1] in special
            assert one["finish_reason"] == ("stop" if is_special else "length")
            assert one["text"] == text + ("" if is_special else one["logprobs"]["tokens"][-1]), one
        # The prompt and the next token must fit into the context.
        long = (ids * 100)[:512]
        server.complete(long)
        error = server.refused({"prompt": long, "max_tokens": 1, "temperature": 0, "echo": True})
        assert error["code"] == "context_length_exceeded" and "at most 512" in error["message"], error
        assert "512 and 1" in error["message"] and error["param"] == "prompt"
        server.complete(long[:-1], max_tokens=1, temperature=0)


def tokens_stand_where_their_offsets_say():
    texts = [*TEXTS, "😀", "e\u0301\u0302 ﬁn", "  two  blanks ", "\x00\x1b[31m\x7f", "a</s>b <s>"]
    with serving() as server:
        for text in texts:
            for prompt in [text, server.post("/tokenize", {"prompt": text})[1]["tokens"]]:
                [choice] = server.complete(prompt)["choices"]
                whole, logprobs = choice["text"], choice["logprobs"]
                offsets = logprobs["text_offset"]
                assert offsets == sorted(offsets) and offsets[0] == 0 and offsets[-1] <= len(whole)
                if isinstance(prompt, str):
                    assert whole == text
                for i, (token, offset) in enumerate(zip(logprobs["tokens"], offsets)):
                    if token.startswith("bytes:"):
                        # A part of the character that begins there.
                        part = bytes.fromhex(token[6:].replace("\\x", ""))
                        assert part in whole[offset:].encode()[:8], (token, offset, whole)
                        continue
                    if i == 0 and token == "<s>" and isinstance(prompt, str):
                        continue
                    if i + 1 == len(offsets) and token == "</s>" and isinstance(prompt, str):
                        assert offset == len(whole)
                        continue
                    assert whole[offset:].startswith(token) or whole[offset:].startswith(token[1:]), (token, offset, whole)
        split = server.complete("😀")["choices"][0]["logprobs"]["tokens"]
        assert sum(token.startswith("bytes:") for token in split) >= 2, split


def what_cannot_be_answered_is_refused():
    fine = {"prompt": "a", "echo": True, "max_tokens": 0, "logprobs": 1}
    with serving("--max-body", "100kB") as server:
        for more, param, part in [
            ({"max_tokens": 2}, "max_tokens", "got 2"),
            ({"max_tokens": None}, "max_tokens", "got 16"),
            ({"n": 2}, "n", "expected 1, got 2"),
            ({"best_of": 3}, "best_of", "expected 1, got 3"),
            ({"stream": True}, "stream", "does not support"),
            ({"suffix": "z"}, "suffix", "does not support"),
            ({"logit_bias": {"1": 5}}, "logit_bias", "does not support"),
            ({"logprobs": 6}, "logprobs", "at most 5"),
            ({"logprobs": 10**30}, "logprobs", "expected usize"),
            ({"logprobs": "1"}, "logprobs", "invalid type"),
            ({"echo": False}, "echo", "empty"),
            ({"prompt": None}, "prompt", "got none"),
            ({"prompt": []}, "prompt", "at least one prompt"),
            ({"prompt": [[]]}, "prompt", "at least one token"),
            ({"prompt": [[1], []]}, "prompt", "prompt 1: expected at least one token"),
            ({"prompt": [1, 2048]}, "prompt", "token 1: expected an id below the vocabulary of 2048, got 2048"),
            ({"prompt": [1, -1]}, "prompt", "-1"),
            ({"prompt": [1, "a"]}, "prompt", "invalid type"),
            ({"prompt": {"a": 1}}, "prompt", "a text, texts, token ids or lists of token ids"),
            ({"prompt": [1] * 513}, "prompt", "at most 512 tokens"),
            ({"max_tokens": 1}, "temperature", "expected 0"),
        ]:
            error = server.refused({**fine, **more})
            assert error["param"] == param and part in error["message"], (more, error)
            assert error["type"] == "invalid_request_error" and "code" in error
        error = server.refused({**fine, "guided_json": {}})
        assert "unknown field \"guided_json\"" in error["message"]
        error = server.refused({**fine, "model": "other"}, status=404)
        assert error["code"] == "model_not_found" and "got other" in error["message"]
        for body in ["", "{", "[]", "nul", '{"prompt": "a", "prompt": "a"}', b'{"prompt": "\xff"}', '{"prompt": "\\ud800"}',
                     "[" * 50_000, '{"prompt": ' + "[" * 50_000, '{"stop": ' + "[" * 40_000 + "]" * 40_000 + "}"]:
            server.refused(body)
        long = server.refused({**fine, "model": "x" * 50_000}, status=404)["message"]
        assert len(long) < 600
        error = server.refused({**fine, "prompt": "a" * 100_000}, status=413)
        assert "at most 100000 bytes" in error["message"]
        chunked = lambda: iter([b"{" + b" " * 60_000, b" " * 60_000 + b"}"])
        status, _, answer = server.raw("POST", "/v1/completions", chunked(), {"Content-Type": "application/json"})
        assert status == 413, answer
        for headers in [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}]:
            status, _, answer = server.raw("POST", "/v1/completions", json.dumps(fine), headers)
            assert status == 415 and "application/json" in json.loads(answer)["error"]["message"]
        for method, path, status in [("GET", "/v1/completions", 405), ("POST", "/health", 405), ("GET", "/", 404),
                                     ("POST", "/v1/chat/completions", 404), ("GET", "/v1/models/x", 404)]:
            got, _, answer = server.raw(method, path)
            assert got == status and json.loads(answer)["error"]["message"], (method, path, got)
        assert server.refused({"text": "a"}, "/tokenize")["message"].startswith("unknown field")
        assert server.refused({}, "/tokenize")["param"] == "prompt"
        # It still answers.
        server.complete("a")


def stream(table, rows=None):
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue().to_pybytes()


def texts():
    texts = [f"Ann has {i} apples and buys {i % 7} more. " * (1 + i * i % 11) for i in range(60)]
    texts[7], texts[20], texts[21] = "", None, "x"
    return pa.table({"id": [f"d{i}" for i in range(60)], "text": texts, "kind": ["a", "b", None] * 20})


def worked(data, *arguments):
    ended = subprocess.run([PROGRAM, "worker", *CPU, "--model", MODEL, *arguments], input=data, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def record_batches_are_those_of_the_worker():
    for arguments in [
        [],
        ["--by", "union", "--keep", "0.3", "--top", "3", "--keep-text", "--source-field", "kind"],
        ["--scores-only", "--context", "32", "--batch-tokens", "64", "--overlap", "8"],
        ["--base", MODEL, "--by", "excess", "--with-context-field", "kind"],
    ]:
        with serving(*arguments) as server:
            for rows in [None, 7]:
                data = stream(texts(), rows)
                for kind in [ARROW, "application/octet-stream"]:
                    status, headers, answer = server.raw("POST", "/score", data, {"Content-Type": kind})
                    assert status == 200 and headers["Content-Type"] == ARROW, answer
                got, expected = ipc.open_stream(answer), ipc.open_stream(worked(data, *arguments))
                assert got.schema.equals(expected.schema, check_metadata=True), arguments
                got, expected = list(got), list(expected)
                assert len(got) == len(expected) == (1 if rows is None else 9)
                assert all(a.equals(b) for a, b in zip(got, expected)), arguments
            # Requests in OpenAI's form beside it.
            server.complete(TEXTS[0])
            nothing = stream(texts().slice(0, 0))
            status, _, answer = server.raw("POST", "/score", nothing, {"Content-Type": ARROW})
            assert status == 200 and ipc.open_stream(answer).read_all().num_rows == 0


def damaged_streams_are_refused():
    data = stream(texts(), 20)
    with serving() as server:
        for body, part in [
            (b"", "empty body"),
            (b"x" * 100, "Arrow stream"),
            (data[: len(data) // 2], "ends inside a message"),
            (stream(pa.table({"id": ["a"]})), "text"),
            (struct.pack("<II", 0xFFFFFFFF, 0xFFFFFF00), "at most"),
        ]:
            status, _, answer = server.raw("POST", "/score", body, {"Content-Type": ARROW})
            message = json.loads(answer)["error"]["message"]
            assert status == 400 and part in message, (status, message)
        status, _, _ = server.raw("POST", "/score", data, {"Content-Type": "text/plain"})
        assert status == 415
        # Random damage: refused, or answered with as many rows.
        import random

        source = random.Random(1)
        for _ in range(40):
            bad = bytearray(data)
            for _ in range(source.randrange(1, 4)):
                bad[source.randrange(len(bad))] = source.randrange(256)
            status, _, answer = server.raw("POST", "/score", bytes(bad), {"Content-Type": ARROW})
            assert status in (200, 400), (status, answer)
            if status == 200:
                ipc.open_stream(answer).read_all()
        status, _, _ = server.raw("POST", "/score", data, {"Content-Type": ARROW})
        assert status == 200


def many_clients_share_batches():
    ids = [row["input_ids"] for row in scored(TEXTS)]
    with serving("--max-wait-ms", "100") as server:
        expected = [server.complete(tokens)["choices"][0]["logprobs"]["token_logprobs"] for tokens in ids]
        before, wrong = server.metric("rho_mask_blocks_total"), []

        def client(number):
            try:
                connection = server.connection()
                for i in range(8):
                    which = (number + i) % len(ids)
                    body = json.dumps({"prompt": ids[which], "echo": True, "logprobs": 1, "max_tokens": 0})
                    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    got = json.loads(answer.read())["choices"][0]["logprobs"]["token_logprobs"]
                    assert len(got) == len(expected[which])
                    assert all(abs(a - b) <= 1e-5 for a, b in zip(got[1:], expected[which][1:]))
            except Exception as error:
                wrong.append(repr(error))

        clients = [threading.Thread(target=client, args=(i,)) for i in range(32)]
        [thread.start() for thread in clients]
        [thread.join() for thread in clients]
        assert not wrong, wrong
        blocks = server.metric("rho_mask_blocks_total") - before
        assert blocks < 32 * 8 / 2, blocks
        _, headers, text = server.raw("GET", "/metrics")
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert f'rho_mask_requests_total{{route="/v1/completions",status="200"}} {32 * 8 + len(ids)}' in text.decode()
        assert server.metric("rho_mask_open_requests") == 0 and server.metric("rho_mask_queued_tokens") == 0
        # HTTP pipelining: two requests at once on one connection.
        body = json.dumps({"prompt": "a", "echo": True, "max_tokens": 0})
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port)) as plain:
            plain.sendall((head + body).encode() * 2 + b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            got = b"".join(iter(lambda: plain.recv(65536), b""))
            assert got.count(b"HTTP/1.1 200 OK") == 3, got


def more_requests_than_places_are_told_to_come_back():
    with serving("--max-queue", "2", "--max-wait-ms", "3000") as server:
        answers = []

        def client():
            connection = server.connection()
            body = json.dumps({"prompt": "a b c", "echo": True, "max_tokens": 0})
            connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answers.append((answer.status, answer.headers["Retry-After"], json.loads(answer.read())))

        clients = [threading.Thread(target=client) for _ in range(6)]
        [thread.start() for thread in clients]
        [thread.join() for thread in clients]
        assert sorted(status for status, _, _ in answers) == [200, 200, 429, 429, 429, 429]
        for status, after, answer in answers:
            if status == 429:
                assert 1 <= int(after) <= 60 and "--max-queue" in answer["error"]["message"]
                assert answer["error"]["code"] == "rate_limit_exceeded"
        # Places are free again; health and metrics need none.
        server.complete("a")
    with serving("--max-body", "4kB", "--max-queue", "100", "--max-wait-ms", "3000") as server:
        # Bodies of unknown length count as the largest ones: 16 fit.
        open_requests = []
        for _ in range(16):
            plain = socket.create_connection(("127.0.0.1", server.port))
            plain.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
            open_requests.append(plain)
        while server.metric("rho_mask_open_requests") < 16:
            time.sleep(0.05)
        error = server.refused({"prompt": "a"}, status=429)
        assert "bodies" in error["message"]
        [plain.close() for plain in open_requests]
        while server.metric("rho_mask_open_requests") > 0:
            time.sleep(0.05)
        server.complete("a")


def clients_that_vanish_are_not_scored():
    body = json.dumps({"prompt": "a b c d", "echo": True, "max_tokens": 0})
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with serving("--max-wait-ms", "2000") as server:
        server.complete("a")
        before = server.metric("rho_mask_scored_tokens_total")
        for _ in range(5):
            plain = socket.create_connection(("127.0.0.1", server.port))
            plain.sendall((head + body).encode())
            while server.metric("rho_mask_queued_tokens") == 0:
                time.sleep(0.01)
            plain.close()
            while server.metric("rho_mask_open_requests") > 0:
                time.sleep(0.01)
        # Some may be gone before their rows are in the queue.
        while server.metric("rho_mask_queued_tokens") > 0:
            time.sleep(0.05)
        assert 1 <= server.metric("rho_mask_clients_gone_total") <= 5
        assert server.metric("rho_mask_scored_tokens_total") == before
    # A stream of many batches ends with its client.
    with serving() as server:
        many = pa.concat_tables([texts()] * 40)
        data = stream(many, 60)
        plain = socket.create_connection(("127.0.0.1", server.port))
        head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: {ARROW}\r\nContent-Length: {len(data)}\r\n\r\n"
        plain.sendall(head.encode() + data)
        plain.recv(1000)
        plain.close()
        while server.metric("rho_mask_open_requests") > 0 or server.metric("rho_mask_queued_tokens") > 0:
            time.sleep(0.05)
        table = ipc.open_stream(worked(stream(texts()))).read_all()
        tokens = sum(len(ids) for ids in table["input_ids"].to_pylist() if ids is not None)
        assert server.metric("rho_mask_scored_tokens_total") < 40 * tokens


def a_key_is_needed():
    for given in [dict(arguments=["--api-key", "key-1"]), dict(arguments=[], env={"RHO_MASK_API_KEY": "key-1"})]:
        with serving(*given["arguments"], env=given.get("env")) as server:
            fine = {"prompt": "a", "echo": True, "max_tokens": 0}
            for headers in [{}, {"Authorization": "Bearer key-2"}, {"Authorization": "Bearer key-1x"}, {"Authorization": "key-1"}]:
                status, answer = server.post("/v1/completions", fine, **headers)
                assert status == 401 and answer["error"]["type"] == "authentication_error", answer
                assert "key-1" not in json.dumps(answer)
                for path in ["/v1/models", "/metrics", "/unknown"]:
                    status, answer, _ = server.raw("GET", path, headers=headers)
                    assert status == 401 and answer["WWW-Authenticate"] == "Bearer"
            assert server.raw("GET", "/health")[0] == 200
            assert server.post("/v1/completions", fine, Authorization="Bearer key-1")[0] == 200
            assert server.raw("GET", "/v1/models", headers={"Authorization": "Bearer key-1"})[0] == 200
            assert "key-1" not in server.said()
    for key in ["", "two words", "ü"]:
        ended = subprocess.run([PROGRAM, "serve", *CPU, "--model", MODEL, "--api-key", key], capture_output=True, text=True)
        assert ended.returncode == 2 and "--api-key" in ended.stderr


def it_answers_what_is_open_before_it_ends():
    for number in [signal.SIGTERM, signal.SIGINT]:
        with serving("--max-wait-ms", "2000") as server:
            answers = []
            idle = server.connection()
            idle.request("GET", "/health")
            idle.getresponse().read()
            thread = threading.Thread(target=lambda: answers.append(server.complete(TEXTS[0])))
            thread.start()
            while server.metric("rho_mask_queued_tokens") == 0:
                time.sleep(0.01)
            server.process.send_signal(number)
            thread.join()
            assert len(answers[0]["choices"]) == 1
            assert server.process.wait(timeout=60) == 0, server.said()
            assert "all requests are answered" in server.said()
            try:
                server.connection().connect()
                raise AssertionError("it still listens")
            except ConnectionRefusedError:
                pass
    # A second signal ends it at once.
    server = Server("--max-wait-ms", "60000")
    plain = socket.create_connection(("127.0.0.1", server.port))
    body = b'{"prompt": "a", "echo": true, "max_tokens": 0}'
    plain.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                  b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    while server.metric("rho_mask_queued_tokens") == 0:
        time.sleep(0.01)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=10) == 130


def hostile_bytes_break_nothing():
    with serving() as server:
        for data in [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
            b"GET /" + b"a" * 1_000_000,
            b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000,
            b"POST /v1/completions HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            b"POST /v1/completions HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"POST /v1/completions HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
            b"\x00" * 100_000,
        ]:
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
                try:
                    plain.sendall(data)
                    plain.shutdown(socket.SHUT_WR)
                    got = b"".join(iter(lambda: plain.recv(65536), b""))
                except (ConnectionError, BrokenPipeError):
                    got = b""
                assert b" 200 " not in got.split(b"\r\n")[0], (data[:60], got[:200])
        connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
        server.complete("a")
        [connection.close() for connection in connections]
        # Control characters of a client stand in no message of the terminal.
        server.refused({"prompt": "a", "\x1b[31mred": 1})
        assert "\x1b" not in server.said()


def several_models_and_other_options():
    with serving("--model", MODEL, "--combine", "max") as server:
        server.complete("a b", logprobs=0)
        assert server.refused({"prompt": "a", "echo": True, "max_tokens": 0, "logprobs": 1})["param"] == "logprobs"
        error = server.refused({"prompt": "a", "echo": True, "max_tokens": 1, "temperature": 0, "logprobs": 0})
        assert error["param"] == "max_tokens"
    long = TEXTS[0] * 60
    with serving("--overlap", "64", "--context", "128", "--top", "1", "--served-name", "me", "--bos", "never") as server:
        [row] = scored([long], "--overlap", "64", "--context", "128", "--bos", "never")
        same(server.complete(long, model="me")["choices"][0]["logprobs"]["token_logprobs"], row["loss"])
        assert server.refused({"prompt": "a", "model": MODEL}, status=400)["param"] == "max_tokens"
        error = server.refused({"prompt": "a", "model": MODEL, "echo": True, "max_tokens": 0}, status=404)
        assert error["code"] == "model_not_found"
    with serving("--tokens-field", "input_ids") as server:
        table = pa.table({"input_ids": [[1, 5, 6], [1]]})
        status, _, answer = server.raw("POST", "/score", stream(table), {"Content-Type": ARROW})
        assert status == 200 and ipc.open_stream(answer).read_all()["error"].null_count == 2
        server.complete([1, 5, 6])
    with serving(model=None) as server:
        server.complete("a")


def what_cannot_be_served_is_named():
    with serving() as server:
        for arguments, part in [
            (["--port", str(server.port)], "cannot listen"),
            (["--host", "203.0.113.1", "--port", "0"], "cannot listen"),
            (["--host", "localhost"], "--host"),
            (["--port", "70000"], "--port"),
            (["--max-queue", "0"], "--max-queue"),
            (["--max-body", "65GiB"], "--max-body"),
            (["--limit", "3"], "--limit"),
            (["--scope", "corpus"], "--scope"),
            (["--top", "129"], "--top"),
            (["--base", "http://127.0.0.1:9/v1#m"], "models in files"),
        ]:
            ended = subprocess.run([PROGRAM, "serve", *CPU, "--model", MODEL, *arguments], capture_output=True, text=True)
            assert ended.returncode == 2 and part in ended.stderr and ended.stdout == "", (arguments, ended.stderr)


globals()[sys.argv[4]]()

"""llama.cpp as the engine of a server that is the reference: PROGRAM, the demonstration's tokenizer.json, a new folder, the
name of a test. Needs llama-cpp-python with its server, and gguf."""

import http.client
import http.server
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

PROGRAM, TOKENIZER, PLACE = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, CONTEXT = 64, 128, 2, 4, 2, 512
TEXTS = ["What is 3 plus 4? It is 7.", "a", "Zwölf 🙂 \t end\n", "So 3 plus 4 is 7. " * 12]
# f32 in two engines.
ROUNDING = 1e-4


def weights(vocabulary):
    """A Llama with random weights, large enough that tokens differ in probability."""
    random = np.random.default_rng(1)
    draw = lambda *shape: (random.standard_normal(shape) * shape[-1] ** -0.5).astype(np.float32)
    kv = HIDDEN // HEADS * KV_HEADS
    all = {"model.embed_tokens": draw(vocabulary, HIDDEN) * 8, "model.norm": np.ones(HIDDEN, np.float32)}
    for i in range(LAYERS):
        layer = f"model.layers.{i}"
        all |= {
            f"{layer}.input_layernorm": np.ones(HIDDEN, np.float32),
            f"{layer}.post_attention_layernorm": np.ones(HIDDEN, np.float32),
            f"{layer}.self_attn.q_proj": draw(HIDDEN, HIDDEN) * 2,
            f"{layer}.self_attn.k_proj": draw(kv, HIDDEN) * 2,
            f"{layer}.self_attn.v_proj": draw(kv, HIDDEN),
            f"{layer}.self_attn.o_proj": draw(HIDDEN, HIDDEN),
            f"{layer}.mlp.gate_proj": draw(INNER, HIDDEN),
            f"{layer}.mlp.up_proj": draw(INNER, HIDDEN),
            f"{layer}.mlp.down_proj": draw(HIDDEN, INNER),
        }
    return all | {"lm_head": draw(vocabulary, HIDDEN) * 3}


def write_checkpoint(folder, all):
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "vocab_size": len(all["lm_head"]),
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    header, body = {}, b""
    for name, tensor in all.items():
        header[f"{name}.weight"] = {
            "dtype": "F32",
            "shape": tensor.shape,
            "data_offsets": [len(body), len(body) + tensor.nbytes],
        }
        body += tensor.tobytes()
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + body)


def write_gguf(path, all):
    tokenizer = json.loads(TOKENIZER.read_text())
    vocabulary = sorted(tokenizer["model"]["vocab"].items(), key=lambda pair: pair[1])
    special = {token["id"] for token in tokenizer["added_tokens"]}
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(vocabulary))
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([3 if id in special else 1 for _, id in vocabulary])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(True)

    def permuted(tensor, heads):
        # llama.cpp rotates neighbours, Transformers halves.
        return tensor.reshape(heads, 2, len(tensor) // heads // 2, HIDDEN).swapaxes(1, 2).reshape(tensor.shape)

    names = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    outer = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, tensor in all.items():
        if name in outer:
            writer.add_tensor(f"{outer[name]}.weight", tensor)
            continue
        _, _, layer, part = name.split(".", 3)
        if part in ("self_attn.q_proj", "self_attn.k_proj"):
            tensor = permuted(tensor, HEADS if part == "self_attn.q_proj" else KV_HEADS)
        writer.add_tensor(f"blk.{layer}.{names[part]}.weight", np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def prepare():
    PLACE.mkdir(exist_ok=True)
    vocabulary = len(json.loads(TOKENIZER.read_text())["model"]["vocab"])
    all = weights(vocabulary)
    write_checkpoint(PLACE / "checkpoint", all)
    write_gguf(PLACE / "model.gguf", all)
    lines = [json.dumps({"text": text}) for text in TEXTS]
    (PLACE / "a.jsonl").write_text("\n".join(lines) + "\n")


def engine():
    # Keys and values in f32, as in the other engine.
    return llama_cpp.Llama(
        str(PLACE / "model.gguf"), n_ctx=CONTEXT, logits_all=True, type_k=0, type_v=0, n_threads=2, verbose=False
    )


def serve(answer):
    """A server on loopback; `answer` gives a choice for the ids of a prompt and the number of tokens to generate."""
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def send(self, value):
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.send({"data": [{"id": "llama", "max_model_len": CONTEXT}]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompts = body["prompt"]
            prompts = prompts if isinstance(prompts[0], list) else [prompts]
            with lock:
                choices = [answer(ids, body["max_tokens"]) | {"index": i} for i, ids in enumerate(prompts)]
            self.send({"choices": choices})

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"


def score(model, out, *more):
    command = [PROGRAM, "score", PLACE / "a.jsonl", "--model", model, "--out", PLACE / out, "--by", "loss", *more]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)


def on_server(url, out, *more):
    return score(f"{url}#llama", out, "--tokenizer", TOKENIZER, *more)


def losses(out):
    """The losses of all documents, through `convert`."""
    rows = PLACE / f"{out}-rows"
    subprocess.run([PROGRAM, "convert", PLACE / out, "--to", "jsonl", "--out", rows], check=True, capture_output=True)
    lines = [line for file in sorted(rows.glob("*.jsonl")) for line in file.read_text().splitlines()]
    return [json.loads(line)["loss"] for line in lines]


def the_losses_of_llama_cpp_are_those_of_the_checkpoint():
    llama = engine()

    def answer(ids, generated):
        llama.reset()
        llama.eval(ids)
        logits = np.array(llama.scores[: len(ids)], np.float64)
        logprobs = logits - logits.max(-1, keepdims=True)
        logprobs -= np.log(np.exp(logprobs).sum(-1, keepdims=True))
        values = [None] + [float(logprobs[i, id]) for i, id in enumerate(ids[1:])]
        tokens = [f"token_id:{id}" for id in ids]
        for _ in range(generated):
            best = int(logprobs[-1].argmax())
            tokens.append(f"token_id:{best}")
            values.append(float(logprobs[-1, best]))
        return {"logprobs": {"tokens": tokens, "token_logprobs": values}}

    ended = on_server(serve(answer), "served")
    assert ended.returncode == 0, ended.stderr
    direct = score(PLACE / "checkpoint", "direct", "--device", "cpu")
    assert direct.returncode == 0, direct.stderr
    got, expected = losses("served"), losses("direct")
    assert len(got) == len(expected) == len(TEXTS)
    apart = 0.0
    for got, expected in zip(got, expected):
        assert got[0] is None and len(got) == len(expected)
        apart = max(apart, max(abs(a - b) for a, b in zip(got[1:], expected[1:])))
    print(f"largest difference: {apart:.2e} nats")
    assert apart < ROUNDING


def log_probs_of_the_position_after_are_refused():
    """`create_completion` of llama-cpp-python pairs each token of a prompt without BOS with the logits after it."""
    llama = engine()

    def answer(ids, generated):
        llama.reset()
        llama.eval(ids)
        scores = np.array(llama.scores[: len(ids)])
        logprobs = llama.logits_to_logprobs(scores)
        values = [float(of_token[id]) for id, of_token in zip(ids, logprobs)]
        tokens = [f"token_id:{id}" for id in ids]
        for _ in range(generated):
            best = int(logprobs[-1].argmax())
            tokens.append(f"token_id:{best}")
            values.append(float(logprobs[-1, best]))
        return {"logprobs": {"tokens": tokens, "token_logprobs": [None, *values[1:]]}}

    ended = on_server(serve(answer), "shifted", "--bos", "never", "--eos", "never")
    assert ended.returncode == 2 and "the log-probs are of other positions" in ended.stderr, ended.stderr


def completion(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200
    return json.loads(answer.read())


def its_own_server_is_refused():
    """The server of llama-cpp-python takes texts alone. It leaves out BOS, and the log-prob of the token after it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", PLACE / "model.gguf", "--model_alias", "llama"]
    command += ["--logits_all", "true", "--n_ctx", CONTEXT, "--port", port, "--host", "127.0.0.1"]
    with (PLACE / "server.log").open("wb") as log:
        server = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        for _ in range(600):
            assert server.poll() is None, (PLACE / "server.log").read_text()
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        start = time.monotonic()
        ended = on_server(f"http://127.0.0.1:{port}/v1", "own")
        assert ended.returncode == 2 and "Input should be a valid string" in ended.stderr, ended.stderr
        assert "log-probs of prompts of token ids" in ended.stderr, ended.stderr
        # It reports what it refuses with status 500, which is not retried.
        assert time.monotonic() - start < 60
        answer = completion(port, {"prompt": TEXTS[0], "echo": True, "logprobs": 1, "max_tokens": 1})
        given = answer["choices"][0]["logprobs"]
        with_bos, generated = answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]
        assert len(given["tokens"]) == with_bos - 1 + generated
        assert given["token_logprobs"][0] is None
    finally:
        server.terminate()
        server.wait(30)


prepare()
globals()[sys.argv[4]]()

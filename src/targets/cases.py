"""Writes `cases.json`: small tokenizers, texts, their token ids, and the bytes of the text that each token was made
from, found without the offsets of the library: by the tokens' own bytes, or by walking over the text.

Run with tokenizers 0.22.2: python cases.py > cases.json
"""

import json
import random
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

rng = random.Random(2404_07965)
WORDS = "the cat sat on a mat and 3 + 4 = 7 apples, naïve Ümläut façade 東京 is big 🙂 Straße 'quoted' x ½ don't".split()


def text():
    parts = []
    for _ in range(rng.randrange(1, 9)):
        parts.append(rng.choice(WORDS + ["the", "cat", "apples"]))
        parts.append(rng.choice([" ", " ", " ", "  ", "\n", "", "\n\n", " \t", "<s>", " <mask> "]))
    return rng.choice(["", "", " "]) + "".join(parts)


CORPUS = [" ".join(rng.choices(WORDS, k=12)) for _ in range(300)]


def trained(tokenizer, trainer):
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken("<s>", normalized=False, special=True)])
    tokenizer.add_tokens([AddedToken("<mask>", normalized=False, lstrip=True, rstrip=True)])
    return tokenizer


def byte_level(normalizer=None, prefix=False):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return trained(tokenizer, trainers.BpeTrainer(vocab_size=380, initial_alphabet=alphabet, show_progress=False))


def llama(metaspace):
    """BPE with byte fallback; blanks by a normalizer, as in Llama 2, or by a pre-tokenizer."""
    blanks = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        tokenizer.normalizer = blanks
    words = Tokenizer(models.BPE(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    kept = [c for c in CORPUS if c.isascii()] or CORPUS
    ascii_words = [" ".join(word for word in line.split() if word.isascii()) for line in kept]
    words.train_from_iterator(ascii_words, trainers.BpeTrainer(vocab_size=130, special_tokens=["<unk>"], show_progress=False))
    built = json.loads(words.to_str())["model"]
    vocabulary = built["vocab"]
    for token in [f"<0x{byte:02X}>" for byte in range(256)] + ["▁▁"]:
        vocabulary.setdefault(token, len(vocabulary))
    whole = json.loads(tokenizer.to_str())
    whole["model"]["vocab"] = vocabulary
    whole["model"]["merges"] = built["merges"] + [["▁", "▁"]]
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken("<s>", normalized=False, special=True)])
    tokenizer.add_tokens([AddedToken("<mask>", normalized=False, lstrip=True, rstrip=True)])
    return tokenizer


def bert():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return trained(tokenizer, trainers.WordPieceTrainer(vocab_size=150, special_tokens=["[UNK]"], show_progress=False))


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return trained(tokenizer, trainers.UnigramTrainer(vocab_size=150, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False))


BYTES = {}
others = 256
for byte in range(256):
    if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or 0xAE <= byte:
        BYTES[chr(byte)] = byte
    else:
        BYTES[chr(others)] = byte
        others += 1


def held(name, token):
    """The bytes of a token."""
    if name.startswith("byte"):
        return bytes(BYTES[c] for c in token)
    if token.startswith("<0x"):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()


def swallowed(raw, at, content):
    """The end of an added token, and of the blanks that it swallows."""
    strips = content == "<mask>"
    while strips and not raw[at:].startswith(content.encode()):
        assert raw[at : at + 1].isspace(), (raw, at)
        at += 1
    at += len(content)
    while strips and raw[at : at + 1].isspace():
        at += 1
    return at


def by_bytes(name, tokens, text):
    """A blank in front of a part that is not in the text was put there by the tokenizer."""
    raw, at, found, part = text.encode(), 0, [], []

    def put(part, end):
        nonlocal at
        whole = b"".join(held(name, token) for token in part)
        extra = len(whole) - (end - at)
        assert extra in (0, 1) and whole[extra:] == raw[at:end], (name, tokens, text, whole, raw[at:end])
        place = at - extra
        for token in part:
            after = place + len(held(name, token))
            found.append([max(place, at), max(after, at)])
            place = after
        at = end

    for token in tokens:
        if token not in ("<s>", "<mask>"):
            part.append(token)
            continue
        end = raw.index(token.encode(), at)
        if token == "<mask>":
            while end > at and raw[end - 1 : end].isspace():
                end -= 1
        put(part, end)
        part = []
        after = swallowed(raw, at, token)
        found.append([at, after])
        at = after
    put(part, len(raw))
    return found


def shapes(name, character):
    """What a character becomes."""
    if name == "bert":
        kept = unicodedata.normalize("NFD", character)
        return "".join(c for c in kept if unicodedata.category(c) != "Mn").lower()
    return unicodedata.normalize("NFKC", character)


def by_walking(name, tokens, text):
    """The characters of each token, one after the other; white space that no token holds is passed over."""
    at, found = 0, []
    places = [len(text[:i].encode()) for i in range(len(text) + 1)]
    for token in tokens:
        if token in ("<s>", "<mask>"):
            start = text.index(token, at)
            if token == "<mask>":
                while start > at and text[start - 1].isspace():
                    start -= 1
            after = start + len(text[start:]) - len(text[start:].lstrip()) if token == "<mask>" else start
            after += len(token)
            while token == "<mask>" and text[after : after + 1].isspace():
                after += 1
            found.append([places[start], places[after]])
            at = after
            continue
        if token in ("[UNK]", "<unk>"):
            return None
        want = token.removeprefix("##") if name == "bert" else token.replace("▁", " ")
        start = None
        # The blank that the tokenizer puts before a part of the text.
        is_first = not found or found[-1][1] == places[at] and text[: at].endswith(("<s>", "<mask>", "<mask> "))
        if name == "unigram" and want.startswith(" ") and not text[at : at + 1] == " ":
            want = want[1:]
            if not want:
                found.append([places[at], places[at + 1]])
                continue
        while want:
            shape = shapes(name, text[at])
            if text[at] == " " and want.startswith(" "):
                # Of several blanks the last one counts.
                while text[at + 1 : at + 2] == " ":
                    at += 1
            elif text[at].isspace() and not want.startswith(shape):
                at += 1
                continue
            start = at if start is None else start
            if not want.startswith(shape):
                return None
            want = want[len(shape) :]
            at += 1
        found.append([places[start], places[at]])
    return found


TOKENIZERS = {
    "byte_level": byte_level(),
    "byte_level_prefix": byte_level(prefix=True),
    "byte_level_nfc": byte_level(normalizers.NFC()),
    "llama_normalizer": llama(False),
    "llama_metaspace": llama(True),
    "bert": bert(),
    "unigram": unigram(),
}
cases = []
for name, tokenizer in TOKENIZERS.items():
    count = 0
    while count < 40:
        written = text()
        encoding = tokenizer.encode(written, add_special_tokens=False)
        # The library's tokens hold the blanks that an added token swallows.
        tokens = [tokenizer.id_to_token(token) for token in encoding.ids]
        exact = name not in ("bert", "unigram")
        ranges = by_bytes(name, tokens, written) if exact else by_walking(name, tokens, written)
        if ranges is None:
            continue
        count += 1
        cases.append({"tokenizer": name, "text": written, "ids": encoding.ids, "ranges": ranges})
json.dump(
    {"tokenizers": {name: json.loads(tokenizer.to_str()) for name, tokenizer in TOKENIZERS.items()}, "cases": cases},
    sys.stdout,
    ensure_ascii=False,
    separators=(",", ":"),
)

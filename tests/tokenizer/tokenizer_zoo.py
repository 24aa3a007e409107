"""Tokenizers of every kind, trained on assets/text or built by hand."""
import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
POSSESSIVE = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$"
              r"|\s*[\r\n]|\s+(?!\S)|\s")
DEEPSEEK = [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
BYTES = pre_tokenizers.ByteLevel.alphabet()


def byte_level(files, split, size=1500, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if split is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        parts = [pre_tokenizers.Split(Regex(s), "isolated") for s in ([split] if isinstance(split, str) else split)]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            parts + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train(files, trainers.BpeTrainer(vocab_size=size, initial_alphabet=BYTES, show_progress=False,
                                               special_tokens=["<|endoftext|>", "<s>"]))
    return tokenizer


def added(tokenizer):
    tokenizer.add_tokens([
        AddedToken("word", single_word=True), AddedToken("ADDED", normalized=True), AddedToken("strip", lstrip=True, rstrip=True),
        AddedToken("foo", normalized=False), AddedToken("foobar", normalized=False), AddedToken("  ", normalized=False),
        AddedToken("nine lives", normalized=True), AddedToken("me", rstrip=True, normalized=False)])
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, special=True), AddedToken("</s>", special=True)])
    return tokenizer


def metaspace_bpe(files, scheme, split, fallback=True):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=fallback))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>"] + ([f"<0x{b:02X}>" for b in range(256)] if fallback else [])
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    trained.train(files, trainers.BpeTrainer(vocab_size=1200, special_tokens=special, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    tokenizer.model = models.BPE(model["vocab"], [tuple(m) for m in model["merges"]], unk_token="<unk>", fuse_unk=True,
                                 byte_fallback=fallback)
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def llama2(files):
    tokenizer = metaspace_bpe(files, "never", False)
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    return tokenizer


def word_piece(files, lowercase, **options):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, **options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train(files, trainers.WordPieceTrainer(vocab_size=1500, show_progress=False, special_tokens=[
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ids)
    return tokenizer


def characters(normalizer=None, pre_tokenizer=None, decoder=None):
    """Shows what the parts before the model do: every character is a token of its own."""
    parts = [chr(c) for c in range(0x3000) if not 0xD800 <= c < 0xE000]
    parts += [chr(c) for c in list(range(0x3000, 0x3400)) + list(range(0xAC00, 0xAD00)) + list(range(0xF900, 0x10000))]
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    vocab = {token: i for i, token in enumerate(["<unk>"] + bytes_ + parts)}
    # Ends of words count: a merge would hide where the splits are.
    vocab.update({part + "$": len(vocab) + i for i, part in enumerate(parts)})
    tokenizer = Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True, end_of_word_suffix="$"))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder or decoders.BPEDecoder("$")
    return tokenizer


def tokenizers(root, data):
    files = [str(p) for p in sorted((root / "assets" / "text").glob("*.txt"))]
    yield "tiny-lm", Tokenizer.from_file(str(root / "assets" / "tiny-lm" / "tokenizer.json"))
    for name in ("stories260k", "docs-lm", "shakespeare-gpt2", "babyllama-105"):
        path = data / name / "tokenizer.json"
        if path.exists():
            yield name, Tokenizer.from_file(str(path))
    yield "gpt2", added(byte_level(files, None))
    yield "llama3", byte_level(files, LLAMA3, ignore_merges=True)
    nfc = byte_level(files, QWEN2)
    nfc.normalizer = normalizers.NFC()
    yield "qwen2", added(nfc)
    yield "o200k", byte_level(files, O200K)
    yield "possessive", byte_level(files, POSSESSIVE)
    yield "deepseek", byte_level(files, DEEPSEEK)
    for scheme in ("first", "always", "never"):
        yield f"metaspace-{scheme}", added(metaspace_bpe(files, scheme, scheme != "never", scheme != "always"))
    yield "llama2", added(llama2(files))
    yield "bert-uncased", added(word_piece(files, True))
    yield "bert-cased", word_piece(files, False, strip_accents=None)
    yield from part_tokenizers()


def part_tokenizers():
    n, p = normalizers, pre_tokenizers
    for name, part in {
        "nfc": n.NFC(), "nfd": n.NFD(), "nfkc": n.NFKC(), "nfkd": n.NFKD(), "lowercase": n.Lowercase(), "nmt": n.Nmt(),
        "strip": n.Strip(), "strip-left": n.Strip(left=True, right=False), "accents": n.Sequence([n.NFD(), n.StripAccents()]),
        "bert-clean": n.BertNormalizer(), "bert-cased": n.BertNormalizer(lowercase=False, strip_accents=True, handle_chinese_chars=False),
        "replace": n.Sequence([n.Replace(Regex(" {2,}"), " "), n.Replace("a", "<a>"), n.Replace(Regex(r"\d+"), "#"), n.Replace(Regex("x*"), "")]),
        "byte-level": n.ByteLevel(), "prepend": n.Sequence([n.Prepend("_"), n.Strip()]),
    }.items():
        yield f"normalizer-{name}", characters(normalizer=part)
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        yield f"split-{behavior}", characters(pre_tokenizer=p.Split(Regex(r"\s|[.,]+|a"), behavior))
        yield f"split-{behavior}-inverted", characters(pre_tokenizer=p.Split(Regex(r"\w+"), behavior, invert=True))
        yield f"punctuation-{behavior}", characters(pre_tokenizer=p.Punctuation(behavior))
    for name, part in {
        "whitespace": p.Whitespace(), "whitespace-split": p.WhitespaceSplit(), "bert": p.BertPreTokenizer(),
        "digits": p.Digits(), "digits-individual": p.Digits(individual_digits=True), "delimiter": p.CharDelimiterSplit("e"),
        "scripts": p.UnicodeScripts(), "fixed": p.FixedLength(3), "string": p.Split("ab", "isolated"), "empty": p.Split("", "isolated"),
        "byte-level-prefix": p.ByteLevel(add_prefix_space=True), "metaspace": p.Metaspace(prepend_scheme="first"),
        "sequence": p.Sequence([p.WhitespaceSplit(), p.Digits(), p.Metaspace(prepend_scheme="first")]),
    }.items():
        yield f"pre-{name}", characters(pre_tokenizer=part)
    for name, expression in {
        "classes": r"[\w&&[^\d_]]+|[[a-c][x-z]]+|[^a-y&&\p{Ll}]", "scripts": r"\p{Han}+|\p{Hiragana}+|\p{Katakana}+|\p{Latin}+|\p{Arabic}+",
        "posix": r"[[:alpha:]]+|[[:digit:]]+|[[:space:]]+|[[:upper:]]", "long": r"\p{Letter}+|\p{Punctuation}|\p{Nd}+|\p{^L}",
        "lines": r"^.|.$|(?m:a.b)", "hex": r"\h{2}", "words": r"\b\w|\W\B", "interval": r"a{,2}b|\d{2}?|\p{N}{1,3}+", "look": r"(?<=a)b|(?<!x)y|c(?=d)|(?>e+)f",
        "named": r"(?<q>['\"]).*?\k<q>", "bracket": r"[]a]|[a\]b-d]|[\p{P}\s]+|[^\S\r\n]+", "insensitive": r"(?i)hello|(?i:don't)|stra\u00dfe",
    }.items():
        yield f"regex-{name}", characters(pre_tokenizer=p.Split(Regex(expression), "isolated"))


def with_unknown_fields(value, inside=()):
    """The same tokenizer.json with a field that nobody knows in every object that may have one, and the paths of those
    that may not: the file itself, a pattern, a piece of a template. (The package checks a template's map of special tokens
    and its form for pairs too; nobody else reads the latter.)"""
    if inside[-1:] in (("vocab",), ("merges",), ("pair",)):
        return value, []
    if isinstance(value, list):
        parts = [with_unknown_fields(part, inside + (i,)) for i, part in enumerate(value)]
        return [part for part, _ in parts], sum((paths for _, paths in parts), [])
    if not isinstance(value, dict):
        return value, []
    parts = {key: with_unknown_fields(part, inside + (key,)) for key, part in value.items()}
    members, paths = {key: part for key, (part, _) in parts.items()}, sum((paths for _, paths in parts.values()), [])
    if inside == () or inside[-1] == "pattern" or inside[-2:-1] == ("single",):
        return members, [inside] + paths
    return members if inside[-1] == "special_tokens" else {**members, "of another program": {"type": 1}}, paths


SENTENCE_MODELS = {
    "spm-unigram": dict(model_type="unigram", vocab_size=800, user_defined_symbols=["foobar", "<sep>", "a b"]),
    "spm-unigram-bytes": dict(model_type="unigram", vocab_size=900, byte_fallback=True, normalization_rule_name="nmt_nfkc_cf"),
    "spm-bpe": dict(model_type="bpe", vocab_size=900, user_defined_symbols=["foo", "foobar", "<mask>"]),
    "spm-bpe-llama": dict(model_type="bpe", vocab_size=1000, byte_fallback=True, normalization_rule_name="identity",
                          remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True),
    "spm-bpe-suffix": dict(model_type="bpe", vocab_size=700, treat_whitespace_as_suffix=True),
    "spm-unigram-plain": dict(model_type="unigram", vocab_size=700, add_dummy_prefix=False),
}


def sentence_models(root, directory):
    """Trains SentencePiece models; gives name and path of each tokenizer.model."""
    import sentencepiece
    files = ",".join(str(p) for p in sorted((root / "assets" / "text").glob("*.txt")))
    for name, options in SENTENCE_MODELS.items():
        path = directory / f"{name}.model"
        sentencepiece.SentencePieceTrainer.train(input=files, model_prefix=str(path.with_suffix("")), minloglevel=2,
                                                 num_threads=1, hard_vocab_limit=False, **options)
        yield name, path


def converted_unigram(path, scheme):
    """tokenizer.json of a SentencePiece Unigram model, as transformers converts it."""
    from sentencepiece import sentencepiece_model_pb2 as schema
    proto = schema.ModelProto()
    proto.ParseFromString(path.read_bytes())
    vocab = [(piece.piece, piece.score) for piece in proto.pieces]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=proto.trainer_spec.unk_id, byte_fallback=proto.trainer_spec.byte_fallback))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
                                                 normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return tokenizer

"""Texts that break tokenizers."""
import random


def hostile_texts():
    texts = [
        "", " ", "  ", "\n", "\n\n\n", "\t", " \n \n  x", "a", "Hello world", "  leading and trailing  ",
        "\x00", "a\x00b", "\x01\x02\x03\x1f\x7f", "a\x0bb\x0cc\x1cd\x85e\xa0f", "\u200b\u200c\u200d\u2060\ufeff",
        "\ufffd", "\ufffe\uffff", "\U0010ffff", "\u0301", "e\u0301", "\u00e9", "a\u0301\u0302\u0303\u0327b",
        "\u1e9b\u0323", "\u212b\u2126", "\ufb01\ufb06 \u2460 \u00bd \uff21\uff22", "\u0130\u0131 I i \u1e9e \u00df SS ss",
        "\u03a3\u03c3\u03c2 \u039f\u0394\u039f\u03a3", "\u1f88", "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab \u3131",
        "\u65e5\u672c\u8a9e\u3067\u3059\u3002\u30ab\u30bf\u30ab\u30ca\u30fc \u6f22\u5b57", "\u4f60\u597d\uff0c\u4e16\u754c\uff01",
        "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0915\u094d\u0937",
        "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
        "\u202eabc\u202c \u2066x\u2069", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
        "\U0001f1e9\U0001f1ea\U0001f1eb", "\U0001f44d\U0001f3fd", "\u2764\ufe0f \u261d\U0001f3ff", "\U0001f600" * 20,
        "<s>", "</s>", "<unk>", "<s", "s>", "<s></s>", " <s> a </s> ", "[CLS] x [SEP]", "[MASK]", "[UNK", "<|endoftext|>",
        "<|endoftext", "a<|endoftext|>b", "x [MASK] y[MASK]z", "<0x41>", "<0x0A> <0xZZ>", "<unk><unk>", "ADDED added Added",
        "unaddedly added", "wordword word-word _word word", "nine lives", "  strip me  strip\n\tme ", "foofoobar foobar fo",
        "I'm you're we'll they've he'd she's it'S DON'T I'M '\u017f \u2019s", "'s't're've'm'll'd", "''ss 'x",
        "1234567890 3.14159 1,000,000 \u0661\u0662\u0663 \u2167 \u00b2\u00b3 \U0001d7d8 \u4e00\u4e8c\u4e09 12ab34",
        "snake_case camelCase PascalCase kebab-case SCREAMING_CASE", "http://example.com/a?b=c&d=e#f",
        "def f(x):\n    return x**2  # square\n\n\n\tif x:\r\n\t\tpass\r\r\n", "{\"a\": [1, 2.5e-3, null]}",
        "!@#$%^&*()_+-=[]{}|;':\",./<>?`~", "\u00a1\u00bf\u00ab\u00bb\u2018\u2019\u201c\u201d\u2026\u2014\u2013\u3010\u3011", "$+<=>^`|~\u20ac\u00a3\u00d7\u00f7",
        "\u2581", "\u2581\u2581a\u2581b", "a \u2581 b", "\u0120hello \u010a", "\u00c4\u00d6\u00dc\u00e4\u00f6\u00fc\u00df \u00e9\u00e8\u00ea \u0153\u00e6 \u0142\u0111",
        "\u1680x\u180ey\u2000z\u2028a\u2029b\u202fc\u205fd\u3000e", "\u034f\u00ad\u061c\u115f\u3164", "\u0488a\u20ddb\u0903c",
        "\U0001d400\U0001d4d0 \U00010330\U00010331 \U00020000\U0002a700", "\u03d2\u0344\u0f43\u0958", "\uac00\u11a8\u11a9",
        "a" * 300, "ab" * 3000, "aaaaaaaaab" * 500, "\u00e9" * 400, "\u6f22" * 700, " " * 1000, "\n" * 1000, " \n" * 500, "\t" * 300 + "x",
        "x" + " " * 200 + "y", "." * 1000, "-" * 64 + "=" * 80, "0" * 1000, "x" * 99, "x" * 100, "x" * 101, "\u00e9" * 101,
        "a\u0301" * 200, "e" + "\u0301" * 300, "word " * 300, "a b c d e f g h i j k l m n o p q r s t u v w x y z",
        "The quick brown fox jumps over the lazy dog.", "Deutsche \u00dcberm\u00e4\u00dfigkeit, fran\u00e7ais \u00e0 No\u00ebl, espa\u00f1ol ma\u00f1ana",
        "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0401\u0436", "\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u039a\u03cc\u03c3\u03bc\u03b5",
        "M\u1eb7t tr\u1eddi m\u1ecdc", "\u0d28\u0d2e\u0d38\u0d4d\u0d15\u0d3e\u0d30\u0d02 \u0ba8\u0bae\u0bb8\u0bcd\u0b95\u0bbe\u0bb0\u0bae\u0bcd", "\u1780\u17d2\u1798\u17c2\u179a",
        "mixed\u6f22\u5b57and\u304b\u306aand\ud55c\uae00\u0440\u0443\u0441", "\uff76\uff9e\uff77\uff9e \u304c \u304b\u3099", "\u2460\u2461\u3392\u33a1\u3231",
    ]
    return texts + random_texts()


def random_texts():
    """Random code points of several blocks; the same in every run."""
    source = random.Random(20240607)
    blocks = [(0x20, 0x7E), (0, 0x2FF), (0x300, 0x6FF), (0x900, 0x11FF), (0x1E00, 0x218F), (0x2190, 0x2FFF),
              (0x3000, 0x33FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFF), (0x1F000, 0x1FAFF), (0x10000, 0x2FFFF)]
    texts = []
    for number in range(120):
        low, high = blocks[number % len(blocks)]
        points = [source.randint(low, high) if source.random() < 0.8 else source.choice([32, 10, 48, 97, 0x301])
                  for _ in range(source.randint(1, 120))]
        texts.append("".join(chr(p) for p in points if not 0xD800 <= p < 0xE000))
    return texts

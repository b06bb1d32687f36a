"""Writes a tiny vision model pair in GGUF v3 for the real llama-server: shaped like Qwen2.5-VL, some hundred kilobytes.

It is scripted: embeddings are one-hot, attention and feed-forward layers are zero, and the output matrix is a table of which token follows
which, so that at temperature 0 the server says exactly the bytes it was made with, whatever page it is shown. The image still goes through
a (random) vision encoder: decoding, patches and positions are real.
"""
import array
import os
import random
import struct

TYPES = {"u32": (4, "<I"), "i32": (5, "<i"), "f32": (6, "<f"), "bool": (7, "<?")}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<|vision_pad|>"]
TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def text(s):
    data = s.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, v):
    if kind == "str":
        return 8, text(v)
    number, form = TYPES[kind]
    return number, struct.pack(form, v)


def pair(key, kind, v):
    """One key and its value; a list is an array."""
    if not isinstance(v, list):
        number, data = value(kind, v)
        return text(key) + struct.pack("<I", number) + data
    number = value(kind, v[0])[0]
    return text(key) + struct.pack("<IIQ", 9, number, len(v)) + b"".join(value(kind, x)[1] for x in v)


def write(path, keys, tensors):
    """keys: (name, kind, value); tensors: (name, dimensions fastest first, floats)."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys)) + b"".join(pair(*k) for k in keys)
    blobs, offset = [], 0
    for name, dims, floats in tensors:
        blob = array.array("f", floats).tobytes()
        blob += b"\0" * (-len(blob) % 32)
        head += text(name) + struct.pack("<I%dQIQ" % len(dims), len(dims), *dims, 0, offset)
        blobs.append(blob)
        offset += len(blob)
    with open(path, "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32) + b"".join(blobs))


def byte_names():
    """The printable stand-ins that byte-level BPE uses for the 256 bytes."""
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    rest = [b for b in range(256) if b not in plain]
    names = {b: chr(b) for b in plain}
    names.update({b: chr(256 + i) for i, b in enumerate(rest)})
    return [names[b] for b in range(256)]


def pieces(data):
    """The bytes cut into distinct pieces of at least three, so that each has exactly one successor."""
    out, start = [], 0
    while start < len(data):
        end = start + 3
        while end < len(data) and data[start:end] in out:
            end += 1
        if data[start:end] in out:
            out[-1] += data[start:end]
        else:
            out.append(data[start:end])
        start = end
    return out


def make(folder, says):
    """Writes model.gguf and mmproj.gguf; returns their paths."""
    names = byte_names()
    script = pieces(says.encode("ascii"))
    tokens = names + ["".join(names[b] for b in p) for p in script] + SPECIAL
    kinds = [1] * (256 + len(script)) + [3] * len(SPECIAL)
    while len(tokens) % 32:
        kinds.append(5)
        tokens.append("[unused%d]" % len(tokens))
    n = len(tokens)
    first_special = 256 + len(script)
    end_of_turn = first_special + 2
    heads, layers, forward, arch = 4, 2, 128, "qwen2vl"
    per_head = n // heads
    third = per_head // 2 // 3
    keys = [("general.architecture", "str", arch), ("general.name", "str", "tiny"), (arch + ".context_length", "u32", 16384),
            (arch + ".embedding_length", "u32", n), (arch + ".block_count", "u32", layers), (arch + ".feed_forward_length", "u32", forward),
            (arch + ".attention.head_count", "u32", heads), (arch + ".attention.head_count_kv", "u32", 2),
            (arch + ".attention.layer_norm_rms_epsilon", "f32", 1e-6), (arch + ".rope.freq_base", "f32", 1e6),
            (arch + ".rope.dimension_sections", "i32", [per_head // 2 - 2 * third, third, third, 0]),
            ("tokenizer.ggml.model", "str", "gpt2"), ("tokenizer.ggml.pre", "str", "qwen2"), ("tokenizer.ggml.tokens", "str", tokens),
            ("tokenizer.ggml.token_type", "i32", kinds), ("tokenizer.ggml.merges", "str", ["\u0120 \u0120"]),
            ("tokenizer.ggml.bos_token_id", "u32", first_special), ("tokenizer.ggml.eos_token_id", "u32", end_of_turn),
            ("tokenizer.ggml.add_bos_token", "bool", False), ("tokenizer.chat_template", "str", TEMPLATE)]
    embedding = array.array("f", bytes(4 * n * n))
    output = array.array("f", bytes(4 * n * n))
    for i in range(n):
        embedding[i * n + i] = 1.0
    order = [10] + [256 + i for i in range(len(script))] + [end_of_turn]  # after the newline that ends the prompt
    for now, then in zip(order, order[1:]):
        output[then * n + now] = 20.0 / n ** 0.5
    ones, kv = [1.0] * n, per_head * 2
    tensors = [("token_embd.weight", [n, n], embedding), ("output_norm.weight", [n], ones), ("output.weight", [n, n], output)]
    for i in range(layers):
        tensors += [("blk.%d.attn_norm.weight" % i, [n], ones), ("blk.%d.ffn_norm.weight" % i, [n], ones)]
        for part, wide in (("attn_q", n), ("attn_k", kv), ("attn_v", kv)):
            tensors += [("blk.%d.%s.weight" % (i, part), [n, wide], bytes_of(n * wide)), ("blk.%d.%s.bias" % (i, part), [wide], bytes_of(wide))]
        for part, dims in (("attn_output", [n, n]), ("ffn_gate", [n, forward]), ("ffn_up", [n, forward]), ("ffn_down", [forward, n])):
            tensors.append(("blk.%d.%s.weight" % (i, part), dims, bytes_of(dims[0] * dims[1])))
    model, projector = os.path.join(folder, "model.gguf"), os.path.join(folder, "mmproj.gguf")
    write(model, keys, tensors)
    write_projector(projector, n)
    return model, projector


def bytes_of(count):
    return array.array("f", bytes(4 * count))


def write_projector(path, embedding):
    rnd = random.Random(7)

    def noise(count, width):
        return [rnd.gauss(0, width) for _ in range(count)]
    wide, forward, layers, patch = 32, 64, 2, 14
    v = "clip.vision."
    keys = [("general.architecture", "str", "clip"), ("general.type", "str", "mmproj"), ("clip.has_vision_encoder", "bool", True),
            ("clip.projector_type", "str", "qwen2.5vl_merger"), ("clip.use_silu", "bool", True), (v + "image_size", "u32", 560),
            (v + "patch_size", "u32", patch), (v + "embedding_length", "u32", wide), (v + "feed_forward_length", "u32", forward),
            (v + "block_count", "u32", layers), (v + "projection_dim", "u32", embedding), (v + "attention.head_count", "u32", 2),
            (v + "attention.layer_norm_epsilon", "f32", 1e-6), (v + "n_wa_pattern", "u32", 2), (v + "image_mean", "f32", [0.48, 0.46, 0.41]),
            (v + "image_std", "f32", [0.27, 0.26, 0.28])]
    tensors = [("v.patch_embd.weight", [patch, patch, 3, wide], noise(patch * patch * 3 * wide, 0.05)),
               ("v.patch_embd.weight.1", [patch, patch, 3, wide], noise(patch * patch * 3 * wide, 0.05))]
    for i in range(layers):
        shapes = [("attn_q", wide, wide), ("attn_k", wide, wide), ("attn_v", wide, wide), ("attn_out", wide, wide), ("ffn_gate", wide, forward),
                  ("ffn_up", wide, forward), ("ffn_down", forward, wide)]
        for part, a, b in shapes:
            tensors += [("v.blk.%d.%s.weight" % (i, part), [a, b], noise(a * b, 0.1)), ("v.blk.%d.%s.bias" % (i, part), [b], [0.0] * b)]
        tensors += [("v.blk.%d.%s.weight" % (i, norm), [wide], [1.0] * wide) for norm in ("ln1", "ln2")]
    four = wide * 4
    tensors += [("v.post_ln.weight", [wide], [1.0] * wide), ("mm.0.weight", [four, four], noise(four * four, 0.1)), ("mm.0.bias", [four], [0.0] * four),
                ("mm.2.weight", [four, embedding], noise(four * embedding, 0.1)), ("mm.2.bias", [embedding], [0.0] * embedding)]
    write(path, keys, tensors)

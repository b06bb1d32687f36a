"""The helper programs asked by hand, one request a run."""
import json
import os
import subprocess

from service import build_folder


def ask(program, head, payload):
    """The frames that came, and their payloads as one."""
    head = dict(head, type="request", bytes=len(payload))
    out = subprocess.run([os.path.join(build_folder(), program)], input=json.dumps(head).encode() + b"\n" + payload, stdout=subprocess.PIPE, check=True,
                         timeout=120).stdout
    frames, data = [], b""
    while out:
        line, out = out.split(b"\n", 1)
        frames.append(json.loads(line))
        n = frames[-1].get("bytes", 0)
        data, out = data + out[:n], out[n:]
    return frames, data


def transcode(jpeg, **request):
    """The page frame, what page sense found or did, and the new JPEG."""
    frames, data = ask("pageferry-capture", dict(request, verb="transcode"), jpeg)
    assert frames[-1]["type"] == "end" and frames[-1]["ok"] and frames[0]["type"] == "page", frames
    sense = dict(frames[0]["capture"].get("sense", {}))
    for f in frames:
        if f["type"] == "page-end":
            sense.update(f.get("sense", {}))
    return frames[0], sense, data

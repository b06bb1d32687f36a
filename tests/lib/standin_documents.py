"""Claude's Messages as Bedrock takes them, with several pages in a request: all are read, and the first that has a field says it."""
import hashlib
import io
import json
import re
import urllib.parse

import pagereader
from PIL import Image
from standin_models import CLAUDE, ModelsStandin, check_claude, refuse


class DocumentsStandin(ModelsStandin):
    """`most` is how many images it takes; more are refused as the service does. `asked` holds the pages of each request."""

    def __init__(self, folder, most=20, **more):
        super().__init__(folder, **more)
        self.most = most
        self.asked = []

    def _check_request(self, line, body):
        _, path, _ = line.split(" ", 2)
        m = re.fullmatch(r"/model/([A-Za-z0-9._~%-]+)/invoke", path)
        model = urllib.parse.unquote(m[1]) if m else ""
        if model not in CLAUDE:
            refuse("The provided model identifier is invalid.")
        request = json.loads(body)
        images, schema = check_claude(request, CLAUDE[model])
        names = [b["text"] for b in request["messages"][-1]["content"] if b["type"] == "text"][:-1]
        if len(images) > 1 and names != ["Page %d of %d:" % (i + 1, len(images)) for i in range(len(images))]:
            refuse("the pages are not named in their order: %r" % names)
        self.asked.append([hashlib.sha256(i).hexdigest() for i in images])
        if len(images) > self.most:
            refuse("too many images: Input is too long for requested model.")
        return model, {"form": "invoke", "schema": schema, "plain": None, "tier": None, "metadata": None, "text": 1000, "images": images}, images[0]

    def _answer(self, request, jpeg):
        fields, pixels = {}, 0
        for image in request["images"]:
            width, height = Image.open(io.BytesIO(image)).size
            pixels += width * height
            for name, value in pagereader.read_fields(image, request["schema"].get("properties", {})).items():
                if value is not None:
                    fields.setdefault(name, value)
        request["fields"] = fields
        payload, usage = super()._answer(request, jpeg)
        payload["content"][0]["input"] = fields
        payload["usage"]["input_tokens"] = usage["inputTokens"] = pixels // 750 + 250
        return payload, usage

"""Pages that are large for a backend, and a backend that takes no large request."""
import random

from PIL import Image, ImageChops
from service import sample
from standin_aws import Refused


class Limited:
    """Of a stand-in: the test says how many bytes of a body it takes; the pages that came are kept."""

    most_bytes = 10**9

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.pages = []

    def _check_request(self, line, body):
        if len(body) > self.most_bytes:
            raise Refused(413, "RequestEntityTooLargeException", "Request Entity Too Large")
        answer = super()._check_request(line, body)
        self.pages.append(answer[2])
        return answer


def noisy_page(path, name, width, height):
    """Paper under a magnifying glass: a JPEG that does not get small by itself."""
    noise = Image.frombytes("RGB", (500, 500), random.Random(7).randbytes(750000)).resize((width // 2, height // 2), Image.NEAREST)
    page = Image.open(sample(name)).convert("RGB").resize((width, height), Image.BILINEAR)
    ImageChops.blend(page, noise.resize((width, height), Image.BICUBIC), 0.6).save(path, quality=95)

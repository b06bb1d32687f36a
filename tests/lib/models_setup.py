"""A service whose first backend is the stand-in for Bedrock with all its forms."""
import os
import tempfile

from service import Asking, Service
from standin_aws import write_keys
from standin_control import ControlPlane
from standin_models import ModelsStandin

NOVA = "amazon.nova-pro-v1:0"
HAIKU = "au.anthropic.claude-haiku-4-5-20251001-v1:0"
OWN = "arn:aws:bedrock:ap-southeast-2:123456789012:provisioned-model/abcdefghijkl"


class Setup(Asking):
    """A stand-in and a service whose route begins at it; a price for the model."""

    def __init__(self, model, route="sydney", standin=ModelsStandin, capture=None, **backend):
        self.folder = tempfile.TemporaryDirectory(prefix="pageferry-models-", dir="/tmp")
        self.aws = standin(self.folder.name)
        self.aws.control = ControlPlane()
        self.aws.control.add_guardrail(backend.get("Guardrail"), backend.get("GuardrailVersion"))
        self.aws.start()
        secrets, prices = write_keys(self.folder.name, self.aws.credentials), os.path.join(self.folder.name, "prices.conf")
        with open(prices, "w", encoding="ascii") as f:
            f.write("[Model %s]\nRegion=ap-southeast-2\nInput=1.10\nOutput=5.50\nDate=2026-07-01\n" % model)
        self.service = Service({
            "Service": {"Lab": "yes", "Prices": prices}, "Route": {"Backends": route}, "Residency": {"Regions": "sydney melbourne"}, "Capture": capture or {},
            "Credentials aws": {"Source": "file", "File": secrets},
            "Backend sydney": dict({"Kind": "bedrock", "Model": model, "ConnectTo": "127.0.0.1:%d" % self.aws.port, "CAFile": self.aws.ca_file,
                                    "Backoff": "100ms", "BackoffMax": "400ms", "FallbackAfter": "0s", "Timeout": "20s",
                                    "MaxOutputTokens": "65536"}, **backend)})

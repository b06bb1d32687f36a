"""A varlink client over the control socket: JSON objects ended by NUL, descriptors by SCM_RIGHTS."""
import array
import json
import socket


class VarlinkError(Exception):
    def __init__(self, name, parameters):
        super().__init__("%s %s" % (name, parameters))
        self.name, self.parameters = name, parameters


class Varlink:
    def __init__(self, path, timeout=60):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(timeout)
        self.s.connect(path)
        self.rest = b""

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, method, parameters=None, more=False, fd=None):
        message = {"method": method, "parameters": parameters or {}}
        if more:
            message["more"] = True
        data = json.dumps(message).encode() + b"\0"
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))] if fd is not None else []
        sent = self.s.sendmsg([data], rights)
        self.s.sendall(data[sent:])

    def receive(self):
        """The next reply: (parameters, continues)."""
        while b"\0" not in self.rest:
            data = self.s.recv(65536)
            if not data:
                raise ConnectionError("the service closed the connection")
            self.rest += data
        text, self.rest = self.rest.split(b"\0", 1)
        reply = json.loads(text)
        if "error" in reply:
            raise VarlinkError(reply["error"], reply.get("parameters", {}))
        return reply.get("parameters", {}), reply.get("continues", False)

    def call(self, method, parameters=None, fd=None):
        self.send(method, parameters, fd=fd)
        return self.receive()[0]

    def more(self, method, parameters=None, fd=None):
        """Yields every reply of a call with "more"."""
        self.send(method, parameters, more=True, fd=fd)
        while True:
            parameters, continues = self.receive()
            yield parameters
            if not continues:
                return

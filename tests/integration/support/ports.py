"""Free ports that stay ours until the router has bound them."""

import socket


class ReservedPort:
    """Bound, never listening. The router may bind the same port beside it (both say SO_REUSEADDR), nobody else gets it by chance."""

    def __init__(self, host="127.0.0.1"):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((host, 0))
        self.port = self._socket.getsockname()[1]

    def close(self):
        self._socket.close()


def closed_port():
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

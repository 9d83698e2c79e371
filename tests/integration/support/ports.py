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


_closed = []


def closed_port():
    """A port on which nobody listens, and nobody will until this process ends: another test's process cannot get it meanwhile."""
    _closed.append(ReservedPort())
    return _closed[-1].port

"""Free ports that stay reserved until the router has bound them."""

import socket


class ReservedPort:
    """A socket that is bound but never listens. The router may bind the same port (both set SO_REUSEADDR); the kernel does not pick this
    port for another socket."""

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
    """Returns a port on which no process listens. It stays reserved until this process ends, so the process of another test cannot get
    it."""
    _closed.append(ReservedPort())
    return _closed[-1].port

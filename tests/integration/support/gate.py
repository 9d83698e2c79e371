"""A TCP relay between two parties, with faults that a test switches on and off while it runs."""

import asyncio
import socket
import struct
from dataclasses import dataclass

PIECE = 65536  # bytes read at once
GARBAGE = b"\x00\xff\x16\x03 this is not what you expect \r\r\n\n" * 4


@dataclass
class Faults:
    """What the gate does with the bytes that pass. Several faults may be on at once."""
    delay: float = 0.0  # seconds by which each piece is delayed
    trickle: int = 0  # bytes passed every hundredth of a second; 0: all
    swallow: bool = False  # connections are accepted, but their bytes are not read
    cut: bool = False  # each connection is closed with a FIN as soon as bytes arrive
    reset: bool = False  # each connection is reset as soon as bytes arrive
    half_close: bool = False  # toward the client: the stream ends with a FIN, and what arrives later is dropped
    garbage: bool = False  # toward the client: other bytes replace those that arrived


class _Connection:
    def __init__(self, client):
        self.client, self.server = client, None
        self.tasks = []

    def sockets(self):
        return [one for one in (self.client, self.server) if one is not None]


class Gate:
    """Relays `port` to (host, target). A test may change `faults` at any moment; `end_all` ends the connections that are open. The gate
    counts connections and the bytes that it relayed. Its code runs on `background`'s thread."""

    def __init__(self, background, target, host="127.0.0.1", listen="127.0.0.1"):
        self.faults = Faults()
        self.connections = self.open = 0
        self.bytes_to_server = self.bytes_to_client = 0
        self._background, self._target = background, (host, target)
        self._alive = set()
        self._listener = socket.create_server((listen, 0), backlog=512)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self.address = f"{listen}:{self.port}"
        self._accepting = background.start(self._accept())

    def set(self, **faults):
        self.faults = Faults(**faults)

    def clear(self):
        self.faults = Faults()

    def end_all(self, reset=False):
        """Ends every open connection on both sides, with a FIN or a reset; returns how many."""
        return self._background.call(self._end_all, reset)

    def stop(self):
        """Accepts no new connections and ends the open ones."""
        self._background.call(self._stop)

    def _stop(self):
        self._accepting.cancel()
        self._listener.close()
        self._end_all(False)

    def _end_all(self, reset):
        ended = list(self._alive)
        for one in ended:
            self._end(one, reset)
        return len(ended)

    def _end(self, connection, reset):
        if connection not in self._alive:
            return
        self._alive.discard(connection)
        self.open -= 1
        for task in connection.tasks:
            task.cancel()
        for sock in connection.sockets():
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Closed after the cancelled tasks have released it.
            self._background.loop.call_soon(sock.close)

    async def _accept(self):
        while True:
            client, _ = await self._background.loop.sock_accept(self._listener)
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(client)
            self._alive.add(connection)
            self.connections += 1
            self.open += 1
            connection.tasks.append(asyncio.create_task(self._serve(connection)))

    async def _serve(self, connection):
        server = connection.server = socket.socket()
        server.setblocking(False)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._background.loop.sock_connect(server, self._target)
        except OSError:
            self._end(connection, reset=True)
            return
        for way in ((connection.client, server, True), (server, connection.client, False)):
            connection.tasks.append(asyncio.create_task(self._pump(connection, *way)))

    async def _pump(self, connection, source, sink, to_server):
        loop = self._background.loop
        try:
            while True:
                data = await loop.sock_recv(source, PIECE)
                while self.faults.swallow:  # this piece and all later ones are not relayed
                    await asyncio.sleep(0.02)
                faults = self.faults
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    break
                if faults.delay:
                    await asyncio.sleep(faults.delay)
                if faults.cut or faults.reset:
                    self._end(connection, faults.reset)
                    return
                if not to_server and faults.half_close:
                    sink.shutdown(socket.SHUT_WR)
                    break
                if not to_server and faults.garbage:
                    data = GARBAGE
                await self._pass_on(sink, data, faults.trickle)
                if to_server:
                    self.bytes_to_server += len(data)
                else:
                    self.bytes_to_client += len(data)
        except OSError:
            self._end(connection, reset=True)
            return
        others = [task for task in connection.tasks[1:] if task is not asyncio.current_task()]
        if all(task.done() for task in others):
            self._end(connection, reset=False)

    async def _pass_on(self, sink, data, step):
        while step and data:
            await self._background.loop.sock_sendall(sink, data[:step])
            data = data[step:]
            await asyncio.sleep(0.01)
            step = self.faults.trickle
        if data:
            await self._background.loop.sock_sendall(sink, data)

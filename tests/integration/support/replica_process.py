"""The process of support/replica.py: a small keep-alive HTTP/1.1 server that does what the request says.

Each event of a request is one line of the record file. One system call writes it, so a SIGKILL loses no line: `delivered` (the head was
read), `begun` (the application has the whole request), `finished` (the answer was passed to the kernel).

`x-do` selects what to do: words separated by commas, each with an optional `=value`. SIGTERM ends the process gracefully."""

import asyncio
import json
import os
import select
import signal
import socket
import struct
import sys
import time


class Gone(Exception):
    pass


class Server:
    def __init__(self, options):
        self.name, self.sleep = options["name"], options["sleep"]
        self.record = os.open(options["record"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.probe = options.get("probe", "/ready").encode()
        self.concurrent = 0
        self.connections = {}  # by the task that serves each
        self.stopping = False
        self.listener = socket.create_server((options.get("host", "127.0.0.1"), options["port"]), backlog=1024)
        self.listener.setblocking(False)

    def tell(self, event, **fields):
        print(json.dumps({"event": event, **fields}), flush=True)

    def write(self, event, request_id):
        line = json.dumps([event, request_id, time.monotonic(), self.concurrent]) + "\n"
        os.write(self.record, line.encode())

    async def accept(self):
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(self.listener)
            await self.take(sock)

    async def take(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader, writer = await asyncio.open_connection(sock=sock)
        task = asyncio.create_task(self.serve(reader, writer))
        self.connections[task] = Connection(reader, writer)
        task.add_done_callback(lambda done: self.connections.pop(done))

    async def stop(self):
        """Ends as a graceful server does: takes the connections that the kernel has accepted, stops listening, finishes the requests and
        closes each connection."""
        self.accepting.cancel()
        await asyncio.gather(self.accepting, return_exceptions=True)
        self.stopping = True
        while True:
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                break
            await self.take(sock)
        self.listener.close()
        deadline = time.monotonic() + 1.0  # time for the first request of a new connection
        while self.connections:
            for connection in self.connections.values():
                if connection.used or time.monotonic() > deadline:
                    connection.close_if_idle()
            await asyncio.wait(list(self.connections), timeout=0.05)

    async def serve(self, reader, writer):
        try:
            while True:
                connection = self.connections[asyncio.current_task()]
                connection.idle = True
                head = await reader.readuntil(b"\r\n\r\n")
                connection.idle, connection.used = False, True
                if not await Exchange(self, connection, head).run():
                    return
        except (Gone, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


class Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.idle, self.used = True, False

    def close_if_idle(self):
        """Answers what has arrived before the close. The close is one step: what arrives later is answered with a reset, unread."""
        sock = self.writer.get_extra_info("socket")
        if self.idle and not self.reader._buffer and not select.select([sock.fileno()], [], [], 0)[0]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Exchange:
    def __init__(self, server, connection, head):
        self.server, self.reader, self.writer = server, connection.reader, connection.writer
        first, *lines = head[:-4].split(b"\r\n")
        self.method, self.target, _ = first.split(b" ")
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            self.headers[name.strip().lower().decode()] = value.strip().decode()
        self.id = self.headers.get("x-request-id", "")
        words = [word.partition("=") for word in self.headers.get("x-do", "").split(",") if word]
        self.do = {name.strip(): value for name, _, value in words}

    async def run(self):
        """Returns True if another request may follow."""
        if self.target == self.server.probe:
            await self.send(self.head(200, 0))
            return not self.server.stopping
        self.server.concurrent += 1
        self.server.write("delivered", self.id)
        try:
            return await self.act()
        finally:
            self.server.concurrent -= 1

    def head(self, status, length, *more):
        fields = [f"Content-Length: {length}"] if length is not None else []
        fields += [f"x-echo-id: {self.id}", f"x-pod: {self.server.name}", *more]
        if self.server.stopping:
            fields.append("Connection: close")
        return "\r\n".join([f"HTTP/1.1 {status} Fine", *fields, "", ""]).encode()

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    async def body(self):
        if self.headers.get("transfer-encoding"):
            pieces = []
            while size := int(await self.reader.readline(), 16):
                pieces.append((await self.reader.readexactly(size + 2))[:-2])
            await self.reader.readline()
            return b"".join(pieces)
        return await self.reader.readexactly(int(self.headers.get("content-length", "0")))

    async def act(self):
        if "die-after-head" in self.do:
            self.die()
        if "die-mid-body" in self.do:
            await self.reader.readexactly(int(self.headers["content-length"]) // 2)
            self.die()
        if "answer-early" in self.do:
            await self.send(self.head(200, 5, "Connection: close") + b"early")
            self.server.write("finished", self.id)
            self.writer.write_eof()
            await self.compute(2.0)  # a close with unread bytes would send a reset, and the answer would be lost
            return False
        body = await self.body()
        self.server.write("begun", self.id)
        if "die" in self.do:
            self.die()
        await self.compute(float(self.do.get("sleep", self.server.sleep)))
        return await self.answer(body)

    async def compute(self, seconds):
        """Computes like a server that notices when its client disconnects, because it checks between two steps."""
        if not seconds:
            return
        gone = asyncio.create_task(self.wait_for_end())
        try:
            done, _ = await asyncio.wait([gone], timeout=seconds)
        finally:
            gone.cancel()
        if done:
            self.server.write("aborted", self.id)
            raise Gone()

    async def wait_for_end(self):
        while not self.reader.at_eof() and self.reader.exception() is None:
            await asyncio.sleep(0.01)

    async def answer(self, body):
        do = self.do
        if "stall" in do:
            await self.compute(3600)
        if "reset" in do:
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
            return False
        if "garbage" in do:
            await self.send(b"\x00\x01\x02 SSH-2.0-nothing of interest\r\n\r\n")
            return False
        if "trickle-head" in do:
            for byte in self.head(200, len(body)):
                await self.send(bytes([byte]))
                await asyncio.sleep(0.002)
            await self.send(body)
        elif "length-too-long" in do:  # the length is greater than what it sends
            await self.send(self.head(200, len(body) + 10) + body)
            self.server.write("finished", self.id)
            return False
        elif "length-too-short" in do:  # the length is less than what it sends
            await self.send(self.head(200, max(len(body) - 10, 1)) + body)
        elif "two-responses" in do:
            forged = b"HTTP/1.1 200 Fine\r\nContent-Length: 6\r\nx-echo-id: forged\r\n\r\nforged"
            await self.send(self.head(200, len(body)) + body + forged)
        elif "crash-mid-response" in do:
            await self.send(self.head(200, 1000) + b"half")
            self.die()
        elif "stream" in do:
            await self.stream(int(do["stream"]))
        else:
            await self.send(self.head(int(do.get("status", "200")), len(body)) + body)
        self.server.write("finished", self.id)
        return not self.server.stopping

    async def stream(self, pieces):
        await self.send(self.head(200, None, "Transfer-Encoding: chunked"))
        for number in range(pieces):
            await self.send(b"8\r\n%08d\r\n" % number)
            await self.compute(0.01)
        await self.send(b"0\r\n\r\n")


async def obey(server):
    """Runs the commands of the test, one JSON object a line. The end of the pipe ends the process."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        if "sleep" in command:
            server.sleep = command["sleep"]
        if "stop" in command:
            await server.stop()
            return


async def main():
    server = Server(json.loads(sys.argv[1]))
    server.accepting = asyncio.create_task(server.accept())
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    server.tell("listening", port=server.listener.getsockname()[1])
    ends = [asyncio.create_task(obey(server)), asyncio.create_task(terminated.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if terminated.is_set():
        await server.stop()


asyncio.run(main())

"""The process of support/closing_pod.py: one thread that serves one request at a time, as a Python server with one worker does.

`sleep`: seconds of computing. `status`: the status of its answers. `raises`: every n-th request is answered with 500. The server then
closes the connection without notice within `closes_after` seconds, as uvicorn does after an exception. Without `raises`, it closes every
connection in this way if `closes_after` is given ([from, to], drawn at random with `seed`)."""

import asyncio
import json
import random
import socket
import sys
import time

LATE = 0.008


class Server:
    def __init__(self, options):
        self.sleep, self.status = options.get("sleep", 0.0), options.get("status", 200)
        self.raises, self.closes_after = options.get("raises", 0), options.get("closes_after")
        self.random = random.Random(options.get("seed", 1))
        self.requests = self.connections = self.open = self.most = self.errors = 0
        self.late_closes = 0  # closed LATE seconds or more after the answer, because the machine was busy

    async def serve(self, reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        scored = False
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /ready") or head.startswith(b"GET /figures"):
                    figures = {"requests": self.requests, "connections": self.connections, "most_connections": self.most,
                               "errors": self.errors, "late_closes": self.late_closes}
                    await self.answer(writer, 200, json.dumps(figures).encode())
                    continue
                if not scored:
                    scored = True
                    self.connections += 1
                    self.open += 1
                    self.most = max(self.most, self.open)
                lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
                body = await reader.readexactly(int(lengths[0]) if lengths else 0)
                if self.sleep:
                    time.sleep(self.sleep)  # computes: no other request is served meanwhile
                if not await self.score(writer, body):
                    return
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= scored
            writer.close()

    async def score(self, writer, body):
        """Returns False if the connection is to be closed without notice."""
        self.requests += 1
        raises = self.raises and self.requests % self.raises == 0
        status = 500 if raises else self.status
        self.errors += status >= 500
        answered = time.monotonic()
        await self.answer(writer, status, body)
        if self.closes_after is None or (self.raises and not raises):
            return True
        pause = self.random.uniform(*self.closes_after)
        if pause:
            await asyncio.sleep(pause)
        self.late_closes += time.monotonic() - answered >= LATE
        return False

    async def answer(self, writer, status, body):
        writer.write(b"HTTP/1.1 %d Fine\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()


async def main():
    server = Server(json.loads(sys.argv[1]))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=512)
    print(json.dumps({"port": listening.sockets[0].getsockname()[1]}), flush=True)
    await listening.serve_forever()


asyncio.run(main())

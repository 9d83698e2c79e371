#!/usr/bin/env python3
"""A small model server for the demo. It answers like Azure ML's inference server, with the sums of the rows that it receives.

  model_server.py --port 5001 --name blue [--delay-ms 20] [--fail-rate 0.1] [--single]

POST /score {"data": [[1, 2], [3]]} -> {"model": "blue", "sums": [3, 3]}     GET / -> Healthy     GET /swagger.json
POST /score/stream?events=5 -> server-sent events, one every --delay-ms
"""
import argparse
import http.server
import json
import random
import socketserver
import time
import urllib.parse

SWAGGER = {"swagger": "2.0", "info": {"title": "sums", "version": "1"}, "paths": {"/score": {"post": {"consumes": ["application/json"]}}}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    options = None

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path == "/":
            self.answer(200, "Healthy", "text/plain")
        elif path == "/swagger.json":
            self.answer(200, json.dumps(SWAGGER))
        elif path == "/score":
            self.score()
        else:
            self.answer(404, "404 Not Found", "text/plain")

    def do_POST(self):
        target = urllib.parse.urlsplit(self.path)
        if target.path == "/score/stream":
            self.stream(int(urllib.parse.parse_qs(target.query).get("events", ["5"])[0]))
        elif target.path == "/score":
            self.score()
        else:
            self.body()
            self.answer(405 if target.path in ("/", "/swagger.json") else 404, "not here", "text/plain")

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def score(self):
        body = self.body()
        time.sleep(self.options.delay_ms / 1000)
        if random.random() < self.options.fail_rate:
            return self.answer(500, "the scoring script failed", "text/plain", {"x-ms-run-function-failed": "True"})
        try:
            sums = [sum(row) for row in json.loads(body or b'{"data": []}')["data"]]
        except (ValueError, KeyError, TypeError):
            return self.answer(400, 'expected {"data": [[numbers], …]}', "text/plain")
        self.answer(200, json.dumps({"model": self.options.name, "sums": sums}), headers={"x-ms-run-function-failed": "False"})

    def stream(self, events):
        self.body()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(min(events, 1000)):
            event = f"data: event {number} of {self.options.name}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            time.sleep(self.options.delay_ms / 1000)
        self.wfile.write(b"0\r\n\r\n")

    def answer(self, status, text, kind="application/json", headers=None):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Concurrent(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=5001)
    parser.add_argument("--name", default="model")
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--fail-rate", type=float, default=0)
    parser.add_argument("--single", action="store_true", help="one connection at a time")
    Handler.options = parser.parse_args()
    server = http.server.HTTPServer if Handler.options.single else Concurrent
    server(("127.0.0.1", Handler.options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()

"""A model server at 127.0.0.1:5001. It answers at once, or with `?stream` in pieces for six seconds."""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Pod(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(b"ready")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.endswith("?stream"):
            self.stream()
        else:
            self.answer(b"scored")

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(30):
            self.wfile.write(b"1\r\n.\r\n")
            time.sleep(0.2)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", 5001), Pod).serve_forever()

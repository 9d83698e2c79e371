"""Reads HTTP/1.1 precisely from a blocking socket, for the raw client and the scripted pod."""


class Gone(Exception):
    """The peer closed or reset the connection."""


class Headers(list):
    """Pairs (name, value) in the order of arrival. Comparisons of names ignore case."""

    def all(self, name):
        return [value for own, value in self if own.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        assert len(values) < 2, f"{name} was sent {len(values)} times: {values}"
        return values[0] if values else default

    def __contains__(self, name):
        return bool(self.all(name))


class Reader:
    """Reads from a socket: lines, an exact number of bytes, or whatever has arrived. Raises Gone at the end of the stream."""

    def __init__(self, sock):
        self.socket = sock
        self.buffer = b""

    def fill(self):
        try:
            got = self.socket.recv(65536)
        except TimeoutError:
            raise
        except OSError as error:
            raise Gone(str(error)) from error
        if not got:
            raise Gone("end of stream")
        self.buffer += got

    def line(self):
        while b"\r\n" not in self.buffer:
            assert len(self.buffer) < 1 << 20, "the line is longer than 1 MB"
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def exactly(self, size):
        if size > 1 << 20:  # large: avoids copies
            pieces, left = [self.buffer[:size]], size - len(self.buffer[:size])
            self.buffer = self.buffer[size:]
            while left > 0:
                self.fill()
                piece, self.buffer = self.buffer[:left], self.buffer[left:]
                left -= len(piece)
                pieces.append(piece)
            return b"".join(pieces)
        while len(self.buffer) < size:
            self.fill()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def some(self, at_most):
        if not self.buffer:
            self.fill()
        data, self.buffer = self.buffer[:at_most], self.buffer[at_most:]
        return data

    def until_close(self):
        try:
            while True:
                self.fill()
        except Gone:
            data, self.buffer = self.buffer, b""
            return data

    def fields(self):
        headers = Headers()
        while line := self.line():
            name, colon, value = line.decode("latin-1").partition(":")
            assert colon and name == name.strip(), f"not a field: {line!r}"
            headers.append((name, value.strip(" \t")))
        return headers

    def chunk(self):
        """Returns the data of one chunk; b"" after the last one (the trailers follow)."""
        size = int(self.line().split(b";")[0], 16)
        if size == 0:
            return b""
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data


def encode_head(first_line, headers):
    text = first_line + "\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
    return text.encode("latin-1")


def encode_chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)

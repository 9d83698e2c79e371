"""Threads that accept connections, and how to stop them."""

import socket
import threading


def accept_each(listener, taken):
    """Starts a thread that accepts connections until the listener ends, and passes each socket to `taken`. Returns the thread."""
    def accept():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            taken(sock)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    return thread


def refuse_connections(listener):
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def stop_listening(listener, accepting):
    """Stops accepting connections; `accepting` is the thread that accepted them. The kernel gives the number of a closed listener to the
    next one. A thread that is still in `accept` would then answer for a server of another test, so in this case the listener stays open."""
    refuse_connections(listener)
    if accepting is not threading.current_thread():
        accepting.join(1)
    if not accepting.is_alive():
        listener.close()

"""Threads that accept connections, and their end."""

import socket
import threading


def accept_each(listener, taken):
    """Starts a thread that accepts until the listener ends, and hands each socket to `taken`; the thread."""
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
    """No connection is accepted any more; `accepting` is the thread that did. The number of a closed listener is given to the next
    one, so while a thread may still be within `accept`, it would answer for a server of another test: such a listener stays open."""
    refuse_connections(listener)
    if accepting is not threading.current_thread():
        accepting.join(1)
    if not accepting.is_alive():
        listener.close()

"""Ending a thread that accepts connections."""

import socket
import threading


def stop_listening(listener, accepting):
    """No connection is accepted any more; `accepting` is the thread that did. The number of a closed listener is given to the next
    one, so while a thread may still be within `accept`, it would answer for a server of another test: such a listener stays open."""
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    if accepting is not threading.current_thread():
        accepting.join(1)
    if not accepting.is_alive():
        listener.close()

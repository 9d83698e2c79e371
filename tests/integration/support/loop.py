"""An event loop on a thread of its own, for gates and for load: it serves hundreds of connections while test code blocks."""

import asyncio
import threading


class BackgroundLoop:
    """`run` passes a coroutine to the loop and waits for its result; `start` does not wait. `stop` cancels the tasks that still run."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine, timeout=60):
        return self.start(coroutine).result(timeout)

    def call(self, function, *args):
        """Runs a plain function on the loop and waits for it."""
        async def wrapped():
            return function(*args)
        return self.run(wrapped())

    def stop(self):
        async def cancel_all():
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.run(cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

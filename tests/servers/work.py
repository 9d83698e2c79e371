"""The model of each recipe: it adds numbers, and on request it takes time, raises, or sends the numbers one after another."""

import json
import os
import time


def _note(request, what):
    """Appends a line to the test's file: which request, which event, when. The tests read from it what happens in the server's
    processes."""
    if "NOTES" in os.environ:
        with open(os.environ["NOTES"], "a", encoding="utf-8") as notes:
            notes.write(json.dumps({"id": request.get("id"), "what": what, "at": time.monotonic()}) + "\n")


def work(request):
    _note(request, "begun")
    if request.get("raise"):
        raise RuntimeError("the model failed")
    time.sleep(request.get("sleep", 0))  # like a model that computes without holding Python's lock
    _note(request, "done")
    return {"sum": sum(request["data"])}


def pieces(request):
    for number in request["data"]:
        yield f"{number}\n"
        time.sleep(request.get("sleep", 0))

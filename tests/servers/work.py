"""What every recipe's model does: adds numbers, and on request takes its time, raises, or tells one number after the other."""

import json
import os
import time


def _note(request, what):
    """A line in the test's file: which request, what happened, when. How the tests see what goes on in the server's processes."""
    if "NOTES" in os.environ:
        with open(os.environ["NOTES"], "a", encoding="utf-8") as notes:
            notes.write(json.dumps({"id": request.get("id"), "what": what, "at": time.monotonic()}) + "\n")


def work(request):
    _note(request, "begun")
    if request.get("raise"):
        raise RuntimeError("the model failed")
    time.sleep(request.get("sleep", 0))  # as a model that computes outside of Python's lock
    _note(request, "done")
    return {"sum": sum(request["data"])}


def pieces(request):
    for number in request["data"]:
        yield f"{number}\n"
        time.sleep(request.get("sleep", 0))

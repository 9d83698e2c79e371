"""`def`, not `async def`: the model blocks, so it runs on a thread, where it delays neither other requests nor /ready."""

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from work import pieces, work

app = FastAPI()


@app.get("/ready")
async def ready():
    return {}


@app.post("/score")
def score(request: dict):
    if request.get("stream"):
        return StreamingResponse(pieces(request), media_type="text/plain")
    return work(request)

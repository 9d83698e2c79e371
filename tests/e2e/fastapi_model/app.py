"""A model server as an Azure ML user writes one with FastAPI: a request that the model cannot process raises an unhandled exception."""

from fastapi import FastAPI, Request

app = FastAPI()


@app.get("/ready")
async def ready():
    return {}


@app.post("/score")
async def score(request: Request):
    body = await request.body()
    if body.startswith(b"raise"):
        raise RuntimeError("the model failed")
    return {"bytes": len(body)}

from flask import Flask, Response, request
from work import pieces, work

app = Flask(__name__)


@app.get("/ready")
def ready():
    return {}


@app.post("/score")
def score():
    asked = request.get_json()
    if asked.get("stream"):
        return Response(pieces(asked), mimetype="text/plain")
    return work(asked)

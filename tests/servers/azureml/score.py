"""An Azure ML scoring script."""

import json

from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse
from work import pieces, work


def init():
    pass  # a real script loads its model here


@rawhttp
def run(request):
    asked = json.loads(request.get_data())
    if asked.get("stream"):
        return AMLResponse(pieces(asked), 200, {"Content-Type": "text/plain"})
    return AMLResponse(work(asked), 200, json_str=True)

"""The scoring script, as an Azure ML user writes one: `init` loads the model, `run` answers a request."""

import json
import os

import joblib
from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "ridge.joblib"))


def refuse(status, message):
    return AMLResponse({"message": message}, status, {"x-script": "refused"}, json_str=True)


@rawhttp
def run(request):
    wanted = request.headers.get("x-script-status")
    if wanted == "raise":
        raise RuntimeError("the script failed")
    if wanted:
        return refuse(int(wanted), f"the script says {wanted}")
    if request.mimetype != "application/json":
        return refuse(415, "JSON is expected")
    try:
        data = json.loads(request.get_data())["data"]
        prediction = model.predict(data).tolist()
    except (ValueError, KeyError, TypeError) as error:
        return refuse(400, str(error))
    return AMLResponse(prediction, 200, {"x-script": "scored", "x-worker": str(os.getpid())}, json_str=True)

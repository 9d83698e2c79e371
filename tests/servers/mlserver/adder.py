"""An MLServer runtime for a custom model. The request is a JSON text in a tensor of strings."""

import json

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from work import pieces, work


class Adder(MLModel):
    async def load(self) -> bool:
        return True

    def _asked(self, payload):
        return json.loads(StringCodec.decode_input(payload.inputs[0])[0])

    def _answer(self, text):
        return InferenceResponse(model_name=self.name, outputs=[StringCodec.encode_output("answer", [text])])

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        return self._answer(json.dumps(work(self._asked(payload))))

    async def predict_stream(self, payloads):
        async for payload in payloads:
            for piece in pieces(self._asked(payload)):
                yield self._answer(piece)

"""A server with OpenAI's API: LitServe with its OpenAISpec. The text of the last message is the request of the other recipes."""

import json
import os

import litserve
from work import pieces, work


class Adder(litserve.LitAPI):
    def setup(self, device):
        pass  # a real server loads its model here, once in each worker

    def predict(self, request):
        asked = json.loads(request.messages[-1].content)
        if request.stream:
            yield from pieces(asked)
        else:
            yield json.dumps(work(asked))


if __name__ == "__main__":
    server = litserve.LitServer(Adder(spec=litserve.OpenAISpec()), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False)

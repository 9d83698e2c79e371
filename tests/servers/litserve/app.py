import os

import litserve
from work import work


class Adder(litserve.LitAPI):
    def setup(self, device):
        pass  # a real server loads its model here, once in each worker

    def predict(self, request):
        return work(request)


if __name__ == "__main__":
    server = litserve.LitServer(Adder(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False)

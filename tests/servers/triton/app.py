"""Triton as nvidia-pytriton packages it, with a model in Python. The request is a JSON text in a tensor of strings."""

import json
import os

import numpy
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig
from work import work


def infer(requests):
    answers = [json.dumps(work(json.loads(request.data["request"][0]))) for request in requests]
    return [{"answer": numpy.array([answer.encode()])} for answer in answers]


if __name__ == "__main__":
    ports = {"http_port": int(os.environ["PORT"]), "grpc_port": int(os.environ["SECOND_PORT"]), "metrics_port": int(os.environ["THIRD_PORT"])}
    with Triton(config=TritonConfig(http_address="127.0.0.1", **ports)) as triton:
        triton.bind("adder", infer, [Tensor(name="request", dtype=bytes, shape=(1,))], [Tensor(name="answer", dtype=bytes, shape=(1,))],
                    config=ModelConfig(batching=False))
        triton.serve()

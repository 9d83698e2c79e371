from collections.abc import Generator

import bentoml
from work import pieces, work


@bentoml.service(workers=1, traffic={"timeout": 60})
class Adder:
    @bentoml.api(route="/score")
    def score(self, request: dict) -> dict:
        return work(request)

    @bentoml.api(route="/stream")
    def stream(self, request: dict) -> Generator[str, None, None]:
        yield from pieces(request)

"""Reads Prometheus' text format."""

import re

_SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Metrics:
    def __init__(self, text):
        self.text = text
        self.samples = []
        for line in text.splitlines():
            if not line or line.startswith("#"):
                continue
            match = _SAMPLE.match(line)
            assert match, f"not a sample: {line!r}"
            self.samples.append((match[1], dict(_LABEL.findall(match[2] or "")), float(match[3])))

    def all(self, name, **labels):
        """Returns every (labels, value) of this name that has these labels. The prefix may be left out."""
        names = (name, "inference_router_" + name)
        return [(own, value) for sample, own, value in self.samples
                if sample in names and labels.items() <= own.items()]

    def value(self, name, **labels):
        """Returns the sum over all samples that match; 0 if there is none."""
        return sum(value for _, value in self.all(name, **labels))

    def names(self):
        return {name for name, _, _ in self.samples}

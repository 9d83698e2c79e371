"""What is measured: one case for each row of the table."""
import dataclasses

WORKLOADS = ("post-1k", "post-100k", "answer-1m", "sse", "handshakes", "latency", "idle", "endpoints", "syscalls", "moments", "placement")
TRANSPORTS = ("plaintext", "tls")
FEW, MANY, VERY_MANY = 32, 256, 2000  # connections
MANY_ENDPOINTS = 200  # proxies.ENDPOINTS_MAX: each has replicas of its own
SCRAPED_ENDPOINTS = 1000


@dataclasses.dataclass(frozen=True)
class Case:
    kind: str               # closed: as many requests as possible; latency: at a fixed rate; handshakes; idle; syscalls; start; scrape
    workload: str
    transport: str
    connections: int
    endpoints: int = 1
    logging: str = "off"
    certificate: str = "ecdsa"
    resume: bool = False

    def __str__(self):
        words = [self.workload, self.transport]
        if self.kind == "handshakes":
            return f"{self.certificate}, {'resumed' if self.resume else 'full'}"
        if self.kind in ("latency", "start", "scrape"):
            words.insert(0, self.kind)
        if self.kind != "idle":
            words.append(str(self.connections))
        if self.endpoints > 1:
            words.append(f"{self.endpoints} endpoints")
        if self.logging == "on":
            words.append("logs")
        return ", ".join(words)

    def facts(self):
        facts = {"workload": self.workload, "transport": self.transport, "connections": self.connections, "endpoints": self.endpoints,
                 "logging": self.logging}
        if self.kind == "handshakes":
            facts |= {"certificate": self.certificate, "resumed": self.resume}
        return facts


def closed(workload, transport, connections, **more):
    return Case("closed", workload, transport, connections, **more)


def quick_cases(transports):
    cases = [closed("post-1k", transport, FEW, logging=logging) for transport in transports for logging in ("off", "on")]
    cases += [Case("latency", "post-1k", "tls", FEW)] if "tls" in transports else []
    cases += [Case("handshakes", "handshakes", "tls", 16, resume=resume) for resume in (False, True)]
    return cases + [Case("idle", "idle", "tls", 0)]


def all_cases(transports):
    cases = []
    for transport in transports:
        cases += [closed("post-1k", transport, connections) for connections in (FEW, MANY, VERY_MANY)]
        cases += [closed("post-1k", transport, FEW, logging="on")]
        cases += [closed("post-100k", transport, FEW), closed("answer-1m", transport, FEW), closed("sse", transport, MANY)]
        cases += [Case("latency", "post-1k", transport, FEW)]
        cases += [Case("syscalls", "post-1k", transport, FEW)]
    cases += [closed("post-1k", "plaintext", FEW, endpoints=MANY_ENDPOINTS)] if "plaintext" in transports else []
    if "tls" in transports:
        cases += [Case("handshakes", "handshakes", "tls", 16, certificate=certificate, resume=resume)
                  for certificate in ("ecdsa", "rsa") for resume in (False, True)]
        cases += [Case("idle", "idle", "tls", 0)]
    cases += [Case("start", "moments", "plaintext", 0, endpoints=MANY_ENDPOINTS),
              Case("scrape", "post-1k", "plaintext", FEW, endpoints=SCRAPED_ENDPOINTS)]
    return cases


def chosen(case, workloads):
    """Whether the row is one of `workloads`: a row belongs to the workload of its kind, otherwise to its own."""
    if case.kind in ("start", "scrape"):
        return "moments" in workloads
    special = {"latency", "syscalls", "idle", "handshakes"} & {case.kind} or ({"endpoints"} if case.endpoints > 1 else {case.workload})
    return bool(special & set(workloads))

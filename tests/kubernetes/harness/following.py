"""Routers that follow the API server, and how tests read their status."""

import time
from dataclasses import dataclass

from support.reliability import access_lines_of, was_dispatched
from support.wait import eventually

from .resources import ENDPOINT


def start_following(start, account, folder, api_port=None, wait=True, **kubernetes):
    """Starts a router as in a Pod: with the service account's folder, and the API server's address in the environment. `api_port`: that of
    a gate in front of the API server."""
    files = account.write_directory(folder / "serviceaccount")
    environment = {**account.environment, **({"KUBERNETES_SERVICE_PORT": str(api_port)} if api_port else {})}
    router = start(wait=False, environment=environment,
                   kubernetes={"service_account_folder": str(files), **kubernetes})
    if wait:
        router.wait_ready(replicas=False)
    return router


def deployment_of(router, name="blue", endpoint=ENDPOINT):
    """Returns the deployment as /status has it; None if it is missing."""
    for one in router.status()["endpoints"]:
        if one["name"] == endpoint:
            return next((each for each in one["deployments"] if each["name"] == name), None)
    return None


def wait_served(router, replicas, name="blue", endpoint=ENDPOINT, patience=30):
    """Waits until the router knows exactly so many replicas, all ready, and the keys."""
    def served():
        one = deployment_of(router, name, endpoint)
        return one and len(one["replicas"]) == one["replicas_ready"] == replicas and result_of(router, endpoint)["reason"] == "Accepted"
    eventually(served, f"{replicas} ready replicas of {endpoint}/{name}", patience)


class NotTold(dict):
    """The result of a resource that the router has not seen yet: false, and all its fields are empty."""
    def __missing__(self, field):
        return ""


def result_of(router, name, namespace=None):
    """Returns the result of the resource with that name; NotTold as long as there is none."""
    return next((one for one in router.status()["kubernetes"]["resources"]
                 if one["name"] == name and namespace in (None, one["namespace"])), NotTold())


def age(router):
    """Returns the seconds since the router last knew that its objects were up to date."""
    [(_, seconds)] = router.metrics().all("discovery_age_seconds")
    return seconds


@dataclass(frozen=True)
class Kill:
    """A SIGKILL of a Pod's process, between two times of time.monotonic()."""
    address: str
    begun: float
    ended: float

    def met(self, outcome, line):
        """Whether that request was at the Pod at that time, so that no router could have saved it."""
        at_that_time = outcome.begun <= self.ended and outcome.ended >= self.begun
        return at_that_time and line["Replica"] == self.address and was_dispatched(outcome, line)


def kill(pod):
    begun = time.monotonic()
    pod.kill()
    return Kill(pod.address, begun, time.monotonic())


def failures(routers, outcomes, kills=()):
    """Returns the requests that failed, in two lists: those that a killed Pod had, and those that are lost."""
    failed = [one for one in outcomes if not one.served]
    lines = {}
    for router in routers if failed else []:
        mine = [one for one in outcomes if _port_of(one, routers) == router.port]
        lines.update(access_lines_of(router, mine))
    taken = [one for one in failed if any(each.met(one, lines[one.id]) for each in kills)]
    lost = [(one.id, one.status, one.why, one.broken, lines[one.id]) for one in failed if one not in taken]
    return taken, lost


def _port_of(outcome, routers):
    """The load's clients are distributed over the routers in order."""
    return routers[outcome.client % len(routers)].port

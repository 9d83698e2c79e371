"""Fixtures of the tests of a fleet with a Lease."""

import pytest
from fleet.harness.load import Balancer, FleetLoad
from fleet.harness.pods import Pods

from . import resources
from .lease_fleet import LeaseFleet, rights

POD_PORT = 5001


def score_path(endpoint):
    return f"/api/v1/endpoint/{endpoint}/score"


def slice_of(number, pods, name="blue"):
    service = f"model-{number}-{name}"
    return resources.endpoint_slice(service, service, [one.host for one in pods], port=POD_PORT)


class Scene:
    """What one test has started. Each served namespace has the endpoint `model-N`, N from 0, whose key is the usual one."""

    MORE_RIGHTS = ()  # of the routers, in their own namespace

    def __init__(self, folder, background, cluster, namespace):
        self._folder, self.background, self.cluster, self.namespace = folder, background, cluster, namespace
        self.served, self.fleets, self.pods, self._addresses = [], [], [], []
        self.account = cluster.service_account(namespace, "router", rules=[*rights(), *self.MORE_RIGHTS])

    def serve(self, count=1, slots=1, sleep=0.0, names=("blue",), **settings):
        """Makes a namespace with one endpoint and so many counting pods, which all its deployments name. Returns the pods."""
        number = len(self.served)
        name, endpoint = f"{self.namespace}-{number}", f"model-{number}"
        self.cluster.create_namespace(name)
        self.served.append(name)
        self.account.allow(name, resources.rights())
        pods = self.counting(count, slots, sleep)
        objects = [resources.secret(f"{endpoint}-keys"),
                   resources.online_endpoint(endpoint, traffic={one: 100 // len(names) for one in names})]
        for one in names:
            deployment = resources.online_deployment(one, endpoint, slots, router={"max_queue_length": 5000}, **settings)
            objects += [deployment, slice_of(number, pods, one)]
        self.cluster.apply(objects, name)
        return pods

    def set_pods(self, number, pods, name="blue"):
        """From now on these pods, of those that `serve` has started, are the deployment's."""
        slice = slice_of(number, pods, name)
        path = resources.path("endpointslices", self.served[number], slice["metadata"]["name"])
        self.cluster.api.patch(path, {"endpoints": slice["endpoints"]})

    def counting(self, count, slots=1, sleep=0.0):
        network = self.cluster.network
        addresses = [network.take() for _ in range(count)]
        self._addresses += addresses
        self.pods.append(Pods(count, slots, sleep, prefix=f"pods-{len(self.pods)}", at=[(one, POD_PORT) for one in addresses],
                              command=network.command()))
        return self.pods[-1]

    def fleet(self, size=3, **options):
        folder = self._folder / f"fleet-{len(self.fleets)}"
        self.fleets.append(fleet := LeaseFleet.__new__(LeaseFleet))  # its end is checked even if its start fails
        fleet.__init__(self, folder, size, **options)
        return fleet

    def end(self):
        try:
            for pods in self.pods:
                pods.assert_never_over()
        finally:
            try:
                for fleet in self.fleets:
                    fleet.stop()
            finally:
                for pods in self.pods:
                    pods.stop()
                for one in self._addresses:
                    self.cluster.network.release(one)
                for one in self.served:
                    self.cluster.delete_namespace(one)


@pytest.fixture
def scene(tmp_path, background, cluster, namespace, kinds):
    scene = Scene(tmp_path, background, cluster, namespace)
    yield scene
    cluster.start_api_server()  # the test may have stopped it
    scene.end()


@pytest.fixture
def fleet_load(background):
    """Starts load over the routers that are ready: `fleet_load(fleet, rate, clients, plan=…)`. It ends with the test. `balancer`: that of
    other load over the same routers."""
    running, balancers = [], []

    def make(routers, rate, clients, balancer=None, **options):
        if balancer is None:
            balancer = Balancer(background, list(routers))
            balancers.append(balancer)
        running.append(FleetLoad(background, balancer, rate, clients, **options))
        running[-1].balancer = balancer
        return running[-1]

    yield make
    for one in running:
        one.stop()
    for one in balancers:
        one.stop()

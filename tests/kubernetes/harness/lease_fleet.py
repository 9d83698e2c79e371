"""Routers that share slots by a Lease. Each runs as in a Pod of its own: an address in a network namespace of its own, a Pod uid, the
rights of one ServiceAccount, and the API server behind a relay of its own."""

import base64
import itertools
import json
import time
import uuid

import requests
from fleet.harness.fleet import new_key, seen_by
from fleet.harness.member import Member
from support.gate import Gate
from support.wait import eventually

from .api import ApiError

NAME = "inference-router-fleet"  # of the Lease and the Secret
ROSTER = "inference-router.dev/roster"
PORT = 9903
PATIENCE = 40.0
GRACE_S = 1  # seconds that a request may go on after the coverage has ended: short tests
COVERAGE, ABORT_WAIT = 3.0, 0.25
W = (COVERAGE + GRACE_S + ABORT_WAIT) * 1.02 + 0.25  # seconds; docs/decisions/0068
NAMED = {"metadata": {"name": NAME}}


def rights(name=NAME):
    """Returns the rights that a router of a fleet needs in its own namespace: those of the chart, and no more."""
    return [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [name],
             "verbs": ["get", "update", "list", "watch"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["update", "list", "watch"]}]


class _PodPort:
    """A port of the Pod's own network namespace, in which nobody else listens."""
    port = PORT

    def close(self):
        pass


class PodMember(Member):
    """`host`: the Pod's address. A restart is another process of the same Pod. `api`: its way to the API server, a Gate."""

    def __init__(self, folder, name, network, account, api, settings):
        self.host, self.api, self._network = network.take_own(), api, network
        self.environment = {"KUBERNETES_SERVICE_HOST": network.host, "KUBERNETES_SERVICE_PORT": str(api.port), "POD_NAME": name,
                            "POD_IP": self.host, "POD_UID": str(uuid.uuid4())}
        self.blocked = set()
        kubernetes = {"service_account_folder": str(account.write_directory(folder / "serviceaccount")), **settings.pop("kubernetes")}
        fleet = {"listen": f"0.0.0.0:{PORT}", "advertise": f"${{POD_IP}}:{PORT}", "pod_uid": "${POD_UID}",
                 "running_grace_s": GRACE_S, **settings.pop("fleet")}
        super().__init__(folder, name=name, reserved=_PodPort(), fleet=fleet, kubernetes=kubernetes,
                         admin={"address": "0.0.0.0:9902", "unsafe": True}, **settings)
        self.admin_port = 9902
        self.address = f"{self.host}:{PORT}"

    def _command(self):
        name_and_run = ["unshare", "--uts", "sh", "-c", 'hostname "$POD_NAME"; exec "$@"', "sh"]
        return self._network.command_own(self.host, *name_and_run, *super()._command())

    def _start(self, environment, wait):
        super()._start({**self.environment, **(environment or {})}, wait)

    @property
    def id(self):
        return self.fleet()["id"]

    # the network
    def block(self, *others):
        """Packets to these routers, or addresses, are lost from now on; those from them still arrive."""
        for address in (getattr(one, "host", one) for one in others):
            self._network.block(self.host, address)
            self.blocked.add(address)

    def unblock(self, *others):
        """Without arguments: all."""
        for address in [getattr(one, "host", one) for one in others] or list(self.blocked):
            self._network.unblock(self.host, address)
            self.blocked.discard(address)

    def lose_node(self):
        """The process ends, and no packet leaves its network any more: nothing proves its end."""
        self._network.take_down(self.host)
        self.end_at_once()

    def cut_api(self, reset=False):
        """Nothing passes to the API server and back; connections stay open, as if all packets were lost. `reset`: they are reset, now and
        whenever one is used."""
        self.api.set(swallow=not reset, reset=reset)
        if reset:
            self.api.end_all(reset=True)

    def heal_api(self):
        self.api.clear()
        self.api.end_all(reset=True)

    def check_end(self):
        try:
            super().check_end()
        finally:
            self._release()

    def _release(self):
        if self.host in self._network.own:
            self._network.release_own(self.host)


class LeaseFleet:
    """The routers of one Lease, which serve the scene's namespaces. The Lease and the Secret are in the namespace of its account. Options:
    `keys`: the Secret's data; {}: as the chart renders it, so that the routers have to make a key. `api`: whether they reach the API server
    at first. `fleet`, `kubernetes`: more of these sections of router.yaml; all else are further settings of it."""

    def __init__(self, scene, folder, size=3, wait=True, **options):
        self._folder, self._background, self._cluster, self._account = folder, scene.background, scene.cluster, scene.account
        self.namespaces = scene.served
        self._api_faults = {} if options.pop("api", True) else {"swallow": True}  # those of all gates
        self._fleet = options.pop("fleet", {})
        self._kubernetes = {"namespaces": [{"name": one} for one in self.namespaces], "allow_custom_endpoint_slices": True,
                            **options.pop("kubernetes", {})}
        keys = options.pop("keys", None)
        self._settings = options
        self._numbers = itertools.count()
        self._lease_path = f"/apis/coordination.k8s.io/v1/namespaces/{self._account.namespace}/leases"
        self._secret_path = f"/api/v1/namespaces/{self._account.namespace}/secrets"
        self.routers, self._gates = [], []
        self._cluster.api.post(self._secret_path, {**NAMED, "data": key_data(new_key()) if keys is None else keys})
        self.add(size, wait)

    # the routers
    def add(self, count=1, wait=True):
        """Starts so many routers more; returns them."""
        added = [self._start_one() for _ in range(count)]
        if wait:
            self.wait_agreed()
        return added

    def _start_one(self):
        number = next(self._numbers)
        folder = self._folder / f"router-{number}"
        folder.mkdir(parents=True)
        network = self._cluster.network
        gate = Gate(self._background, self._cluster.port, listen=network.host)
        gate.set(**self._api_faults)
        self._gates.append(gate)
        self.routers.append(PodMember(folder, f"router-{number}", network, self._account, gate,
                                      {"kubernetes": self._kubernetes, "fleet": self._fleet, **self._settings}))
        return self.routers[-1]

    def retire(self, router):
        """Checks how a router has ended that is not started again, and forgets it."""
        router.check_end()
        router.api.stop()
        self._gates.remove(router.api)
        self.routers.remove(router)

    def cut_api(self, reset=False):
        """No router reaches the API server from now on, new ones neither."""
        self._api_faults = {"reset": True} if reset else {"swallow": True}
        for one in self.routers:
            one.cut_api(reset)

    def heal_api(self):
        self._api_faults = {}
        for one in self.routers:
            one.heal_api()

    def __getitem__(self, number):
        return self.routers[number]

    def __iter__(self):
        return iter(self.routers)

    def running(self):
        return [one for one in self.routers if one.is_running()]

    def others(self, *these):
        return [one for one in self.running() if one not in these]

    def by_id(self, id):
        return next((one for one in self.running() if seen_by(one).get("id") == id), None)

    def home(self, namespace=None):
        """The router that is home of the namespace, of the first one without one."""
        namespace = namespace or self.namespaces[0]
        found = {seen_by(one).get("homes", {}).get(namespace) for one in self.running()}
        assert len(found) == 1, found
        return self.by_id(found.pop())

    # waiting
    def wait_agreed(self, routers=None, patience=PATIENCE):
        """Waits until these routers are ready, serving members and the only ones, and agree on homes that have taken over. Returns how
        long that took."""
        begun = time.monotonic()
        routers = routers or self.running()
        try:
            eventually(lambda: self.agreed(routers), "the routers to agree", patience, pause=0.05)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *(describe(one) for one in self.routers), self.lease_text()])) from error
        return time.monotonic() - begun

    def agreed(self, routers):
        if not all(one.is_ready() for one in routers):
            return False
        seen = [seen_by(one) for one in routers]
        ids = {one.get("id") for one in seen}
        return (all({member["id"] for member in one["members"] if member["state"] == "serving"} == ids for one in seen)
                and len({json.dumps(one["homes"], sort_keys=True) for one in seen}) == 1
                and len({one["epoch"] for one in seen}) == 1
                and set(self.namespaces) <= set(seen[0]["homes"]) and set(seen[0]["homes"].values()) <= ids
                and all(one["takeovers"] == 0 and not one["unreachable"] for one in seen))

    # Lease and Secret
    def lease(self):
        """None if there is none."""
        try:
            return self._cluster.api.get(f"{self._lease_path}/{NAME}")
        except ApiError as error:
            assert error.status == 404, error
            return None

    def lease_text(self):
        try:
            return json.dumps(self.lease())
        except (ApiError, requests.RequestException) as error:
            return repr(error)

    def roster(self):
        return roster_in(self.lease())

    def delete_lease(self):
        self._cluster.api.delete(f"{self._lease_path}/{NAME}")

    def restore_old_lease(self):
        """Puts back a roster that is two epochs older."""
        roster = self.roster()
        roster["epoch"]["number"] -= 2
        self._cluster.api.patch(f"{self._lease_path}/{NAME}", {"metadata": {"annotations": {ROSTER: json.dumps(roster)}}})

    def make_lease_again(self):
        """The same content in a new object, as from a backup. Routers that have a majority may be faster."""
        lease = self.lease()
        self.delete_lease()
        again = {"metadata": {"name": NAME, "annotations": lease["metadata"]["annotations"]}, "spec": lease["spec"]}
        return self._cluster.api.post(self._lease_path, again)

    def secret(self):
        return self._cluster.api.get(f"{self._secret_path}/{NAME}")

    def patch_secret(self, data):
        return self._cluster.api.patch(f"{self._secret_path}/{NAME}", {"data": data})

    # the end
    def stop(self):
        """Ends all routers at once, and asserts a clean end of each."""
        failures = []

        def do(step, router):
            try:
                step(router)
            except (AssertionError, OSError) as error:
                failures.append(f"{router.name}: {error}")

        for one in self.running():
            one.thaw()
            one.unblock()
            one.heal_api()
            one.drain()
        for one in self.routers:
            do(PodMember.check_end, one)
            one.kill()
        for gate in self._gates:
            gate.stop()
        assert not failures, "\n".join(failures)


def roster_in(lease):
    return json.loads(lease["metadata"]["annotations"][ROSTER])


def key_data(*keys):
    """`data` of the Secret with one key or two."""
    return {"keys": base64.b64encode("".join(f"{one}\n" for one in keys).encode()).decode()}


def describe(router):
    said = f"{router.name} at {router.host}"
    if not router.is_running():
        return f"{said} ended with {router.process.returncode}"
    try:
        return f"{said}: {router.ready()} {json.dumps(router.fleet())}\n{router.log[-2500:]}"
    except (OSError, AssertionError, KeyError) as error:
        return f"{said}: {error!r}\n{router.log[-2500:]}"

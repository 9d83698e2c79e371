"""What the router relies on when it scales a Deployment: the rights, the conflicts, and who owns spec.replicas."""

import pytest
from harness.api import ApiError
from harness.following import wait_served
from harness.objects import deployment
from harness.resources import MODEL
from harness.scaling import HPAS, MANAGER, autoscaler, scale_rights, scaled_for
from support.wait import eventually


def reached(pods):
    """Returns how many of the Pods have got a request."""
    return sum(any(one.kind == "begun" for one in pod.events()) for pod in pods)


def test_kubectl_scale_makes_real_pods_serve(scaled, follow):
    model = scaled(1)
    router = follow()
    wait_served(router, 1)
    model.scale(3)
    pods = model.ready(3)
    wait_served(router, 3)
    for _ in range(60):
        assert router.score(b"x").status == 200
    assert reached(pods) == 3
    model.scale(0)
    model.ready(0)
    wait_served(router, 0)
    model.scale(1)
    wait_served(router, 1)
    assert router.score(b"x").status == 200


def test_who_changes_the_number_is_its_only_owner(scaled, cluster, namespace):
    """So an entry of our manager says that the number is ours, also to a new leader."""
    model = scaled(1)
    model.write(2)
    assert model.owners() == {(MANAGER, "Update")}
    model.scale(3)
    assert model.owners() == {("kubectl", "Update")}
    model.write(2)
    cluster.apply(scaled_for(deployment(MODEL, 2)), namespace)
    assert model.owners() == {(MANAGER, "Update"), ("kubectl", "Apply")}, "the same number is applied"
    cluster.apply(scaled_for(deployment(MODEL, 4)), namespace)
    assert model.owners() == {("kubectl", "Apply")}
    model.write(4)
    assert model.owners() == {("kubectl", "Apply")}, "nothing was changed"
    model.write(1)
    assert model.owners() == {(MANAGER, "Update")}


def test_a_write_with_an_older_version_is_a_conflict(scaled):
    model = scaled(1)
    version = model.read()["metadata"]["resourceVersion"]
    stored = model.write(2)
    assert stored["spec"] == {"replicas": 2}
    assert stored["metadata"]["resourceVersion"] != version
    with pytest.raises(ApiError) as refused:
        model.write(3, version=version)
    assert refused.value.status == 409
    assert model.replicas == 2


def test_the_rights_suffice_and_allow_no_more(scaled, cluster, namespace):
    model = scaled(1)
    api = cluster.service_account(namespace, "scaler", rules=scale_rights()).api
    version = api.get(model.path)["metadata"]["resourceVersion"]
    model.write(2, api=api)
    assert api.items(HPAS.format(namespace)) == []
    assert version != api.get(f"{model.path}/scale")["metadata"]["resourceVersion"]
    for refused in (lambda: api.patch(model.path, {"spec": {"paused": True}}), lambda: api.items(model.path.rsplit("/", 1)[0]),
                    lambda: api.delete(model.path)):
        with pytest.raises(ApiError) as error:
            refused()
        assert error.value.status == 403


def test_without_the_right_the_refusal_has_the_words_that_the_router_looks_for(scaled, cluster, namespace):
    model = scaled(1)
    account = cluster.service_account(namespace, "reader", rules=[{**one, "verbs": ["get"]} for one in scale_rights()])
    with pytest.raises(ApiError) as refused:
        model.write(2, api=account.api)
    assert refused.value.status == 403
    assert " cannot update resource " in refused.value.message


def test_an_autoscaler_of_kubernetes_scales_without_metrics_too(scaled, cluster, namespace):
    model = scaled(1)
    cluster.apply(autoscaler(MODEL, minimum=3), namespace)
    model.ready(3)
    assert model.owners() == {("kube-controller-manager", "Update")}
    [other] = cluster.api.items(HPAS.format(namespace))
    assert other["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": MODEL}
    cluster.api.delete(HPAS.format(namespace) + "/other")
    eventually(lambda: not cluster.api.items(HPAS.format(namespace)), "the HorizontalPodAutoscaler to go")
    model.scale(1)
    model.ready(1)

"""Host names that belong to the router itself."""

from support.settings import deployment, endpoint


def test_a_host_name_of_the_certificate_swallowed_other_endpoints_without_a_word(pod, start, authority):
    pair = authority.issue("models.test", "iris.test", "*.wild.test", "127.0.0.1")
    tls = {"certificates": [pair.as_dict()]}
    claims = lambda *names: endpoint(deployment([], "blue"), name="claims", router={"hostnames": list(names)})  # noqa: E731
    nameless = endpoint(deployment([], "blue"), name="nameless")
    told = "is a name of the router itself"

    router = start(claims("models.test", "a.wild.test", "other.test"), nameless, tls=tls)
    [line] = [each for each in router.log.splitlines() if told in each]
    assert "claims.yml:" in line and "models.test" in line and "/api/v1/endpoint/nameless/score" in line

    router = start(claims("models.test"), endpoint(deployment([], "blue"), name="named", router={"hostnames": ["iris.test"]}), tls=tls)
    assert told not in router.log  # the usual case: each endpoint has a name of its own

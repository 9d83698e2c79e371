"""Bad files through the binary: `--check` prints each mistake as `file:line: key.path: …` to standard error, prints nothing else, and exits
with 1. In the texts below, a comment `#!` marks each line that has a mistake, with the path that the message must name."""

import os
import re
import resource
import socket
import subprocess

import pytest
from support.router import BINARY, SANITIZED

GOOD = {
    "router.yaml": "listeners:\n  - port: 8080\nendpoints: [endpoint.yml, blue*.yml]\n",
    "endpoint.yml": "name: my-endpoint\nauth_mode: key\ntraffic: {blue: 100}\nrouter: {keys: {primary_file: key}}\n",
    "blue.yml": "name: blue\nendpoint_name: my-endpoint\nrouter: {replicas: ['10.0.0.1:5001']}\n",
    "key": "a-key-of-this-test\n",
}
MEMORY_MAX = 512 << 20  # bytes of address space: no hostile file may make the router allocate more
FOLDER = None  # in place of a text: a folder of this name
SECRET = "not-to-be-shown"

ENDPOINT = "name: my-endpoint\nrouter: {keys: {primary_file: key}}\n"
BLUE = "name: blue\nendpoint_name: my-endpoint\n"
LISTENERS = "listeners:\n  - port: 8080\n"
ROUTER = "endpoints: [endpoint.yml, blue*.yml]\n" + LISTENERS


def endpoint(text):
    return {"endpoint.yml": ENDPOINT + text}


def extended(text):
    """An endpoint with this text beside its keys, below `router`."""
    return {"endpoint.yml": "name: my-endpoint\nrouter:\n  keys: {primary_file: key}\n" + text}


def blue(text):
    return {"blue.yml": BLUE + "router: {replicas: ['10.0.0.1:5001']}\n" + text}


def blue_router(text):
    return {"blue.yml": BLUE + "router:\n" + text}


def router(text):
    return {"router.yaml": ROUTER + text}


BAD = {
    # wrong type
    "traffic is a number": endpoint("traffic: 100  #! traffic\n"),
    "traffic is a list": endpoint("traffic: [blue]  #! traffic\n"),
    "a share is a word": endpoint("traffic:\n  blue: all  #! traffic.blue\n"),
    "a share is a list": endpoint("traffic:\n  blue: [100]  #! traffic.blue\n"),
    "tags are a text": endpoint("tags: mine  #! tags\n"),
    "a tag is a list": endpoint("tags:\n  team: [risk]  #! tags.team\n"),
    "the name is a map": {"endpoint.yml": "name: {is: my-endpoint}  #! name\nauth_mode: key\n"},
    "the name is null": {"endpoint.yml": "auth_mode: key\nname:  #! name\n"},
    "the extension is a text": {"endpoint.yml": "name: my-endpoint\nrouter: on  #! router\n"},
    "keys are a list": {"endpoint.yml": "name: my-endpoint\nrouter:\n  keys: [key]  #! router.keys\n"},
    "forward_authorization is a number": extended("  forward_authorization: 2  #! router.forward_authorization\n"),
    "host names are a text": extended("  hostnames: models.example.com  #! router.hostnames\n"),
    "a host name is a map": extended("  hostnames:\n    - a.example\n    - {b: c}  #! router.hostnames[1]\n"),
    "request_settings are a list": blue("request_settings: []  #! request_settings\n"),
    "a timeout is a word": blue("request_settings:\n  request_timeout_ms: soon  #! request_settings.request_timeout_ms\n"),
    "a timeout is a fraction": blue("request_settings:\n  request_timeout_ms: 1.5  #! request_settings.request_timeout_ms\n"),
    "replicas are a text": blue_router("  replicas: 10.0.0.1:5001  #! router.replicas\n"),
    "a replica is a map": blue_router("  replicas:\n    - host: 10.0.0.1  #! router.replicas[0]\n"),
    "drain_on_abort is a word": blue_router("  drain_on_abort: perhaps  #! router.drain_on_abort\n"),
    "resources are a text": blue("resources: many  #! resources\n"),
    "app_insights_enabled is a list": blue("app_insights_enabled: []  #! app_insights_enabled\n"),
    "a probe is a number": blue("readiness_probe: 5  #! readiness_probe\n"),
    "listeners are a number": {"router.yaml": "endpoints: [endpoint.yml, blue.yml]\nlisteners: 8080  #! listeners\n"},
    "a listener is a number": {"router.yaml": "endpoints: [endpoint.yml, blue.yml]\nlisteners:\n  - 8080  #! listeners[0]\n"},
    "limits are a list": router("limits: []  #! limits\n"),
    "the endpoints are a text": {"router.yaml": LISTENERS + "endpoints: endpoint.yml  #! endpoints\n"},
    "a document is a list": {"endpoint.yml": "- name: my-endpoint  #!\n"},
    "a document is a word": {"endpoint.yml": "my-endpoint  #!\n"},
    # unknown keys
    "an unknown key of an endpoint": endpoint("rubbish: 1  #! rubbish\n"),
    "an unknown key of a deployment": blue("rubbish: 1  #! rubbish\n"),
    "an unknown key of router.yaml": router("rubbish: 1  #! rubbish\n"),
    "a key with another case": endpoint("Traffic: {blue: 100}  #! Traffic\n"),
    "an unknown key of request_settings": blue("request_settings:\n  timeout: 5  #! request_settings.timeout\n"),
    "an unknown key of a probe": blue("readiness_probe:\n  path: /  #! readiness_probe.path\n"),
    "an unknown key of a route": blue("environment:\n  inference_config:\n    scoring_route:\n      scheme: https"
                                      "  #! environment.inference_config.scoring_route.scheme\n"),
    "an unknown key of the extension": blue_router("  pods: 1  #! router.pods\n"),
    "an unknown key of keys": {"endpoint.yml": "name: my-endpoint\nrouter:\n  keys:\n    primary_file: key\n    third_file: key"
                                              "  #! router.keys.third_file\n"},
    "an unknown key of a listener": {"router.yaml": ROUTER + "    ports: 1  #! listeners[0].ports\n"},
    "an unknown key of limits": router("limits:\n  max_requests: 1  #! limits.max_requests\n"),
    "a schema of something else": {"blue.yml": "$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json  #! $schema\n"
                                               + BLUE},
    # keys that occur twice
    "a key twice": endpoint("auth_mode: key\nauth_mode: key  #! auth_mode\n"),
    "a nested key twice": blue("request_settings:\n  max_queue_wait_ms: 1\n  max_queue_wait_ms: 1"
                               "  #! request_settings.max_queue_wait_ms\n"),
    "a key of a list's map twice": {"router.yaml": ROUTER + "    port: 8080  #! listeners[0].port\n"},
    "a share twice": endpoint("traffic:\n  blue: 50\n  Blue: 50  #! traffic.Blue\n"),
    "two documents for one endpoint": {"endpoint.yml": ENDPOINT + "---\nauth_mode: key\nname: My-Endpoint  #! name\n"},
    "two documents for one deployment": {"blue.yml": BLUE + "model: m\n---\nendpoint_name: my-endpoint\nname: Blue  #! name\n"},
    "two files for one deployment": {"blue-too.yml": "name: blue\nendpoint_name: my-endpoint\n",
                                     "blue.yml": "name: blue  #! name\nendpoint_name: my-endpoint\n"},
    "a second document in router.yaml": {"router.yaml": ROUTER + "---\nthreads: 1  #!\n"},
    "a replica twice": blue_router("  replicas:\n    - pod:5001\n    - POD  #! router.replicas[1]\n"),
    "two listeners on one port": {"router.yaml": ROUTER + "  - port: 8080  #! listeners[1].port\n"},
    "a host name of two endpoints": extended("  hostnames: [a.example]\n") | {
        "blue.yml": BLUE + "---\nname: other\nauth_mode: key\nrouter:\n  keys: {primary_file: key}\n  hostnames:\n"
                    "    - A.example  #! router.hostnames[0]\n"},
    # ranges
    "traffic sums to 90": endpoint("traffic:  #! traffic\n  blue: 90\n"),
    "traffic sums to 110": {"endpoint.yml": ENDPOINT + "traffic:  #! traffic\n  blue: 100\n  green: 10\n",
                            "blue.yml": BLUE + "---\nname: green\nendpoint_name: my-endpoint\n"},
    "a share over 100": endpoint("traffic:\n  blue: 101  #! traffic.blue\n"),
    "a share below 0": endpoint("traffic:\n  blue: -1  #! traffic.blue\n"),
    "a mirror over 50": endpoint("mirror_traffic:\n  blue: 51  #! mirror_traffic.blue\n"),
    "two mirrors": {"endpoint.yml": ENDPOINT + "mirror_traffic:  #! mirror_traffic\n  blue: 1\n  green: 1\n",
                    "blue.yml": BLUE + "---\nname: green\nendpoint_name: my-endpoint\n"},
    "no patience": blue("request_settings:\n  request_timeout_ms: 0  #! request_settings.request_timeout_ms\n"),
    "more than a day": blue("request_settings:\n  max_queue_wait_ms: 86400001  #! request_settings.max_queue_wait_ms\n"),
    "more than 64 bits": blue("request_settings:\n  max_queue_wait_ms: 99999999999999999999  #! request_settings.max_queue_wait_ms\n"),
    "slots below 0": blue("request_settings:\n  max_concurrent_requests_per_instance: -1"
                          "  #! request_settings.max_concurrent_requests_per_instance\n"),
    "a period of 0": blue("readiness_probe:\n  period: 0  #! readiness_probe.period\n"),
    "a port of 0": blue("environment:\n  inference_config:\n    scoring_route:\n      port: 0"
                        "  #! environment.inference_config.scoring_route.port\n"),
    "a listener's port too large": {"router.yaml": "endpoints: [endpoint.yml, blue.yml]\nlisteners:\n"
                                                   "  - port: 65536  #! listeners[0].port\n"},
    "a header limit too small": router("limits:\n  max_header_bytes: 1000  #! limits.max_header_bytes\n"),
    "buckets that do not ascend": router("metrics:\n  buckets:\n    - 2\n    - 1  #! metrics.buckets[1]\n"),
    "a bucket of no seconds": router("metrics:\n  buckets:\n    - 0  #! metrics.buckets[0]\n"),
    "too many threads": router("threads: 1025  #! threads\n"),
    "more instances at least than at most": blue("scale_settings:\n  max_instances: 1\n  min_instances: 2"
                                                 "  #! scale_settings.min_instances\n"),
    "a name too long": {"endpoint.yml": f"name: {'n' * 33}  #! name\n", "blue.yml": f"name: blue\nendpoint_name: {'n' * 33}"
                                                                                  "  #! endpoint_name\n"},
    "names too long together": {"endpoint.yml": f"name: {'n' * 32}\n",
                                "blue.yml": f"endpoint_name: {'n' * 32}\nname: {'b' * 31}  #! name\n"},
    "a name with a dash last": {"blue.yml": "endpoint_name: my-endpoint\nname: blue-  #! name\n", **endpoint("")},
    "no listener": {"router.yaml": "endpoints: [endpoint.yml, blue.yml]\nlisteners: []  #! listeners\n"},
    # words and formats
    "an unknown auth_mode": endpoint("auth_mode: open  #! auth_mode\n"),
    "an unknown status profile": extended("  status_profile: azure  #! router.status_profile\n"),
    "a host name with a port": extended("  hostnames:\n    - a.example:443  #! router.hostnames[0]\n"),
    "a replica without a host": blue_router("  replicas:\n    - ':5001'  #! router.replicas[0]\n"),
    "a replica that is a URL": blue_router("  replicas:\n    - http://pod:5001  #! router.replicas[0]\n"),
    "a replica with port 0": blue_router("  replicas:\n    - pod:0  #! router.replicas[0]\n"),
    "a route with a query": blue("environment:\n  inference_config:\n    scoring_route:\n      path: /score?x=1"
                                 "  #! environment.inference_config.scoring_route.path\n"),
    "a listener on a name": {"router.yaml": ROUTER + "    address: localhost  #! listeners[0].address\n"},
    "a trusted proxy that is a name": router("trusted_proxies:\n  - lb.example  #! trusted_proxies[0]\n"),
    "an admin listener for everybody": router("admin:\n  address: 0.0.0.0:9902  #! admin.address\n"),
    "an unknown log level": router("log:\n  level: loud  #! log.level\n"),
    "a variable that is not set": router("access_log: ${ROUTER_TEST_NOT_SET}  #! access_log\n"),
    "a variable that is none": router("access_log: ${}  #! access_log\n"),
    # keys that depend on each other
    "no name": {"endpoint.yml": "auth_mode: key  #! name\n"},
    "a share of nobody": endpoint("traffic:\n  green: 100  #! traffic.green\n"),
    "a deployment of nobody": {"blue.yml": "name: blue\nendpoint_name: your-endpoint  #! endpoint_name\n", **endpoint("")},
    "no certificate": {"router.yaml": ROUTER + "    tls: {certificates: []}  #! listeners[0].tls.certificates\n"},
    "a certificate without a key": {"router.yaml": ROUTER + "    tls:\n      certificates:\n        - certificate_file: c.pem"
                                                            "  #! listeners[0].tls.certificates[0].key_file\n"},
    # files that are missing or of the wrong kind
    "a missing key file": {"endpoint.yml": "name: my-endpoint\nrouter:\n  keys:\n    primary_file: none  #! router.keys.primary_file\n"},
    "an empty key file": {"endpoint.yml": "name: my-endpoint\nrouter:\n  keys:\n    secondary_file: no-key"
                                          "  #! router.keys.secondary_file\n", "no-key": "\n"},
    "a key of two lines": {"endpoint.yml": "name: my-endpoint\nrouter:\n  keys:\n    primary_file: two  #! router.keys.primary_file\n",
                           "two": f"{SECRET}\n{SECRET}\n"},
    "a key file that is a folder": {"endpoint.yml": "name: my-endpoint\nrouter:\n  keys:\n    primary_file: folder"
                                                    "  #! router.keys.primary_file\n", "folder": FOLDER},
    "a key file of a megabyte": {"endpoint.yml": "name: my-endpoint\nrouter:\n  keys:\n    primary_file: long"
                                                 "  #! router.keys.primary_file\n", "long": SECRET * 70000},
    "a missing endpoint file": {"router.yaml": LISTENERS + "endpoints:\n  - endpoint.yml\n  - blue.yml\n  - green.yml  #! endpoints[2]\n"},
    # several mistakes at once, in several files
    "all at once": {"router.yaml": ROUTER + "threads: none  #! threads\nrubbish: 1  #! rubbish\nlimits:\n"
                                   "  max_connections: 0  #! limits.max_connections\n",
                    "endpoint.yml": "name: my-endpoint\nauth_mode: none  #! auth_mode\ntraffic:\n  blue: 200  #! traffic.blue\n"
                                    "  green: 0  #! traffic.green\nrouter:\n  keys: {primary_file: none}  #! router.keys.primary_file\n",
                    "blue.yml": BLUE + "router:\n  replicas:\n    - '?'  #! router.replicas[0]\n    - '!'  #! router.replicas[1]\n"},
}
# Files that cannot contain a comment, with the line of the expected message; line 0 means the whole file.
BAD_WHOLE = {
    "an empty file": ("endpoint.yml", "", 1),
    "nothing but a comment": ("blue.yml", "# name: blue\n", 1),
    "nothing but a document mark": ("blue.yml", "---\n", 1),
    "an empty router.yaml": ("router.yaml", "", 1),
    "a folder": ("blue-too.yml", FOLDER, 0),
    "a list that never ends": ("endpoint.yml", "name: my-endpoint\ntags: [a, b\n", 2),
    "a quote that is never closed": ("endpoint.yml", "name: my-endpoint\ndescription: 'never\n", 2),
    "a tab as indentation": ("endpoint.yml", "name: my-endpoint\ntraffic:\n\tblue: 100\n", 3),
    "an indentation of nobody": ("blue.yml", "name: blue\n  endpoint_name: my-endpoint\n", 2),
    "a colon too many": ("blue.yml", "name: blue\nendpoint_name: a: b\n", 2),
    "an unknown alias": ("blue.yml", "name: blue\nendpoint_name: *nobody\n", 2),
    "an alias inside itself": ("blue.yml", "name: blue\ntags: &a\n  b: *a\n", 3),
    "a key that is a list": ("blue.yml", "name: blue\n? [a, b]\n: c\n", 2),
    "a merge of a text": ("blue.yml", "name: blue\n<<: text\n", 2),
    "a NUL": ("endpoint.yml", "name: my-endpoint\n\0\n", 0),
    "a control character": ("endpoint.yml", "name: my-endpoint\ndescription: \x1b[31m\n", 0),
    "not UTF-8": ("endpoint.yml", b"name: my-endpoint\ndescription: \xff\xfe\n", 0),
    "an executable": ("endpoint.yml", b"\x7fELF\x02\x01\x01\0\0\0", 0),
    "an alias bomb": ("endpoint.yml", "name: my-endpoint\na0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)), 6),
    "deep nesting": ("endpoint.yml", "name: my-endpoint\ntags: " + "[" * 100_000, 2),
    "deep nesting by indentation": ("endpoint.yml", "".join(f"{' ' * n}a:\n" for n in range(500)), 65),
    "more values than may be": ("endpoint.yml", "name: my-endpoint\ntags:\n" + "".join(f"  t{n}: x\n" for n in range(60_000)), 25_000),
    "10 MB of nonsense": ("endpoint.yml", "{]:&*!|>'\"%@`\n" * 750_000, 0),
    "10 MB of brackets": ("endpoint.yml", "[" * 10_000_000, 0),
    "a megabyte of nonsense": ("endpoint.yml", "&a *a !b {]:|>'\"%@`\n" * 50_000, 1),
}


def limit_memory():
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))


def check(folder, files):
    for name, content in {**GOOD, **files}.items():
        if content is FOLDER:
            (folder / name).mkdir()
        elif isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            (folder / name).write_text(re.sub(r" *#!.*", "", content))
    return subprocess.run([BINARY, "--config", folder / "router.yaml", "--check"], capture_output=True, text=True, check=False,
                          timeout=60, preexec_fn=limit_memory)


def marked(files):
    """Returns (file, line, path) of each `#!`."""
    return sorted((name, number, line.partition("#!")[2].strip())
                  for name, text in files.items() if isinstance(text, str)
                  for number, line in enumerate(text.splitlines(), 1) if "#!" in line)


def told(folder, done):
    """Returns the same of each line on standard error. A line of another form is returned as it is."""
    place = re.compile(re.escape(f"{folder}/") + r"([^:]+)(?::(\d+))?: (?:([^\s:]+): )?\S")
    matches = [(place.match(line), line) for line in done.stderr.splitlines()]
    return sorted((match[1], int(match[2] or 0), match[3] or "") if match else (line, -1, "") for match, line in matches)


def test_the_files_are_good_until_they_are_made_bad(tmp_path):
    done = check(tmp_path, {})
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


@pytest.mark.parametrize("name", BAD)
def test_each_mistake_is_told_with_its_place_and_nothing_else(tmp_path, name):
    done = check(tmp_path, BAD[name])
    expected = marked(BAD[name])
    assert expected, "the bad file has no mark"
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert told(tmp_path, done) == expected, done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize("name", BAD_WHOLE)
def test_a_file_that_cannot_be_read_is_told_with_its_place_and_nothing_else(tmp_path, name):
    file, content, line = BAD_WHOLE[name]
    done = check(tmp_path, {file: content})
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert told(tmp_path, done) == [(file, line, "")], done.stderr[:2000]
    assert len(done.stderr) < 1000, "the message is too long"


ALL_KINDS = {
    "router.yaml": """listeners:
  - port: 8443
    tls:
      certificates: [{certificate_file: cert.pem, key_file: tls.key, password_file: password}]
      ticket_key_files: [ticket]
endpoints: [endpoint.yml, blue*.yml]
""",
    "blue.yml": BLUE + "router: {replicas: ['10.0.0.1:5001'], tls: {ca_file: ca.pem}}\n",
}


@pytest.mark.parametrize("how", ["pipe", "without end", "socket"])
@pytest.mark.parametrize("name", ["router.yaml", "endpoint.yml", "blue.yml", "key", "cert.pem", "tls.key", "password", "ticket", "ca.pem"])
def test_a_pipe_or_a_device_in_place_of_a_file_was_waited_for(tmp_path, name, how):
    files = {file: text for file, text in {**GOOD, **ALL_KINDS}.items() if file != name}
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    if how == "pipe":
        os.mkfifo(tmp_path / name)
    elif how == "without end":
        (tmp_path / name).symlink_to("/dev/zero")
    else:
        make_socket(tmp_path / name)
    done = subprocess.run([BINARY, "--config", tmp_path / "router.yaml", "--check"], capture_output=True, text=True, check=False,
                          timeout=20, preexec_fn=limit_memory)
    assert (done.returncode, done.stdout) == (1, "")
    assert [line for line in done.stderr.splitlines() if name in line and "is not a regular file" in line], done.stderr


def make_socket(path):
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(f"/proc/self/fd/{folder}/{path.name}")  # the path of a socket has at most 108 bytes
    os.close(folder)

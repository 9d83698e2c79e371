"""A model server in a Pod: tests/integration/support/replica_process.py. SLEEP in the Pod's environment: seconds that a request takes.
The record of its requests is /tmp/record in the container."""

import json
import os
import sys

# The server ends with its standard input, which a container does not have. So it gets a pipe whose other end stays open.
reading, writing = os.pipe()
os.set_inheritable(writing, True)
os.dup2(reading, 0)
options = {"name": os.environ["HOSTNAME"], "host": "0.0.0.0", "port": 5001, "probe": "/", "record": "/tmp/record",
           "sleep": float(os.environ.get("SLEEP", "0"))}
os.execv(sys.executable, [sys.executable, os.path.join(os.path.dirname(__file__), "replica_process.py"), json.dumps(options)])

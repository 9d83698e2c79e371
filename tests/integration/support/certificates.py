"""Makes certificates with the openssl command."""

import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


def _openssl(*arguments, **kwargs):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, **kwargs)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Pair:
    certificate: Path
    key: Path

    def as_dict(self):
        return {"certificate_file": str(self.certificate), "key_file": str(self.key)}

    def replace_with(self, other):
        """Replaces the contents of both files. Each file changes in one step; the names stay."""
        for mine, theirs in ((self.key, other.key), (self.certificate, other.certificate)):
            fresh = mine.with_suffix(".new")
            fresh.write_bytes(theirs.read_bytes())
            fresh.replace(mine)

    def serial(self):
        return _openssl("x509", "-in", self.certificate, "-noout", "-serial").split("=")[1].strip()


class Authority:
    """A certificate authority. It signs every certificate with its root key."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._count = 0
        self.root = self._issue("root", None, "-addext", "basicConstraints=critical,CA:TRUE",
                                "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python 3.13 requires it
        self.file = self.root.certificate

    def _new_key(self, path, kind):
        if kind == "rsa":
            _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path)
        else:
            _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)

    def _issue(self, name, issuer, *extra, kind="ecdsa", days="30"):
        key, certificate = self.folder / f"{name}.key.pem", self.folder / f"{name}.cert.pem"
        self._new_key(key, kind)
        signing = ["-CA", issuer.certificate, "-CAkey", issuer.key] if issuer else []
        _openssl("req", "-x509", "-new", "-key", key, "-out", certificate, "-days", days, "-subj", f"/CN={name}", *signing, *extra)
        return Pair(certificate, key)

    def issue(self, *names, kind="ecdsa", days="30"):
        """Makes a server's certificate for these DNS names or addresses."""
        self._count += 1
        alternatives = ",".join(f"IP:{name}" if name[0].isdigit() else f"DNS:{name}" for name in names)
        return self._issue(f"{names[0].replace('*', 'any')}-{self._count}", self.root, "-addext", f"subjectAltName={alternatives}",
                           "-addext", "basicConstraints=critical,CA:FALSE", kind=kind, days=days)

    def issue_for(self, begins, ends, *names):
        """Makes a certificate that is valid from `begins` to `ends`, in seconds from now. `req -x509` cannot set a date in the past, so it
        uses `openssl ca`."""
        pair = self.issue(*names)
        folder = self.folder / f"ca-{self._count}"
        folder.mkdir()
        (folder / "index").write_text("")
        (folder / "serial").write_text(f"{self._count:04x}\n")
        alternatives = ",".join(f"DNS:{name}" for name in names)
        (folder / "ca.conf").write_text(
            f"[ca]\ndefault_ca=a\n[a]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\n"
            f"default_md=sha256\npolicy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\nsubjectAltName={alternatives}\n"
            f"basicConstraints=critical,CA:FALSE\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", "-new", "-key", pair.key, "-subj", f"/CN={names[0]}", "-out", folder / "request.pem")
        now = time.time()
        start, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(now + seconds)) for seconds in (begins, ends))
        _openssl("ca", "-batch", "-config", folder / "ca.conf", "-cert", self.root.certificate, "-keyfile", self.root.key,
                 "-in", folder / "request.pem", "-out", pair.certificate, "-notext", "-startdate", start, "-enddate", end)
        return pair

    def client_context(self, **versions):
        context = ssl.create_default_context(cafile=str(self.file))
        if "minimum" in versions:
            context.minimum_version = versions["minimum"]
        if "maximum" in versions:
            context.maximum_version = versions["maximum"]
        return context

    def server_context(self, pair):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        return context

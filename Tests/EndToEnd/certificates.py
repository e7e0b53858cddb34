"""Certificates for tests, made with openssl."""
import pathlib
import subprocess


class Authority:
    """A certificate authority in a directory of its own; every certificate is `NAME.pem` with `NAME.key` there."""

    def __init__(self, directory, name="authority"):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate = self.directory / "ca.pem"
        self.key = self.directory / "ca.key"
        self._openssl("req", "-x509", *self._new_key(self.key), "-days", "30", "-subj", f"/CN={name}",
                      "-out", self.certificate)

    def issue(self, name, common_name=None, days=30, alternatives="DNS:localhost,IP:127.0.0.1", file=None):
        """Makes a certificate that ends in so many days, a negative number for one that has expired."""
        path, key = self.directory / f"{file or name}.pem", self.directory / f"{file or name}.key"
        request, extensions = path.with_suffix(".csr"), path.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={alternatives}\n")
        self._openssl("req", *self._new_key(key), "-subj", f"/CN={common_name or name}", "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                      "-days", str(days), "-extfile", extensions, "-out", path)
        return path, key

    @staticmethod
    def _new_key(path):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path)

    @staticmethod
    def _openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True)

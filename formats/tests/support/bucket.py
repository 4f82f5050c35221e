"""Serves a folder as an S3 bucket until its standard input ends; prints its address first."""

import pathlib
import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
host, port = server.get_host_and_port()
client = boto3.client(
    "s3",
    endpoint_url=f"http://{host}:{port}",
    region_name="us-east-1",
    aws_access_key_id="key",
    aws_secret_access_key="secret",
)
client.create_bucket(Bucket="corpus")
folder = pathlib.Path(sys.argv[1])
for path in folder.rglob("*"):
    if path.is_file():
        client.upload_file(str(path), "corpus", str(path.relative_to(folder)))
print(f"http://{host}:{port}", flush=True)
sys.stdin.read()
server.stop()

"""The command that replaces podman: ``engine_command.py PLACE HOST WORD…``. See ``cloud.RecordingEngine``."""

import hashlib
import http.client
import json
import sys
import time
from pathlib import Path

place, host, word = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
with (place / "calls.jsonl").open("a") as file:
    file.write(json.dumps({"arguments": sys.argv[3:], "given": sys.stdin.read()}) + "\n")
print("step 1 of 1", flush=True)
broken = (place / "broken").read_text() if (place / "broken").exists() else ""
if broken == word:
    sys.exit("no space left on device")
if broken == f"slow {word}":
    time.sleep(60)
if word == "push":
    repository, _, tag = sys.argv[4].rpartition("/")[2].partition(":")
    digest = "sha256:" + hashlib.sha256(tag.encode()).hexdigest()
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": digest}, "layers": []}
    body = {"repositoryName": repository, "imageTag": tag, "imageDigest": digest, "imageManifest": json.dumps(manifest)}
    credential = "t/20260101/eu-central-1/ecr/aws4_request"
    connection = http.client.HTTPConnection(host, timeout=30)
    headers = {
        "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.PutImage",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0",
    }
    connection.request("POST", "/", json.dumps(body), headers)
    answer = connection.getresponse()
    if answer.status != 200:
        sys.exit(answer.read().decode())

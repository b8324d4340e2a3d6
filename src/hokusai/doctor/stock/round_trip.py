"""What a model developer does, in plain MLflow. Runs in any interpreter that has the client, so it imports only MLflow.

usage: python round_trip.py NAME, with MLflow's variables set. Prints one JSON line for each step.
"""

import json
import os
import signal
import sys
import tempfile
import time
from contextlib import contextmanager

NAME = sys.argv[1]
LARGE_BYTES = 9 * 2**20
READY_SECONDS = 20
stopping = False


def stop(*_):
    global stopping
    stopping = True


@contextmanager
def step(name, *, writes=False):
    """A step that writes is finished before SIGTERM ends the process: a request that is cut off may still succeed."""
    signal.signal(signal.SIGTERM, stop if writes else signal.SIG_DFL)
    started = time.time()
    error = None
    try:
        yield
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"[:600]
    print(json.dumps({"name": name, "seconds": round(time.time() - started, 2), "error": error}), flush=True)
    if error or stopping:
        sys.exit(1)


with step("import"):
    import mlflow
    from mlflow import MlflowClient

    client = MlflowClient()
try:
    import mlflow.sklearn
    import numpy as np
    from sklearn.linear_model import Ridge
except ImportError:
    Ridge = None

place = tempfile.mkdtemp()  # removed by the process that started this one
weights = {"coefficients": [1.0, -2.0, 0.5]}


def plain_model():
    """A model directory written without any library: MLmodel and the weights."""
    directory = os.path.join(place, "model")
    os.mkdir(directory)
    with open(os.path.join(directory, "MLmodel"), "w") as file:
        file.write("flavors:\n  plain:\n    weights: weights.json\nmodel_uuid: 0123456789abcdef0123456789abcdef\n")
    with open(os.path.join(directory, "weights.json"), "w") as file:
        json.dump(weights, file)
    return directory


with step("train"):
    if Ridge:
        X = np.random.default_rng(7).normal(size=(40, 3))
        model = Ridge(alpha=0.1).fit(X, X @ weights["coefficients"])
    large = os.path.join(place, "large.bin")
    with open(large, "wb") as file:
        file.write(os.urandom(LARGE_BYTES))

with step("log", writes=True):
    mlflow.set_experiment(NAME)
    run = mlflow.start_run()
    mlflow.log_params({"alpha": 0.1})
    mlflow.log_metric("loss", 0.25)

with step("upload", writes=True):
    mlflow.log_artifact(large)
    if Ridge:
        named = {"name": "model"} if int(mlflow.__version__.split(".")[0]) >= 3 else {"artifact_path": "model"}
        source = mlflow.sklearn.log_model(model, pip_requirements=["scikit-learn"], **named).model_uri
    else:
        mlflow.log_artifacts(plain_model(), "model")
        source = mlflow.get_artifact_uri("model")
    mlflow.end_run()

with step("register", writes=True):
    if Ridge:
        version = mlflow.register_model(source, NAME, await_registration_for=0).version
    else:
        client.create_registered_model(NAME)
        version = client.create_model_version(NAME, source, run.info.run_id, await_creation_for=0).version

with step("ready"):
    until = time.time() + READY_SECONDS
    while client.get_model_version(NAME, version).status != "READY":
        if time.time() > until:
            raise TimeoutError(f"not READY after {READY_SECONDS} seconds")
        time.sleep(0.5)

with step("find"):
    assert [str(one.version) for one in client.search_model_versions(f"name = '{NAME}'")] == [str(version)]

with step("reload"):
    if Ridge:
        loaded = mlflow.pyfunc.load_model(f"models:/{NAME}/latest")
    else:
        local = mlflow.artifacts.download_artifacts(f"models:/{NAME}/latest", dst_path=place)

with step("predict"):
    if Ridge:
        assert np.allclose(loaded.predict(X[:5]), model.predict(X[:5])), "the predictions differ"
    else:
        with open(os.path.join(local, "weights.json")) as file:
            assert json.load(file) == weights, "the weights differ"

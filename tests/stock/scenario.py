"""What a model developer does, in plain MLflow, from 2.9 on. Runs inside a stock client's environment.

usage: python scenario.py NAME DIRECTORY — prints one JSON document of what it saw.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mlflow
import mlflow.pyfunc
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.linear_model import Ridge

NAME, PLACE = sys.argv[1], Path(sys.argv[2])
MAJOR = int(mlflow.__version__.split(".")[0])
ODD_NAMES = ["with space.txt", "a & b.txt", "größe 模型.txt", "100%.txt", "plus+and=eq.txt", "quote'.txt"]
seen: dict[str, object] = {"mlflow": mlflow.__version__}
client = MlflowClient()

X = np.random.default_rng(7).normal(size=(60, 3))
y = X @ [1.0, -2.0, 0.5] + 0.1
named = {"name": "model"} if MAJOR >= 3 else {"artifact_path": "model"}

experiment = mlflow.set_experiment(NAME)
with mlflow.start_run() as run:
    model = Ridge(alpha=0.1).fit(X, y)
    mlflow.log_params({"alpha": 0.1, "größe": "ä & b"})
    for step in range(3):
        mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
    mlflow.log_metrics({"r2": model.score(X, y), "nothing": float("nan")})
    mlflow.set_tags({"team": "a", "note": "x" * 4000})
    mlflow.log_dict({"a": 1}, "config/settings.json")
    files = PLACE / "files"
    files.mkdir()
    for name in ODD_NAMES:
        (files / name).write_text(name, encoding="utf-8")
    mlflow.log_artifacts(str(files), "odd names")
    logged = mlflow.sklearn.log_model(
        model,
        signature=infer_signature(X, model.predict(X)),
        input_example=X[:2],
        registered_model_name=NAME,
        **named,
    )
expected = model.predict(X[:5])

# Reload by version, stage-free "latest" and alias; predict the same.
client.set_registered_model_alias(NAME, "best", "1")
for uri in (f"models:/{NAME}/1", f"models:/{NAME}/latest", f"models:/{NAME}@best"):
    assert np.allclose(mlflow.pyfunc.load_model(uri).predict(X[:5]), expected), uri
assert np.allclose(mlflow.sklearn.load_model(logged.model_uri).predict(X[:5]), expected)

# A second version, from the run.
version = mlflow.register_model(logged.model_uri, NAME)
assert int(version.version) == 2
assert client.get_model_version(NAME, "2").status == "READY"


# A model of the caller's own.
class Twice(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return np.asarray(model_input) * 2


with mlflow.start_run():
    pyfunc_named = {"name": "twice"} if MAJOR >= 3 else {"artifact_path": "twice"}
    own = mlflow.pyfunc.log_model(python_model=Twice(), registered_model_name=NAME + "-twice", **pyfunc_named)
assert np.allclose(mlflow.pyfunc.load_model(f"models:/{NAME}-twice/1").predict(np.ones((2, 2))), 2)

# Reading back.
found = client.get_run(run.info.run_id)
assert found.data.params == {"alpha": "0.1", "größe": "ä & b"}, found.data.params
assert np.isnan(found.data.metrics["nothing"])
assert [point.value for point in client.get_metric_history(run.info.run_id, "loss")] == [1.0, 0.5, 1.0 / 3]
names = sorted(entry.path for entry in client.list_artifacts(run.info.run_id, "odd names"))
assert names == sorted("odd names/" + name for name in ODD_NAMES), names
for name in ODD_NAMES:
    local = client.download_artifacts(run.info.run_id, "odd names/" + name, str(PLACE))
    assert Path(local).read_text(encoding="utf-8") == name
assert mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/config/settings.json") == {"a": 1}
assert [found.info.run_id for found in client.search_runs([experiment.experiment_id], "params.alpha = '0.1'")]
assert [found.name for found in client.search_experiments(filter_string=f"name = '{NAME}'")] == [NAME]
assert [found.name for found in client.search_registered_models(f"name = '{NAME}'")] == [NAME]
assert len(client.search_model_versions(f"name = '{NAME}'")) == 2

# Changing.
client.set_model_version_tag(NAME, "1", "checked", "yes")
client.update_model_version(NAME, "1", description="größe")
client.set_registered_model_tag(NAME, "kind", "ridge")
client.update_registered_model(NAME, description="ridge")
assert client.get_model_version_by_alias(NAME, "best").version in {"1", 1}
client.delete_registered_model_alias(NAME, "best")
client.set_experiment_tag(experiment.experiment_id, "a", "b")
client.delete_run(run.info.run_id)
client.restore_run(run.info.run_id)

# Refusals reach the user with their message.
try:
    client.delete_registered_model(NAME)
except MlflowException as error:
    seen["refused"] = str(error)
try:
    client.get_run("0" * 32)
except MlflowException as error:
    seen["missing"] = error.error_code

# register_model understands "exists" for the same name, and creates a new version.
seen["run_id"] = run.info.run_id
seen["predictions"] = expected.tolist()
if MAJOR >= 3:
    logged_model = mlflow.get_logged_model(logged.model_id)
    assert logged_model.status == "READY"
    client.set_logged_model_tags(logged.model_id, {"a": "b"})
    client.delete_logged_model_tag(logged.model_id, "a")
    assert mlflow.search_logged_models([experiment.experiment_id], output_format="list")
    assert np.allclose(mlflow.pyfunc.load_model(f"models:/{logged.model_id}").predict(X[:5]), expected)
print(json.dumps(seen))

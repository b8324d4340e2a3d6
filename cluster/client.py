"""Registers one model after another, in plain MLflow. Runs inside a stock client's environment.

usage: python client.py register PREFIX STOP   prints a JSON line for each, until the file STOP exists
       python client.py verify                 reads such lines from stdin, prints those that predict otherwise
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path

import mlflow
import mlflow.pyfunc

OUT, sys.stdout = sys.stdout, sys.stderr  # MLflow prints as well


class Constant(mlflow.pyfunc.PythonModel):
    def __init__(self, value):
        self.value = value

    def predict(self, context, model_input, params=None):
        return [self.value]


def register(prefix: str, stop: Path) -> None:
    number = 0
    while not stop.exists():
        number += 1
        began, told = time.monotonic(), {"name": f"{prefix}-{number}", "value": number}
        try:
            with mlflow.start_run():
                mlflow.log_metric("value", number)
                mlflow.pyfunc.log_model(
                    name="model", python_model=Constant(number), pip_requirements=[], registered_model_name=told["name"]
                )
        except Exception:
            told["failed"] = traceback.format_exc()[-1500:]
        print(json.dumps({**told, "seconds": round(time.monotonic() - began, 2)}), file=OUT, flush=True)


def verify() -> None:
    for told in map(json.loads, sys.stdin):
        try:
            found = mlflow.pyfunc.load_model(f"models:/{told['name']}/1").predict([0])
        except Exception as error:
            found = str(error)
        if found != [told["value"]]:
            print(json.dumps({**told, "found": str(found)[-300:]}), file=OUT, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "register":
        register(sys.argv[2], Path(sys.argv[3]))
    else:
        verify()

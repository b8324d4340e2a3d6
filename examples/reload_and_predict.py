"""Load a registered model by its name and predict: ``python reload_and_predict.py models:/NAME/VERSION``."""

import json
import sys

import mlflow
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

_, X_test, _, _ = train_test_split(*load_diabetes(return_X_y=True), random_state=0)
model = mlflow.pyfunc.load_model(sys.argv[1])
print(json.dumps({"predictions": model.predict(X_test)[:5].tolist()}))

"""Train a model, log it and register it: plain MLflow, nothing of Hokusai's.

export MLFLOW_TRACKING_URI=http://127.0.0.1:5050/api/mlflow
export MLFLOW_TRACKING_TOKEN=hk_live_…
python train_and_register.py
"""

import json

import mlflow
from mlflow.models import infer_signature
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

X_train, X_test, y_train, y_test = train_test_split(*load_diabetes(return_X_y=True), random_state=0)

mlflow.set_experiment("diabetes")
with mlflow.start_run() as run:
    params = {"alpha": 0.3, "solver": "lsqr"}
    model = Ridge(**params).fit(X_train, y_train)
    predictions = model.predict(X_test)

    mlflow.log_params(params)
    mlflow.log_metrics({"r2": r2_score(y_test, predictions), "rows": len(X_train)})
    logged = mlflow.sklearn.log_model(
        model,
        name="model",
        signature=infer_signature(X_test, predictions),
        registered_model_name="diabetes-ridge",
    )

print(
    json.dumps(
        {
            "run_id": run.info.run_id,
            "model": "diabetes-ridge",
            "version": logged.registered_model_version,
            "predictions": predictions[:5].tolist(),
        }
    )
)

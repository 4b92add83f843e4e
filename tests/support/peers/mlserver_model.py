"""Trains on examples/churn/churn.csv and writes what MLServer needs to serve it as `churn`, on the ports given.

    python mlserver_model.py churn.csv FOLDER HTTP_PORT GRPC_PORT METRICS_PORT
    mlserver start FOLDER
"""

import json
import sys
from pathlib import Path

import joblib
import pandas
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

data, folder, *ports = sys.argv[1:]
http, grpc, metrics = map(int, ports)
folder = Path(folder)
table = pandas.read_csv(data)
inputs = table[["tenure", "monthly_charges", "senior_citizen"]].to_numpy(float)
# The labels are texts: `No` and `Yes`.
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(inputs, table["churn"])
joblib.dump(model, folder / "model.joblib")
settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 0}
(folder / "settings.json").write_text(json.dumps(settings))
served = {
    "name": "churn",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./model.joblib", "version": "7"},
}
(folder / "model-settings.json").write_text(json.dumps(served))

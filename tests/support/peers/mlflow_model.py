"""Trains on examples/churn/churn.csv and saves an MLflow model: named columns, one of them text, and probabilities.

    python mlflow_model.py churn.csv FOLDER
    mlflow models serve -m FOLDER --env-manager local
"""

import sys

import mlflow.sklearn
import pandas
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = ["tenure", "monthly_charges"]

data, folder = sys.argv[1:]
table = pandas.read_csv(data).astype(dict.fromkeys(NUMBERS, float))
inputs = table[NUMBERS + ["contract"]]
columns = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(), ["contract"]))
model = make_pipeline(columns, LogisticRegression(max_iter=500)).fit(inputs, table["churn"])
mlflow.sklearn.save_model(
    model,
    folder,
    pyfunc_predict_fn="predict_proba",
    signature=mlflow.models.infer_signature(inputs, model.predict_proba(inputs[:2])),
    serialization_format="cloudpickle",
    # Without a list it would look for one by running the model in a second process.
    pip_requirements=["scikit-learn"],
)

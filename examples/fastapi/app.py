"""A plain FastAPI + scikit-learn model server: the kind of service Weir is put in front of.

    pip install -r requirements.txt
    uvicorn app:app --port 9000

CHURN_CSV names the training data (default: ../churn/churn.csv beside this file), MODEL is `logistic` or `forest`.

    POST /predict  {"features": [[tenure, monthly_charges, total_charges, senior_citizen], ...]}
               ->  {"predictions": [0, ...], "probabilities": [[p_stays, p_leaves], ...], "model_version": "1"}
    GET /health    {"status": "healthy", "model_loaded": true}
"""

import os
from pathlib import Path

import pandas
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

COLUMNS = ["tenure", "monthly_charges", "total_charges", "senior_citizen"]
VERSION = "1"


class Question(BaseModel):
    features: list[list[float]]


class Answer(BaseModel):
    predictions: list[int]
    probabilities: list[list[float]]
    model_version: str


def train():
    """Learns `churn` from the four numeric columns; a customer without a total has not been billed yet: 0."""
    default = Path(__file__).parent.parent / "churn" / "churn.csv"
    table = pandas.read_csv(os.environ.get("CHURN_CSV", default))
    inputs = table[COLUMNS].apply(pandas.to_numeric, errors="coerce").fillna(0.0).to_numpy(float)
    leaves = (table["churn"] == "Yes").to_numpy(int)
    if os.environ.get("MODEL", "logistic") == "forest":
        model = RandomForestClassifier(100, max_depth=8, random_state=0, n_jobs=1)
    else:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    return model.fit(inputs, leaves)


model = train()
app = FastAPI(title="churn")


@app.post("/predict")
async def predict(question: Question) -> Answer:
    if any(len(row) != len(COLUMNS) for row in question.features) or not question.features:
        raise HTTPException(422, f"every row needs {len(COLUMNS)} numbers: {', '.join(COLUMNS)}")
    probabilities = model.predict_proba(question.features)
    return Answer(
        predictions=probabilities.argmax(axis=1).tolist(),
        probabilities=probabilities.tolist(),
        model_version=VERSION,
    )


@app.get("/health")
async def health():
    return {"status": "healthy", "model_loaded": True}

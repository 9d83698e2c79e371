"""Trains the model of the end-to-end test: a ridge regression on ten features, of known weights. Usage: train.py FILE"""

import sys

import joblib
import numpy
from sklearn.linear_model import Ridge

random = numpy.random.default_rng(1)
features = random.normal(size=(500, 10))
targets = features @ numpy.arange(1.0, 11.0) + 3.0
joblib.dump(Ridge(alpha=1e-6).fit(features, targets), sys.argv[1])

"""Label errors with cleanlab's default (prune by noise rate). Prints one JSON object."""

import json
import sys
import time

import numpy as np
from cleanlab.filter import find_label_issues

file, label_count = sys.argv[1], int(sys.argv[2])
probabilities = np.fromfile(file + ".probabilities", dtype=np.float32).reshape(-1, label_count).astype(np.float64)
labels = np.fromfile(file + ".labels", dtype=np.uint32).astype(np.int64)
probabilities /= probabilities.sum(axis=1, keepdims=True)
start = time.perf_counter()
issues = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
print(json.dumps({"seconds": time.perf_counter() - start, "issues": [int(issue) for issue in issues]}))

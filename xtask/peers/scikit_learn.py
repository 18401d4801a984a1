"""The documented pipeline in scikit-learn, measured as `cargo xtask bench learn` measures ours. Prints one JSON object.

usage: scikit_learn.py fit TRAIN.jsonl TEST.jsonl MODEL.pkl REPEATS | predict MODEL.pkl TEXT | grow ROWS
"""
import json
import pickle
import statistics
import sys
import time


def load(path):
    rows = [json.loads(line) for line in open(path, encoding="utf-8")]
    return [row["text"] for row in rows], [row["label"] for row in rows]


def pipeline():
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    return make_pipeline(
        TfidfVectorizer(ngram_range=(1, 3), max_features=10000),
        CalibratedClassifierCV(LinearSVC(C=1, class_weight="balanced")),
    )


def peak_mb():
    """Largest resident memory of this process; the kernel's resource usage would count the parent's before the exec."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def ece(probabilities, classes, truth, bins=15):
    import numpy as np

    best, sure = probabilities.argmax(1), probabilities.max(1)
    right = classes[best] == np.array(truth)
    edges = np.clip(np.ceil(sure * bins).astype(int), 1, bins)
    return float(sum(abs((sure[edges == b] - right[edges == b]).sum()) for b in range(1, bins + 1)) / len(truth))


def fit(train, test, model_path, repeats):
    from sklearn.metrics import accuracy_score, f1_score

    texts, labels = load(train)
    test_texts, test_labels = load(test)
    seconds = []
    for _ in range(repeats):
        model = pipeline()
        start = time.perf_counter()
        model.fit(texts, labels)
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    probabilities = model.predict_proba(test_texts)
    batch = len(test_texts) / (time.perf_counter() - start)
    singles = []
    for text in test_texts[:60]:
        start = time.perf_counter()
        model.predict_proba([text])
        singles.append(time.perf_counter() - start)
    predicted = model.classes_[probabilities.argmax(1)]
    with open(model_path, "wb") as file:
        pickle.dump(model, file)
    return {
        "train_s": seconds,
        "batch_per_s": batch,
        "one_us": statistics.median(singles) * 1e6,
        "accuracy": accuracy_score(test_labels, predicted),
        "macro_f1": f1_score(test_labels, predicted, average="macro"),
        "ece": ece(probabilities, model.classes_, test_labels),
        "model_bytes": __import__("os").path.getsize(model_path),
        "peak_mb": peak_mb(),
    }


def predict(model_path, text):
    with open(model_path, "rb") as file:
        model = pickle.load(file)
    return {"label": str(model.predict([text])[0])}


def grow(path):
    texts, labels = load(path)
    start = time.perf_counter()
    pipeline().fit(texts, labels)
    seconds = time.perf_counter() - start
    return {"train_s": seconds, "peak_mb": peak_mb()}


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "fit":
        print(json.dumps(fit(rest[0], rest[1], rest[2], int(rest[3]))))
    elif command == "predict":
        print(json.dumps(predict(rest[0], rest[1])))
    else:
        print(json.dumps(grow(rest[0])))

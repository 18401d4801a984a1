"""Near-duplicates with datasketch: MinHashLSH over character 5-grams, 128 permutations. Prints one JSON object."""

import json
import resource
import sys
import time

from datasketch import MinHash, MinHashLSH

file, threshold = sys.argv[1], float(sys.argv[2])
texts = [json.loads(line)["text"] for line in open(file)]
start = time.perf_counter()
lsh = MinHashLSH(threshold=threshold, num_perm=128)
pairs = []
for number, text in enumerate(texts):
    signature = MinHash(num_perm=128)
    signature.update_batch([text[i : i + 5].encode() for i in range(len(text) - 4)])
    for other in lsh.query(signature):
        pairs.append([other, number])
    lsh.insert(number, signature)
seconds = time.perf_counter() - start
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "peak_mb": peak_mb, "pairs": pairs}))

"""LiteLLM callback that records each interaction as one JSON line in $HONE_SINK (a file).

The event loop only puts a record on a queue; one thread a process serialises what is there and
appends it in one write (O_APPEND, so that several workers may share the file).
"""
import os
import queue
import threading

import orjson
from litellm.integrations.custom_logger import CustomLogger

PATH = os.environ.get("HONE_SINK", "/tmp/hone-litellm-sink.jsonl")


class Sink(CustomLogger):
    def __init__(self):
        super().__init__()
        self.records = queue.SimpleQueue()
        self.fd = None
        self.lock = threading.Lock()

    def put(self, record):
        if self.fd is None:  # started by the first record, so in the worker and not in its parent
            with self.lock:
                if self.fd is None:
                    self.fd = os.open(PATH, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                    threading.Thread(target=self.drain, daemon=True).start()
        self.records.put(record)

    def drain(self):
        while True:
            batch = [self.records.get()]
            while len(batch) < 256:
                try:
                    batch.append(self.records.get_nowait())
                except queue.Empty:
                    break
            lines = b"".join(orjson.dumps(r, default=str) + b"\n" for r in batch)
            while lines:
                lines = lines[os.write(self.fd, lines):]

    def record(self, kwargs, start_time, end_time):
        # The payload that LiteLLM builds for its own sinks: request, response, usage, times, cost.
        log = kwargs.get("standard_logging_object") or {}
        self.put({
            "id": log.get("id"),
            "status": log.get("status"),
            "model": log.get("model"),
            "stream": log.get("stream"),
            "messages": log.get("messages"),
            "parameters": log.get("model_parameters"),
            "response": log.get("response"),
            "prompt_tokens": log.get("prompt_tokens"),
            "completion_tokens": log.get("completion_tokens"),
            "cost": log.get("response_cost"),
            "error": log.get("error_str"),
            "start": start_time.timestamp(),
            "end": end_time.timestamp(),
        })

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.record(kwargs, start_time, end_time)

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        self.record(kwargs, start_time, end_time)


sink = Sink()

"""The app of the workers that the tests start: each task writes down what it was given, and when.

UPBEAT_TEST_SOCKET is the socket of the Redis that is broker and record, UPBEAT_TEST_BROKER_DB the database of the broker,
UPBEAT_TEST_BACKEND a URL of another result backend ("none": without one). What is recorded stands in the list
`executed` of database 0, a JSON object a line, the oldest first.
"""

import json
import os
import time

import redis
from celery import Celery

SOCKET = os.environ["UPBEAT_TEST_SOCKET"]
DATABASE = os.environ.get("UPBEAT_TEST_BROKER_DB", "0")
BROKER = f"redis+socket://{SOCKET}?virtual_host={DATABASE}"
BACKEND = os.environ.get("UPBEAT_TEST_BACKEND", BROKER)

app = Celery("app", broker=BROKER, backend=None if BACKEND == "none" else BACKEND)
app.conf.update(
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options=json.loads(os.environ.get("UPBEAT_TEST_TRANSPORT", "{}")),
    result_expires=3600,
    # Further settings, as JSON.
    **json.loads(os.environ.get("UPBEAT_TEST_CONF", "{}")),
)


def record(task, args, kwargs, **more):
    request = task.request
    line = {
        "id": request.id,
        "task": task.name,
        "args": args,
        "kwargs": kwargs,
        "at_ms": int(time.time() * 1000),
        "eta": request.eta,
        "expires": request.expires,
        "headers": request.headers,
        "fire_at": getattr(request, "upbeat_fire_at", None),
        "queue": (request.delivery_info or {}).get("routing_key"),
        **more,
    }
    with redis.Redis(unix_socket_path=SOCKET) as client:
        client.rpush("executed", json.dumps(line))


@app.task(name="app.record", bind=True)
def record_call(self, *args, **kwargs):
    record(self, args, kwargs)


@app.task(name="app.echo", bind=True)
def echo(self, *args, **kwargs):
    record(self, args, kwargs)
    return {"args": args, "kwargs": kwargs}


@app.task(name="app.fail", bind=True)
def fail(self, *args, **kwargs):
    record(self, args, kwargs)
    raise ValueError(*args)


@app.task(name="app.fail_once", bind=True)
def fail_once(self):
    """Fails the first time that it is called with an id."""
    record(self, (), {})
    with redis.Redis(unix_socket_path=SOCKET) as client:
        if client.incr(f"calls-{self.request.id}") == 1:
            raise ValueError("the first time")
    return "the second time"


@app.task(name="app.until", bind=True, ignore_result=True)
def until(self, key):
    """Ends when somebody pushes to the list `key`."""
    record(self, (key,), {})
    with redis.Redis(unix_socket_path=SOCKET) as client:
        return client.blpop([key])[1].decode()

"""The app of RedBeat's beats: that of the workers, with messages that say when they were sent.

While the key `freeze` holds the name of an entry, whoever is about to send that entry's message waits, and says so in `frozen`:
RedBeat has noted the fire then, and not sent it.
"""

import time

import redis
from celery.signals import before_task_publish

from celery_app import SOCKET, app  # noqa: F401


@before_task_publish.connect
def stamp_and_wait(body=None, headers=None, **_):
    headers["sent_ms"] = int(time.time() * 1000)
    entry = (body[0] or [None])[0]
    with redis.Redis(unix_socket_path=SOCKET, decode_responses=True) as client:
        while entry is not None and client.get("freeze") == entry:
            client.set("frozen", entry)
            time.sleep(0.01)

"""What Celery's own beat sends for each entry of an app: publishes all of them once, and prints the lists and what is in them.

Usage: sent_by_beat.py APP; the app's broker is a Redis, whose lists were empty.
"""

import base64
import json
import os
import sys

sys.path.insert(0, os.getcwd())
from celery.app.utils import find_app
from celery.beat import Scheduler

app = find_app(sys.argv[1])
app.loader.import_default_modules()
app.finalize()
if os.environ.get("DJANGO_SETTINGS_MODULE"):
    from django_celery_beat.schedulers import DatabaseScheduler as Scheduler  # noqa: F811
scheduler = Scheduler(app, lazy=True)
if os.environ.get("DJANGO_SETTINGS_MODULE"):
    entries = {row.name: Scheduler.Entry(row, app=app) for row in Scheduler.Model.objects.all()}
else:
    entries = {}
    for name, entry in app.conf.beat_schedule.items():
        try:
            entries[name] = scheduler._maybe_entry(name, entry)
        except TypeError:
            pass
sent = {}
with app.connection_for_write() as connection:
    client = connection.default_channel.client
    # As the app's workers do when they start.
    for queue in app.amqp.queues.values():
        queue(connection.default_channel).declare()
    for name, entry in entries.items():
        try:
            scheduler.apply_async(entry, advance=False)
        except Exception as error:
            sent[name] = {"error": str(error)}
            continue
        found = []
        for key in client.keys("*"):
            if client.type(key) == b"list":
                for text in client.lrange(key, 0, -1):
                    message = json.loads(text)
                    if message["content-type"] == "application/json":
                        message["body"] = json.loads(base64.b64decode(message["body"]))
                    found.append({"list": key.decode(), "message": message})
                client.delete(key)
        sent[name] = found[0] if found else {"list": None}
        try:
            json.dumps(sent[name], allow_nan=False)
        except ValueError as error:
            sent[name] = {"error": str(error)}
print(json.dumps(sent))

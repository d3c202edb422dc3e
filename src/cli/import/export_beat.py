#!/usr/bin/env python3
"""Prints what a Celery app's beat would send and when, as JSON for `upbeat import celery`.

    python export_beat.py proj.celery:app > beat.json
    python export_beat.py proj.celery:app -s /var/run/celerybeat-schedule > beat.json

Run it where the app runs, in its own environment. It reads the app, and the tables of django-celery-beat where that is
installed; it changes nothing, sends nothing and prints no password. -s names the file in which a beat without Django keeps
when each entry fired last: with it intervals keep their phase. Python 3.8 and newer, Celery 4.4 to 5.x; written by upbeat.
"""
import argparse
import datetime
import json
import os
import re
import shelve
import sys
import traceback

# The app may print while it is imported: only the document goes to standard output.
OUT, sys.stdout = sys.stdout, sys.stderr

DATE_PARTS = ("year", "month", "day", "hour", "minute", "second", "microsecond")
CRON_WORDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
RRULE_WORDS = ("freq", "interval", "wkst", "count", "bysetpos", "bymonth", "bymonthday", "byyearday", "byeaster",
               "byweekno", "byweekday", "byhour", "byminute", "bysecond")
# Between // and @, and among the parameters.
PASSWORD = re.compile(r"(?<=://)([^:@/]*):.*@")
PARAMETER = re.compile(r"([?&][^=&]*(?:pass|secret|token)[^=&]*=)[^&]*", re.I)


class Refused(Exception):
    """Why one entry can't be exported, and the way out."""

    def __init__(self, reason, hint=None):
        super().__init__(reason)
        self.hint = hint


def fail(what, error):
    """Ends: the app itself can't be read."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__ and "<frozen" not in frame.filename]
    where = " ({}:{})".format(frames[-1].filename, frames[-1].lineno) if frames else ""
    print("error: {}: {}: {}{}".format(what, type(error).__name__, error, where), file=sys.stderr)
    print("  run it in the app's own environment, in the folder and with the variables that beat has", file=sys.stderr)
    sys.exit(1)


def class_name(thing):
    kind = type(thing)
    return "{}.{}".format(kind.__module__, kind.__qualname__)


def zone_name(zone):
    """Of zoneinfo, pytz and dateutil; None where it has none."""
    name = getattr(zone, "key", None) or getattr(zone, "zone", None) or str(zone)
    if zone is datetime.timezone.utc or name in ("UTC", "UTC+00:00", "tzutc()"):
        return "UTC"
    return name if re.match(r"^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$", name) else None


def moment(at):
    """A datetime as RedBeat writes it."""
    offset = at.utcoffset()
    if offset is None:
        raise Refused("{} has no zone".format(at), "a datetime with a zone")
    parts = {"__type__": "datetime"}
    parts.update((part, getattr(at, part)) for part in DATE_PARTS)
    parts["timezone"] = offset.total_seconds()
    return parts


def plain(what, value):
    """A value as the message holds it: kombu's own JSON, read again."""
    from kombu.utils import json as kombu_json

    for one in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        if callable(one) and hasattr(one, "delay"):
            raise Refused("{} hold {}, which beat calls anew for each message".format(what, class_name(one)),
                          "let the task itself call it")
    try:
        held = json.loads(kombu_json.dumps(value), parse_constant=not_json)
        # Half a character can be escaped, and written into no file.
        json.dumps(held, ensure_ascii=False).encode()
        return held
    except Exception as error:
        raise Refused("{} are not JSON: {}".format(what, error), "texts, numbers, lists and dicts, which the task reads")


def stored(what, text, otherwise):
    """JSON out of a table."""
    try:
        return json.loads(text or otherwise)
    except ValueError as error:
        raise Refused("{} are not JSON: {}".format(what, error), "its beat disables it, too: put the row right")


def not_json(word):
    raise ValueError("{} is no number of JSON".format(word))


def schedule(when):
    """A schedule as RedBeat writes it, with what it would lose; a class of the app by its name."""
    from celery import schedules

    name = class_name(when)
    nowfun = getattr(when, "nowfun", None)
    if getattr(nowfun, "__module__", "").startswith("django_celery_beat."):
        nowfun = None
    zone = getattr(when, "tz", None) if name == "django_celery_beat.tzcrontab.TzAwareCrontab" else None
    if nowfun is not None and zone is None:
        raise Refused("nowfun: a function says what time it is", "the app's timezone, and a schedule without nowfun")
    if type(when) is schedules.crontab or zone is not None:
        words = {"__type__": "crontab"}
        for word in CRON_WORDS:
            written = getattr(when, "_orig_" + word)
            words[word] = written if isinstance(written, (int, str)) else sorted(getattr(when, word))
        if zone is not None:
            if zone_name(zone) is None:
                raise Refused("the zone {!r} has no name".format(zone), "a zone by its name, as Europe/Berlin")
            words["timezone"] = zone_name(zone)
        return words
    if type(when) is schedules.schedule:
        return {"__type__": "interval", "every": when.run_every.total_seconds(), "relative": bool(when.relative)}
    if type(when) is schedules.solar:
        return {"__type__": "solar", "event": when.event, "lat": float(when.lat), "lon": float(when.lon)}
    if name == "django_celery_beat.clockedschedule.clocked":
        return {"__type__": "clocked", "clocked_time": moment(when.clocked_time)}
    if name == "redbeat.schedules.rrule":
        return rrule(when)
    return {"__type__": name}


def rrule(when):
    def number(value):
        if isinstance(value, (list, tuple)):
            return [number(one) for one in value]
        if hasattr(value, "weekday"):
            return {"__type__": "weekday", "wkday": value.weekday, "n": value.n}
        return value

    words = {"__type__": "rrule"}
    words.update((word, number(getattr(when, word))) for word in RRULE_WORDS)
    for word in ("dtstart", "until"):
        at = getattr(when, word)
        if at is not None:
            words[word] = int(at.timestamp())
            words[word + "_tz"] = at.utcoffset().total_seconds() / 60
    return words


def option(name, value):
    """A value of apply_async, as JSON."""
    if isinstance(value, datetime.datetime):
        return moment(value)
    if name in ("queue", "exchange") and not isinstance(value, str):
        return getattr(value, "name", str(value))
    if name in ("link", "link_error", "chain", "chord"):
        return str(value)
    return plain("options." + name, value)


def destination(app, routed):
    """Where Celery would publish it, by the rules of its own sender."""
    queue, exchange, key = (routed.pop(word, None) for word in ("queue", "exchange", "routing_key"))
    kind = routed.pop("exchange_type", None)
    if queue is None and exchange is None:
        queue = app.amqp.default_queue
    if isinstance(queue, str):
        queue = app.amqp.queues[queue]
    exchange = getattr(exchange, "name", exchange)
    if kind is None:
        kind = getattr(getattr(queue, "exchange", None), "type", "direct")
    if (not exchange or not key) and kind == "direct":
        return {"queue": getattr(queue, "name", None)}
    if not exchange:
        exchange = queue.exchange.name or app.amqp.default_exchange.name
        key = key or queue.routing_key or app.conf.task_default_routing_key
    return {"exchange": exchange, "routing_key": key or app.conf.task_default_routing_key}


def sent_with(app, entry, tasks):
    """The options that the message is sent with: the entry's own, those of the task, and where task_routes leads it."""
    task = app.tasks.get(entry.task)
    of_task = {}
    if task is not None:
        of_task = {name: value for name, value in task._get_exec_options().items() if value is not None}
    options = {name: value for name, value in dict(of_task, **entry.options).items() if value is not None}
    args, kwargs = list(entry.args or ()), dict(entry.kwargs or {})
    routed = dict(app.amqp.router.route(dict(options), entry.task, args, kwargs, task))
    place = destination(app, routed)
    routed.update(place)
    default = place.get("queue") == app.conf.task_default_queue
    is_own = any(entry.options.get(name) for name in ("queue", "exchange", "routing_key"))
    of_code = {name: value for name, value in of_task.items() if name not in entry.options and name in routed}
    of_code.pop("serializer", None)
    if not is_own and not default:
        of_code.update(place)
    if of_code:
        tasks[entry.task] = {name: option(name, value) for name, value in sorted(of_code.items())}
    return {name: option(name, value) for name, value in routed.items()}


def exported(app, entry, tasks):
    """One ScheduleEntry as RedBeat would store it."""
    definition = {
        "name": entry.name,
        "task": entry.task,
        "args": plain("args", list(entry.args or ())),
        "kwargs": plain("kwargs", dict(entry.kwargs or {})),
        "options": sent_with(app, entry, tasks),
        "schedule": schedule(entry.schedule),
        "enabled": True,
    }
    return {"definition": definition, "meta": {"last_run_at": None, "total_run_count": 0}}


class Export:
    """The document, as it grows."""

    def __init__(self, app):
        self.app = app
        self.entries = {}
        self.refused = []
        self.tasks = {}
        self.notes = []

    def add(self, source, name, read):
        """Adds what `read` returns, or why it does not."""
        try:
            entry = read()
        except Refused as refused:
            self.refuse(source, name, str(refused), refused.hint)
        except Exception as error:
            self.refuse(source, name, "{}: {}".format(type(error).__name__, error), None)
        else:
            entry["source"] = source
            self.entries[name] = entry

    def refuse(self, source, name, reason, hint):
        self.refused.append({"name": str(name), "source": source, "reason": reason, "hint": hint})

    def count(self, source):
        of_source = [one for one in list(self.entries.values()) + self.refused if one["source"] == source]
        return len(of_source)

    def beat_schedule(self):
        from celery.beat import ScheduleEntry

        def read(name, given):
            if isinstance(given, ScheduleEntry):
                given.app = self.app
                return exported(self.app, given, self.tasks)
            return exported(self.app, ScheduleEntry(**dict(given, name=name, app=self.app)), self.tasks)

        for name, given in dict(self.app.conf.beat_schedule or {}).items():
            self.add("beat_schedule", name, lambda: read(name, given))

    def own_entry(self):
        """celery.backend_cleanup, which a beat adds by itself for backends that do not forget."""
        from celery.backends.base import DisabledBackend
        from celery.beat import ScheduleEntry
        from celery.schedules import crontab

        name, app = "celery.backend_cleanup", self.app
        backend = app.backend
        if isinstance(backend, DisabledBackend) or backend.supports_autoexpire or not app.conf.result_expires:
            return
        if name not in self.entries:
            entry = ScheduleEntry(name=name, task=name, schedule=crontab("0", "4", "*"), options={"expires": 12 * 3600},
                                  app=app)
            self.add("celery", name, lambda: exported(app, entry, self.tasks))

    def django(self):
        """The tables of django-celery-beat; a beat writes beat_schedule into them, too, which counts there."""
        from celery.beat import ScheduleEntry
        from django_celery_beat.models import PeriodicTask

        def read(row):
            options = {name: getattr(row, name) for name in ("queue", "exchange", "routing_key", "priority")}
            options = {name: value for name, value in options.items() if value not in (None, "")}
            expires = row.expires or getattr(row, "expire_seconds", None)
            if expires:
                options["expires"] = expires
            headers = stored("headers", getattr(row, "headers", None), "{}")
            options["headers"] = dict(headers, periodic_task_name=row.name)
            entry = ScheduleEntry(name=row.name, task=row.task, schedule=row.schedule, options=options,
                                  args=stored("args", row.args, "[]"), kwargs=stored("kwargs", row.kwargs, "{}"),
                                  app=self.app)
            entry = exported(self.app, entry, self.tasks)
            definition = entry["definition"]
            definition["one_off"] = bool(getattr(row, "one_off", False))
            if getattr(row, "start_time", None):
                definition["start_time"] = moment(aware(row.start_time))
            return entry

        for row in PeriodicTask.objects.all().order_by("name"):
            if row.name not in self.entries:
                self.add("django_celery_beat", row.name, lambda: read(row))
            if row.name in self.entries:
                entry = self.entries[row.name]
                entry["definition"]["enabled"] = bool(row.enabled)
                if row.last_run_at:
                    entry["meta"] = {"last_run_at": moment(aware(row.last_run_at)), "total_run_count": row.total_run_count}

    def last_runs(self, path):
        """When each entry fired last, from the file of a beat without a database."""
        with shelve.open(path, flag="r") as stored:
            for name, entry in dict(stored.get("entries") or {}).items():
                if name in self.entries and entry.last_run_at is not None:
                    meta = {"last_run_at": moment(aware(entry.last_run_at)), "total_run_count": entry.total_run_count}
                    self.entries[name]["meta"] = meta

    def remarks(self):
        """What of the app changes messages where nobody can see it."""
        from celery import signals
        from celery.app.task import Task

        for name in sorted({entry["definition"]["task"] for entry in self.entries.values()}):
            task = self.app.tasks.get(name)
            if task is not None and type(task).apply_async is not Task.apply_async:
                self.notes.append("{} has an apply_async of its own: what it adds to messages is not in the export".format(name))
        if signals.before_task_publish.receivers:
            self.notes.append("the app listens to before_task_publish: what it changes in messages is not in the export")

    def document(self):
        import celery

        conf, app = self.app.conf, self.app
        queues = [
            {"name": queue.name, "exchange": queue.exchange.name, "exchange_type": queue.exchange.type,
             "routing_key": queue.routing_key}
            for queue in app.amqp.queues.values()
        ]
        transport = conf.broker_transport_options or {}
        return {
            "upbeat_export": 1,
            "exported_at": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "app": app.main,
            "celery": celery.__version__,
            "timezone": zone_name(app.timezone),
            "enable_utc": bool(conf.enable_utc),
            "broker": broker(app),
            "broker_transport_options": {
                name: transport[name] for name in ("global_keyprefix", "priority_steps", "sep") if name in transport
            },
            "task_default_queue": conf.task_default_queue,
            "task_serializer": conf.task_serializer,
            "beat_cron_starting_deadline": getattr(conf, "beat_cron_starting_deadline", None),
            "queues": queues,
            "tasks": self.tasks,
            "notes": self.notes,
            "entries": list(self.entries.values()),
            "not_exported": self.refused,
        }


def aware(at):
    """Django without USE_TZ and old beats keep datetimes without a zone: theirs is UTC."""
    return at if at.utcoffset() is not None else at.replace(tzinfo=datetime.timezone.utc)


def broker(app):
    """The url that messages are written to, without its password."""
    url = app.conf.broker_write_url or app.conf.broker_url or ""
    urls = url if isinstance(url, (list, tuple)) else str(url).split(";")
    url = PARAMETER.sub(r"\1***", PASSWORD.sub(r"\1@", str(urls[0]))) if urls and urls[0] else "amqp://"
    return url.replace("://@", "://")


def load(name):
    sys.path.insert(0, os.getcwd())
    try:
        from celery.app.utils import find_app
    except ImportError as error:
        fail("Celery is not installed here", error)
    try:
        app = find_app(name)
        # As a beat does before it reads its schedule: modules with tasks, then what they left for later.
        app.loader.import_default_modules()
        app.finalize()
    except BaseException as error:
        fail("{} can't be imported".format(name), error)
    return app


def has_django_beat():
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return False
    import django
    from django.apps import apps

    if not apps.ready:
        django.setup()
    return apps.is_installed("django_celery_beat")


def main():
    parser = argparse.ArgumentParser(description="Prints a Celery beat's entries as JSON for upbeat import celery.")
    parser.add_argument("app", help="as for celery -A: proj, proj.celery or proj.celery:app")
    parser.add_argument("-s", "--schedule", metavar="FILE", help="a beat's celerybeat-schedule, for when entries fired last")
    given = parser.parse_args()
    app = load(given.app)
    export = Export(app)
    try:
        export.beat_schedule()
        if given.schedule:
            export.last_runs(given.schedule)
    except Exception as error:
        fail("the app's beat_schedule can't be read", error)
    sources = ["beat_schedule"]
    try:
        if has_django_beat():
            export.django()
            sources.append("django_celery_beat")
    except Exception as error:
        fail("the tables of django-celery-beat can't be read", error)
    export.own_entry()
    sources.append("celery")
    export.remarks()
    try:
        document = export.document()
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    except Exception as error:
        fail("the app's settings can't be read", error)
    counts = [(source, export.count(source)) for source in sources]
    said = ", ".join("{} from {}".format(count, source) for source, count in counts if count or source != "celery")
    zone = document["timezone"] or "without a name"
    print("{} entries: {} · timezone {} · broker {}".format(sum(count for _, count in counts), said, zone, document["broker"]),
          file=sys.stderr)
    for one in export.refused:
        print("  {}  {}".format(one["name"], one["reason"]), file=sys.stderr)
    for note in export.notes:
        print("note: " + note, file=sys.stderr)
    scheduler = str(app.conf.beat_scheduler or "")
    if "redbeat" in scheduler.lower() or app.conf.get("redbeat_redis_url"):
        print("note: this app uses RedBeat: entries that were made at run time are in its Redis, upbeat import redbeat reads them",
              file=sys.stderr)
    OUT.write(text + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""scripts/bench peers: RedBeat and celery beat against upbeat, delivering the same Celery messages, one after the other.

Each has a Redis of its own on a socket in a folder that is gone afterwards, and does the same three things:

  burst   ENTRIES messages that are due at once: from when the first is there, for upbeat from the instant at which they are
          due, until the last is; commands and Redis CPU of all of them
  steady  RATE entries fire at each whole second: how late a message is in its list, and how many were missed
  kill    one entry a second; kill -9: of the upbeat node that won last (three nodes), of the RedBeat that holds the lock (two beats,
          beat_max_loop_interval 5 s as its documentation advises; by default it takes 30 minutes), of the one celery beat,
          which a supervisor starts again at once

Commands are those of INFO commandstats, with the ones that scripts call, without the measuring ones. Run by scripts/bench.
"""
import argparse
import atexit
import base64
import ctypes
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time

import redis

# What the measuring itself sends.
OWN_COMMANDS = {"info", "config|resetstat", "llen", "brpop", "hello", "client|setinfo", "client|setname", "flushall", "ping"}
QUEUE = "bench"
MODULE = textwrap.dedent("""
    import datetime, os
    from celery import Celery
    app = Celery("peer", broker=os.environ["PEER_BROKER"], set_as_current=True)
    app.conf.update(task_default_queue="bench", timezone="UTC", beat_max_loop_interval=5, task_ignore_result=True,
                    redbeat_redis_url=os.environ["PEER_BROKER"].replace("redis+socket://", "unix://"), redbeat_lock_timeout=25)
    old = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    count, every, is_burst = (int(os.environ["PEER_" + name]) for name in ("COUNT", "EVERY", "BURST"))
    app.conf.beat_schedule = {} if os.environ.get("PEER_REDBEAT") else {
        "e%d" % n: dict({"task": "bench.noop", "schedule": every, "args": (n,), "relative": not is_burst},
                        **({"last_run_at": old} if is_burst else {}))
        for n in range(count)}
    """)
SEED = textwrap.dedent("""
    import peer
    from celery.schedules import schedule
    from redbeat import RedBeatSchedulerEntry
    for n in range(peer.count):
        every = schedule(peer.every, relative=not peer.is_burst)
        last = {"last_run_at": peer.old} if peer.is_burst else {}
        RedBeatSchedulerEntry("e%d" % n, "bench.noop", every, args=[n], app=peer.app, **last).save()
    """)

children = []


def end_with_parent():
    """Linux: a child of a bench that was killed ends, too."""
    os.setsid()
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    except (AttributeError, OSError):
        pass


def start(command, **more):
    child = subprocess.Popen(command, preexec_fn=end_with_parent, stdin=subprocess.DEVNULL, **more)
    children.append(child)
    return child


def kill(child):
    """kill -9 of the process and of all it has started."""
    if child.poll() is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    child.wait()


def end_all():
    for child in children:
        kill(child)
    children.clear()


atexit.register(end_all)


def wait_for(what, ready, seconds=60):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            sys.exit("bench: waited {} s in vain: {}".format(seconds, what))
        time.sleep(0.01)


class Server:
    """A private Redis."""

    def __init__(self, dir):
        self.dir = tempfile.mkdtemp(prefix="r", dir=dir)
        self.socket = os.path.join(self.dir, "s")
        command = [os.environ.get("UPBEAT_REDIS_SERVER", "redis-server"), "--port", "0", "--unixsocket", self.socket,
                   "--save", "", "--appendonly", "no", "--dir", self.dir, "--logfile", os.path.join(self.dir, "log")]
        self.child = start(command)
        wait_for("redis-server", lambda: os.path.exists(self.socket))
        self.client = redis.Redis(unix_socket_path=self.socket)
        wait_for("redis-server", self.is_up)

    def is_up(self):
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def cpu_s(self):
        info = self.client.info("cpu")
        return info["used_cpu_user"] + info["used_cpu_sys"]

    def commands(self):
        stats = self.client.info("commandstats")
        return sum(one["calls"] for name, one in stats.items() if name[len("cmdstat_"):] not in OWN_COMMANDS)

    def length(self):
        return self.client.llen(QUEUE)

    def collect(self):
        """Takes messages from now on, each with the time at which it was there, whatever else is done meanwhile."""
        self.taken = []
        self.collector = threading.Thread(target=self.pop, args=(self.taken,), daemon=True)
        self.collector.start()

    def pop(self, taken):
        client = redis.Redis(unix_socket_path=self.socket)
        while taken is self.taken:
            try:
                popped = client.brpop([QUEUE], timeout=0.5)
            except redis.ConnectionError:
                return
            if popped:
                taken.append((time.time(), popped[1]))

    def collected(self):
        """What was taken, and no more."""
        found, self.taken = self.taken, None
        self.collector.join()
        return found


class Beats:
    """celery beat with its own scheduler, or RedBeat's."""

    at = None

    def __init__(self, given, dir, name, is_redbeat):
        self.given, self.name, self.is_redbeat = given, name, is_redbeat
        self.server = Server(dir)
        self.dir = self.server.dir
        with open(os.path.join(self.dir, "peer.py"), "w") as module:
            module.write(MODULE)
        self.log = open(os.path.join(self.dir, "beat.log"), "w")
        self.running = []

    def env(self, count, every, is_burst):
        env = dict(os.environ, PEER_BROKER="redis+socket://" + self.server.socket, PEER_COUNT=str(count), PEER_EVERY=str(every),
                   PEER_BURST=str(int(is_burst)), PYTHONPATH=self.dir, PYTHONDONTWRITEBYTECODE="1")
        return dict(env, PEER_REDBEAT="1") if self.is_redbeat else env

    def beat(self):
        file = os.path.join(self.dir, "schedule-{}".format(len(children)))
        how = ["-S", "redbeat.RedBeatScheduler"] if self.is_redbeat else ["-s", file]
        command = [sys.executable, "-m", "celery", "-A", "peer", "beat", "--pidfile=", "-l", "WARNING"] + how
        child = start(command, cwd=self.dir, env=self.settings, stdout=self.log, stderr=self.log)
        self.running.append(child)
        return child

    def begin(self, count, every, is_burst):
        self.stop()
        self.server.client.flushall()
        self.settings = self.env(count, every, is_burst)
        if self.is_redbeat:
            subprocess.run([sys.executable, "-c", SEED], cwd=self.dir, env=self.settings, check=True, stdout=self.log, stderr=self.log)
        self.server.client.config_resetstat()
        self.cpu_s = self.server.cpu_s()
        self.beat()

    def stop(self):
        for child in self.running:
            kill(child)
        self.running = []

    def burst(self, count):
        self.begin(count, 3600, True)

    def steady(self, rate):
        self.begin(rate, 1, False)

    def one_a_second(self):
        self.begin(1, 1, False)

    def stand_by(self):
        """A second RedBeat, which waits for the lock of the first."""
        if self.is_redbeat:
            self.beat()
            time.sleep(3)

    def kill_winner(self):
        """The process whose death hurts, dead; what restarts it has done so."""
        kill(self.running.pop(0))
        if not self.is_redbeat:
            self.beat()


class Upbeat:
    """Three nodes."""

    name = "upbeat"
    NODES = 3

    def __init__(self, given, dir):
        self.given = given
        self.server = Server(dir)
        self.dir = self.server.dir
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("UPBEAT_")}
        self.env.update(UPBEAT_REDIS="unix://" + self.server.socket, HOME=self.dir, XDG_CONFIG_HOME=self.dir)
        self.log = open(os.path.join(self.dir, "nodes.log"), "w")
        self.running = {}

    def upbeat(self, *words):
        command = [self.given.upbeat] + list(words)
        done = subprocess.run(command, cwd=self.dir, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            sys.exit("bench: {}: {}".format(" ".join(words), done.stderr.decode()))
        return done.stdout

    def begin(self, count, every, ahead_s):
        """Entries that fire first at one whole second, so far ahead, and the nodes."""
        self.stop()
        self.server.client.flushall()
        self.at = int(time.time()) + ahead_s
        first = datetime.datetime.fromtimestamp(self.at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        entries = {
            "e{}".format(n): {"every": every, "start": first, "celery": {"task": "bench.noop", "args": [n], "queue": QUEUE}}
            for n in range(count)
        }
        file = os.path.join(self.dir, "bench.json")
        with open(file, "w") as out:
            json.dump({"entries": entries}, out)
        self.upbeat("-q", "apply", "-f", file)
        for n in range(self.NODES):
            name = "n{}".format(n)
            command = [self.given.upbeat, "node", "--name", name]
            self.running[name] = start(command, cwd=self.dir, env=self.env, stdout=self.log, stderr=self.log)
        wait_for("nodes", lambda: len(json.loads(self.upbeat("-o", "json", "nodes"))) == self.NODES)
        if time.time() > self.at - 0.2:
            sys.exit("bench: writing the entries took too long, {} s are too short".format(ahead_s))
        self.server.client.config_resetstat()
        self.cpu_s = self.server.cpu_s()

    def stop(self):
        for child in self.running.values():
            kill(child)
        self.running = {}

    def burst(self, count):
        self.begin(count, "1h", 5 + count // 1000 + self.given.slow)

    def steady(self, rate):
        self.begin(rate, "1s", 4 + self.given.slow)

    def one_a_second(self):
        self.begin(1, "1s", 4 + self.given.slow)

    def stand_by(self):
        """All three do that from the beginning."""

    def kill_winner(self):
        last = json.loads(self.upbeat("-o", "json", "runs", "--limit", "1"))
        winner = last[0]["node"]
        kill(self.running.pop(winner))


def burst(peer, count):
    peer.burst(count)
    server = peer.server
    wait_for("the first message", server.length, 120)
    # A beat is due when it is there; entries of upbeat are at an instant.
    begun, first = (peer.at, 0) if peer.at else (time.time(), server.length())
    wait_for("the last message", lambda: server.length() >= count, 300)
    took = max(time.time() - begun, 1e-3)
    cpu_s, commands = server.cpu_s() - peer.cpu_s, server.commands()
    return {
        "fires_per_s": round((count - first) / took),
        "commands_per_fire": round(commands / count, 1),
        "redis_us_per_fire": round(cpu_s / count * 1e6, 1),
    }


def number_of(message):
    """Which entry has sent it: its argument."""
    return json.loads(base64.b64decode(json.loads(message)["body"]))[0][0]


def steady(peer, rate, seconds):
    peer.steady(rate)
    wait_for("the first message", peer.server.length, 120)
    peer.server.collect()
    # The first second is that of a start.
    begin = int(time.time()) + 2
    time.sleep(begin + seconds - time.time() + 0.9)
    found = [(at, message) for at, message in peer.server.collected() if begin <= at < begin + seconds]
    late = sorted(at % 1 for at, _ in found)
    entries = {number_of(message) for _, message in found}
    if len(entries) != rate:
        sys.exit("bench: {} of {} entries of {} have fired".format(len(entries), rate, peer.name))
    expected = rate * seconds
    return {
        "lag_p50_ms": round(late[len(late) // 2] * 1000, 1),
        "lag_p99_ms": round(late[min(len(late) - 1, len(late) * 99 // 100)] * 1000, 1),
        "missed": max(0, expected - len(found)),
        "expected": expected,
    }


def killed(peer, most_s):
    peer.one_a_second()
    wait_for("the first message", peer.server.length, 120)
    peer.stand_by()
    peer.server.collect()
    time.sleep(3.4 - time.time() % 1)
    peer.kill_winner()
    at = time.time()
    # The gap is over when a message is there that was sent after the kill; a little more shows what follows.
    while time.time() < at + most_s and not any(there > at + 2 for there, _ in peer.server.taken):
        time.sleep(0.1)
    time.sleep(1.5)
    times = [there for there, _ in peer.server.collected()]
    gaps = [second - first - 1 for first, second in zip(times, times[1:]) if second > at - 1]
    if not gaps:
        return {"kill_gap_ms": None, "kill_lost": None}
    whole = int(times[-1]) - int(times[0])
    return {"kill_gap_ms": max(0, round(max(gaps) * 1000)), "kill_lost": max(0, whole - (len(times) - 1))}


def verdicts(rows):
    """What upbeat promises, beside the best of the others."""
    ours, others = rows[0], rows[1:]
    best = lambda key, choose: choose(row[key] for row in others if row[key] is not None)
    held = {
        "fires_per_s": ours["fires_per_s"] >= best("fires_per_s", max),
        "commands_per_fire": ours["commands_per_fire"] <= best("commands_per_fire", min),
        "redis_us_per_fire": ours["redis_us_per_fire"] <= best("redis_us_per_fire", min),
        "lag_p99_ms": ours["lag_p99_ms"] <= best("lag_p99_ms", min),
        "missed": ours["missed"] == 0,
        "kill_gap_ms": ours["kill_gap_ms"] is not None and ours["kill_gap_ms"] <= 100,
        "kill_lost": ours["kill_lost"] == 0,
    }
    return {key: "ok" if is_held else "short" for key, is_held in held.items()}


HEADS = [
    ("PEER", "peer"), ("FIRES/S", "fires_per_s"), ("COMMANDS", "commands_per_fire"), ("REDIS US", "redis_us_per_fire"),
    ("LAG P50 MS", "lag_p50_ms"), ("LAG P99 MS", "lag_p99_ms"), ("MISSED", "missed"), ("KILL GAP MS", "kill_gap_ms"),
    ("KILL LOST", "kill_lost"),
]


def table(rows, verdict):
    lines = [[head for head, _ in HEADS]]
    for row in rows:
        lines.append(["-" if row[key] is None else "{:,}".format(row[key]) if isinstance(row[key], int) else str(row[key])
                      for _, key in HEADS])
    lines.append(["verdict"] + [verdict.get(key, "") for _, key in HEADS[1:]])
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEADS))]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(line, widths)).rstrip() for line in lines)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench peers", description="RedBeat and celery beat beside upbeat")
    parser.add_argument("--quick", action="store_true", help="smaller, about a minute and a half")
    parser.add_argument("--entries", type=int, help="due at one instant [10,000; 1,000 with --quick]")
    parser.add_argument("--rate", type=int, help="fires a second [100; 50 with --quick]")
    parser.add_argument("--seconds", type=int, help="of the steady part [20; 5 with --quick]")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    parser.add_argument("--upbeat", default="target/release/upbeat", help="the binary")
    parser.add_argument("--slow", type=int, default=0, help="seconds more for upbeat to start, for debug binaries")
    given = parser.parse_args()
    given.upbeat = os.path.abspath(given.upbeat)
    for name, usual, quick, most in (("entries", 10_000, 1_000, 100_000), ("rate", 100, 50, 1_000), ("seconds", 20, 5, 600)):
        value = getattr(given, name)
        value = (quick if given.quick else usual) if value is None else value
        if not 1 <= value <= most:
            parser.error("--{} {} is not between 1 and {:,}".format(name, value, most))
        setattr(given, name, value)
    dir = tempfile.mkdtemp(prefix="upbeat-peers.", dir=os.environ.get("XDG_RUNTIME_DIR") or "/tmp")
    atexit.register(shutil.rmtree, dir, True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows = []
    peers = [
        ("upbeat", lambda: Upbeat(given, dir), 10),
        ("RedBeat", lambda: Beats(given, dir, "RedBeat", True), 60),
        ("celery beat", lambda: Beats(given, dir, "celery beat", False), 60),
    ]
    for name, make, most_s in peers:
        peer = make()
        row = {"peer": name}
        for part, measure in (("burst", lambda: burst(peer, given.entries)), ("steady", lambda: steady(peer, given.rate, given.seconds)),
                              ("kill -9", lambda: killed(peer, most_s))):
            print("{}: {} ...".format(name, part), file=sys.stderr, flush=True)
            row.update(measure())
        peer.stop()
        kill(peer.server.child)
        rows.append(row)
    verdict = verdicts(rows)
    if given.output == "json":
        print(json.dumps({"entries": given.entries, "rate": given.rate, "seconds": given.seconds, "peers": rows, "verdicts": verdict}))
        return
    print(table(rows, verdict))
    print("burst of {:,} entries: fires/s, commands (INFO commandstats, those in scripts too) and Redis CPU a fire; lag: {} fires at each "
          "whole second for {} s; kill: one entry a second, ms beyond the second until the next message, and fires that never came. "
          "upbeat has 3 nodes, RedBeat 2 beats with beat_max_loop_interval = 5, celery beat is started again at once. ok: not "
          "behind the best of the others, and at most 100 ms after a kill".format(given.entries, given.rate, given.seconds))


if __name__ == "__main__":
    main()

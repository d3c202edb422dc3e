//! Examples of the commands whose words stand in no file of their own; printed below their help.

/// Those of the command at this path, `runs show`.
pub fn of(path: &str) -> Option<&'static str> {
    EXAMPLES.iter().find(|(its, _)| *its == path).map(|(_, text)| *text)
}

const EXAMPLES: &[(&str, &str)] = &[
    (
        "dev",
        "Examples:
  upbeat dev                 three nodes that may run http, exec, shell and celery; Ctrl-C stops them
  upbeat dev --nodes 0       only the private Redis: upbeat node starts nodes
  upbeat dev --reset         forgets what the last playground in this folder left
Other commands in this folder, and below it, find it by themselves.",
    ),
    (
        "node",
        "Examples:
  upbeat node                                            all queues, http alone
  upbeat node --allow exec,shell --concurrency 32
  upbeat node --name big --queues batch,reports --allow exec --pass-env TZ,PGHOST
  upbeat node --allow celery                             sends tasks to other brokers, waits for those that are tracked
  upbeat node --log json --redis rediss://redis:6380/0
Start as many as you like; none of them is special. SIGTERM drains: what runs may end within --drain-timeout.",
    ),
    (
        "add",
        "Examples:
  upbeat add disk --every 5m -- df -h .
  upbeat add report --cron '0 9 * * mon-fri' --tz Asia/Shanghai --timeout 10m -- ./report.sh
  upbeat add nightly --cron 'H 2 * * *' --retry max_attempts=3,delay=1m -- ./backup.sh
  upbeat add ping --every 1m --http 'POST https://example.org/ping'
  upbeat add launch --at 2026-12-01T09:00 --tz Europe/Berlin --shell 'make | tee launch.log'
  upbeat add tick --every 10s --list app:ticks           a message into a Redis list
  upbeat add mail --every 1h --celery app.tasks.mail     a task for Celery workers; task=...,kwargs.n=1,queue=...
Exit 4 when the id exists: --replace, --if-absent, or upbeat set.",
    ),
    (
        "set",
        "Examples:
  upbeat set report --timeout 15m --overlap skip
  upbeat set report --cron '0 8 * * *' --tz Europe/Berlin --dry-run
  upbeat set report --retry within=2h --unset labels.tier,note
  upbeat set report -- ./report.sh --weekly
What is overdue ends by the old rules; tables merge key by key.",
    ),
    (
        "show",
        "Examples:
  upbeat show report
  upbeat show report -o json",
    ),
    (
        "ls",
        "Examples:
  upbeat ls
  upbeat ls reports.              ids that begin so
  upbeat ls -l tier=gold -o id | xargs upbeat pause
  upbeat ls --warnings            entries with a stuck or failing run, or without a node that may run them
  upbeat ls --limit 100 --after reports.eu        100 of them behind this id, the last of the page before
Pages stay right while entries come and go: what stays is neither left out nor listed twice.",
    ),
    (
        "rm",
        "Examples:
  upbeat rm report --reason 'replaced by report-v2'
  upbeat rm -l team=growth --dry-run
  upbeat rm --owner growth -y
Queued runs end cancelled, running ones end by themselves, records stay; what is overdue ends missed.",
    ),
    (
        "next",
        "Examples:
  upbeat next report --count 10
  upbeat next --cron '30 2 * * *' --tz Europe/Berlin --from 2027-03-27
  upbeat next --cron '0 9 * * mon' --cron '0 18 * * fri'
  upbeat next --rrule 'FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17;BYMINUTE=0;BYSECOND=0'
An expression or a rule needs no Redis.",
    ),
    (
        "import",
        "Examples:
  upbeat import crontab /var/spool/cron/ana --tz Europe/Berlin > jobs.toml
  crontab -l | upbeat import crontab - | upbeat apply -f - --dry-run
  kubectl get cronjobs -A -o yaml | upbeat import k8s - > jobs.toml
  upbeat import celery --exporter > export_beat.py
  upbeat import redbeat redis://broker:6379/0 --tz Europe/Berlin > redbeat.toml
upbeat help migrate is the guide: in which order, how to compare, and the way back.",
    ),
    (
        "runs",
        "Examples:
  upbeat runs                                      the newest 50 of all entries
  upbeat runs report --state failed,missed --since -7d
  upbeat runs report -f                            as they end
  upbeat runs --node web-1 --limit 0 -o jsonl
  upbeat runs show report@2026-11-20T02:00:00.000Z
RUN is a run id, ID@FIRE_AT, or ID for its latest.",
    ),
    (
        "runs show",
        "Examples:
  upbeat runs show report                          its latest
  upbeat runs show report@2026-11-20T02:00:00.000Z",
    ),
    (
        "runs logs",
        "Examples:
  upbeat runs logs report
  upbeat runs logs report -f",
    ),
    (
        "runs cancel",
        "Examples:
  upbeat runs cancel report --reason 'stale lock'",
    ),
    (
        "runs retry",
        "Examples:
  upbeat runs retry report@2026-11-20T02:00:00.000Z",
    ),
    (
        "logs",
        "Examples:
  upbeat logs report                               output of its latest run
  upbeat logs report -f                            while it runs, on whichever node
  upbeat logs report@2026-11-20T02:00:00.000Z --attempt 1",
    ),
    (
        "cancel",
        "Examples:
  upbeat cancel report --reason 'stale lock'       its latest run
  upbeat cancel report@2026-11-20T02:00:00.000Z
A run that is executed gets SIGTERM, 10 s later SIGKILL. Exit 4 when it has ended already.",
    ),
    (
        "retry",
        "Examples:
  upbeat retry report                              its latest run, if it failed
  upbeat retry report@2026-11-20T02:00:00.000Z --reason 'disk is free again'
The same run, its next attempt; upbeat dead retry reopens many.",
    ),
    (
        "dead",
        "Examples:
  upbeat dead                                      runs that failed for good, the newest first
  upbeat dead retry report --dry-run
  upbeat dead purge --all -y",
    ),
    (
        "dead ls",
        "Examples:
  upbeat dead ls report
  upbeat dead ls --limit 0 -o id",
    ),
    (
        "dead show",
        "Examples:
  upbeat dead show report@2026-11-20T02:00:00.000Z",
    ),
    (
        "nodes",
        "Examples:
  upbeat nodes
  upbeat nodes -o json",
    ),
    (
        "queues",
        "Examples:
  upbeat queues
  upbeat queues -o json",
    ),
    (
        "queues pause",
        "Examples:
  upbeat queues pause reports --reason 'the database moves'
Runs that execute go on; fire times go on too, their runs wait.",
    ),
    (
        "queues resume",
        "Examples:
  upbeat queues resume reports",
    ),
    (
        "calendars",
        "Examples:
  upbeat calendars
  upbeat calendars put cn-holidays -f cn-holidays.ics
  upbeat add report --cron '0 9 * * *' --exclude cn-holidays -- ./report.sh",
    ),
    (
        "calendars show",
        "Examples:
  upbeat calendars show cn-holidays
  upbeat calendars show cn-holidays -o json",
    ),
    (
        "calendars put",
        "Examples:
  upbeat calendars put cn-holidays -f cn-holidays.ics --reason 'holidays of 2027'
  upbeat calendars put closed -f dates.txt --dry-run",
    ),
    (
        "calendars rm",
        "Examples:
  upbeat calendars rm closed",
    ),
    (
        "bench",
        "Examples:
  upbeat bench --quick --redis unix:///tmp/bench.sock
  upbeat bench lag --nodes 5 --rate 200 --redis unix:///tmp/bench.sock -o json
Only on a Redis that nothing else uses: what it spends in all is measured.",
    ),
    (
        "bench all",
        "Examples:
  upbeat bench all --quick -o jsonl",
    ),
    (
        "bench claim",
        "Examples:
  upbeat bench claim --entries 10000 --rounds 1",
    ),
    (
        "bench life",
        "Examples:
  upbeat bench life --runs 10000 -o json",
    ),
    (
        "bench lag",
        "Examples:
  upbeat bench lag --rate 100 --nodes 3 --seconds 60",
    ),
    (
        "bench idle",
        "Examples:
  upbeat bench idle --nodes 64 --seconds 3600",
    ),
    (
        "bench contention",
        "Examples:
  upbeat bench contention --nodes 1,4,16,64 --rate 10,100",
    ),
    (
        "bench burst",
        "Examples:
  upbeat bench burst --entries 100000 --nodes 8",
    ),
    (
        "bench memory",
        "Examples:
  upbeat bench memory --entries 100000",
    ),
    (
        "bench failover",
        "Examples:
  upbeat bench failover --kills 50 --nodes 4 --rate 100",
    ),
    (
        "bench apply",
        "Examples:
  upbeat bench apply --entries 100000",
    ),
    (
        "completions",
        "Examples:
  upbeat completions bash >> ~/.bashrc
  upbeat completions zsh >> ~/.zshrc
  upbeat completions fish > ~/.config/fish/completions/upbeat.fish
While you type the shell asks upbeat: entries, runs, queues, nodes, zones and calendars are completed too, where Redis answers
within 300 ms (UPBEAT_COMPLETE_MS).",
    ),
    (
        "man",
        "Examples:
  upbeat man | man -l -
  upbeat man add > upbeat-add.1
  upbeat man --dir /usr/local/share/man/man1",
    ),
];

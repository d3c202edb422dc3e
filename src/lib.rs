//! upbeat: the cron of a fleet.
//!
//! Identical nodes, anywhere, share one Redis. Every due time of every entry fires exactly once; none is missed; nothing fails
//! silently. There is no beat process, no leader, no election and no lock that can time out: every node races to claim what is
//! due with one Lua script that advances the next fire time and enqueues the run in one step.
//!
//! # What plays which part
//!
//! ```text
//!  main.rs                        begins as the supervisor of a command, or hands over to the command line
//!  cli/                           the door: a request in words, an answer in words or JSON
//!  bench/                         what all below costs and how quickly it answers, measured on the Redis at hand
//!  service/      node/            what users ask for          | what a node does by itself
//!  store/ -> lua/                 the only place that knows Redis: one Lua file per atomic step
//!  domain/                        pure: schedules, entries, runs, policies, plans; no clock, no tokio, no fred
//!  error config shutdown          ground
//! ```
//!
//! Imports go down only; `tests/architecture.rs` sees to it.
//!
//! # A fire time, from the definition to its end
//!
//! 1. [`domain::entry`] reads what a user wrote; [`domain::plan`] compiles it into a *plan*: policies, and the next fire times
//!    by arithmetic or as a list. Scripts know no cron and no zones.
//! 2. [`service`] writes definition and plan by `put.lua`, which settles what the old plan still owes and takes the new plan's
//!    first time after the shard's own now. The entry stands in the zset `due` by its next fire time.
//! 3. A [`node`] wakes at that time and calls `claim.lua`: it decides what is late, skipped, missed or fires, makes the live
//!    records, puts run ids into the waiting list of queue and kind of action, writes the ledger, advances `due`. Runs that the
//!    claimer can serve start in its free slots in the same step, but for queues with a limit; messages of direct actions are delivered by the script itself.
//! 4. Another node's `work.lua` fetches what waits and records what ended, in one numbered call. [`node::action`] executes an
//!    attempt in between, a command under a supervisor that outlives neither node nor command.
//! 5. What ended is a packed record in the ring of its entry, and three lines in the stream `ended`: the index over a namespace.
//!
//! # The states of a run
//!
//! A run is *active* while it is `waiting`, `queued`, `running` or `retrying`, and ends in one of five states. Each arrow is a step
//! of one script, named in front of the colon; nothing else moves a run.
//!
//! ```text
//!             claim, trigger            work: fetched            work: as its node says
//!   due ──┬──────────────────────► queued ─────────────► running ───────────────────────► succeeded  cancelled  failed
//!         │                        ▲ ▲ ▲ ▲                  │ │                                                   │
//!         │   the run before it    │ │ │ └──────────────────┘ │ work: it failed and is tried again                │
//!         ├───────► waiting ───────┘ │ │    work: given back  ▼                                                   │
//!         │         has ended        │ │    rescue: lost     retrying                                             │
//!         │            ▲             │ └───────────────────────┘                                                  │
//!         ▼            │             │      claim: its time has come                                              │
//!   skipped  missed    └─────────────┴─────────────────────── retry: reopened ────────────────────────────────────┘
//! ```
//!
//! All of them, with those that end a run before its time:
//!
//! | from | to | script | when |
//! |---|---|---|---|
//! | due, asked | `queued` | `claim`, `trigger`, `once` | it fires |
//! | due | `running` | `claim` | it fires, and the claimer has a free slot |
//! | due, asked | `waiting` | `claim`, `trigger` | runs before it are active, and `overlap` or `max_running` lets it wait |
//! | due, asked | `skipped` | `claim`, `trigger`, `put` | a rule says no |
//! | due | `missed` | `claim`, `put` | its time has passed |
//! | asked | `waiting` | `once` | it shall run at an instant to come |
//! | `waiting` | `queued`, `succeeded`, `failed` | `claim` | that instant has come; a message is delivered at once |
//! | due, asked | `succeeded`, `failed` | `claim`, `trigger`, `once` | a message, `delivered` or refused by its target |
//! | `waiting` | `queued` | `work`, `rescue`, `cancel`, `claim` | the run before it has ended, by that step or before it |
//! | `queued` | `running` | `work` | a node fetches it |
//! | `waiting`, `queued` | `missed` | `claim`, `work` | it did not start within `start_within` |
//! | `running` | `succeeded`, `failed`, `cancelled` | `work` | its holder tells how the attempt ended |
//! | `running` | `retrying` | `work` | the attempt failed, and `retry` allows another one |
//! | `running` | `queued` | `work` | its node stops and gives it back |
//! | `running` | `queued` | `rescue` | the lease of its node has ended |
//! | `running` | `failed` | `rescue` | `lost` too often, or once where it may be tried once only |
//! | `running` | `failed` | `work` | handed back, `drained`, where it may be tried once only |
//! | `running` | `cancelled` | `rescue`, `work` | somebody had asked to cancel it, and nobody knows how it ended |
//! | `retrying` | `queued` | `claim` | the time of its next attempt has come |
//! | `retrying`, `queued` | `failed` | `claim` | the time of the whole run is up, `timeout` (`retry.within`) |
//! | `waiting`, `queued`, `retrying` | `cancelled` | `cancel`, `put`, `claim`, `trigger` | by somebody; its entry was removed; a newer run took its place |
//! | `failed` | `queued`, `waiting` | `retry` | reopened: the same run, its next attempt; it waits while other runs of its entry are active |
//! | `failed` | `succeeded`, `failed` | `retry` | a message that is sent again |
//!
//! A cancel of a run that is executed only marks it: its node ends it and tells so. What failed for good is a *dead letter*, too,
//! until it is retried or forgotten (`purge`); how it ended stays on record whatever becomes of it then, and a reopened run that
//! ends has another record. `tests/store/states.rs` and `reopened.rs` have a test of each line, `life.rs` walks them at random.
//!
//! # What makes it safe
//!
//! - **A script can't fail half way.** It reads and decides everything first; every key that it only writes is read once before,
//!   so that a wrong type raises before the first write, or is known not to be there; deliveries to targets of users come last, each
//!   by `pcall`.
//! - **A script is one, however it is made.** Redis makes all functions of a script anew with each call. So a claim that finds
//!   nothing, or a few usual entries, ends before most are made (`lua/parts/calm.lua`; `tests/store/calm.rs` holds it beside the
//!   whole one), and what is seldom needed is made when it is called (`store/ready.rs`).
//! - **The shard's clock.** Every script's `now` is the greater of Redis' `TIME` and the greatest that the shard has seen
//!   (`lua/parts/clock.lua`). A node's own clock measures durations and nothing else.
//! - **Numbered calls.** fred may not repeat a command; a node repeats a call until it is answered, and the script gives the same
//!   number the same answer (`lua/parts/lanes.lua`). So a reply can be lost, never a run. Requests of people carry an id in the
//!   same sense (`lua/parts/requests.lua`).
//! - **What people ask for stands beside the schedule.** The end of a pause (`lua/parts/pauses.lua`), single fire times to skip
//!   (`lua/parts/skips.lua`) and past ones to run (`lua/parts/backfills.lua`) are keys of their own, looked at by the claim while
//!   they are not empty; an entry that counts from an instant simply gets its place there.
//! - **Leases and fences.** A node holds one lease for all that it executes. Each attempt has a fence that grows with every attempt
//!   in the shard; only the holder of the current one may finish it. When nobody could renew because no script ran, no lease ends.
//! - **Overlap.** Marks say which runs of an entry are active, and count only while the run is. What has to wait for them stands
//!   beside its list (`lua/parts/waits.lua`); the step that ends a run moves the next one in, and a claim looks after it.
//! - **Limits of queues.** A queue with a limit or a pause has a rule in every shard (`put_queue.lua`), with this shard's share of
//!   it; `lua/parts/gates.lua` says how many of its runs may start now. Such runs start by a fetch only, so `work.lua` is the one
//!   place that counts: marks of what executes, which count only while the run does, and the starts within the span of a rate.
//!   When a limit comes, nothing starts until what executes is counted (`count_queue.lua`). What waits behind a gate is named to
//!   nobody as work; the step that frees a place, and the look at the time of the next start, name it.
//! - **Calendars.** They stand in shard 0; plans are made from their dates as they stand, and a change of one puts each entry
//!   that names it, so that `put.lua` settles what is overdue before the new dates count ([`service`], `calendars.rs`). Old
//!   revisions of them are kept: what came before a change is planned, backfilled and audited by the dates of then.
//! - **Tasks for Celery.** [`domain::celery`] renders what is the same for all messages of an entry, `lua/parts/celery.lua` the rest:
//!   in the claim where the broker is this Redis, else in `send_celery.lua` on the broker, which leaves a mark in the step that
//!   writes the message, so that a node that takes a run over knows that it was sent. A tracked run waits for what the worker
//!   publishes; all that wait on a node share one subscription a server, and a look at all of them every 15 s is the net (`store/celery.rs`).
//! - **Files.** What schedule files ask for is held against what stands in one place (`service/wanted.rs`): `plan` shows it and only
//!   reads, `apply` writes it in steps of at most 64 entries of a shard. Each entry is written whole or not at all, and one that
//!   stands as its file says is left alone, so an apply that was cut off is finished by the next. What `--prune` removes comes last. A long
//!   file is read in pieces that each hold whole tables, and its entries stay packed until their step comes; where two pieces
//!   say something about the same entry it is read whole, with the same outcome (`domain/file/pieces.rs`).
//! - **A RedBeat that is taken over.** A beat notes a fire and its schedule's score in one transaction before it sends, and the
//!   schedule is a zset. One script on RedBeat's server (`redbeat_take.lua`) keeps that zset under another name, puts a text in its
//!   place, takes the lock and copies what every entry did last. From that step on the transaction of any beat fails, so it
//!   sends nothing, even one that was frozen in the middle of a tick for hours; what was noted before counts as fired. No time is
//!   waited for and none can be too short. The entries are then added here, each owing what came since its own last run
//!   (`service/redbeat/take.rs`). On the way back a beat runs with every entry parked in the future, upbeat pauses, and one script
//!   (`redbeat_give.lua`) writes the last fires of upbeat's ledgers into RedBeat's entries (`service/redbeat/back.rs`). A
//!   process that dies anywhere in between leaves one side stopped; the same command goes on.
//! - **Zone data.** One release per process, chosen at start ([`domain::zone::ZoneData`]). Nodes tell theirs with each claim; only
//!   those with the greatest live one are asked to plan, and what was planned with an older one is planned anew from what is settled
//!   (`lua/parts/zones.lua`, `store/zones.rs`).
//! - **Room.** An entry costs three fields and a member (`entries`, `plans`, `due`; a direct action's message is a fourth), 220 bytes
//!   of Redis' own before anything is said. So what most entries have alike is left out: the definition names four numbers in one
//!   list (`domain/definition/written.rs`), the plan has 41 bytes, or 44 with eight times whole hours apart
//!   (`domain/plan/packed.rs`), the answer of an add 4 an entry, or 8 where next fire times differ (`store/added.rs`).
//!   `tests/store/memory.rs` holds the sum.
//! - **Audit.** Each revision carries the instant of the step that wrote it, by the shard's clock, and what came until then was
//!   settled under the one before. So `domain/audit.rs` knows which fire times each revision owed and compares them with the
//!   stretches of the ledger that name it, by count and sum; entry, cursor and ledger are read in one step (`snapshot.lua`). In Redis a
//!   ledger costs about 85 bytes an entry with one stretch, and 29 for each further one, 200 at most.
//! - **Ageing.** Once an hour a claim asks its caller to drop what is older than 35 days (`store/ageing.rs`): stretches, revisions
//!   that none of them names, removed ids, old calendars. What a ledger dropped stays noted in its first place.
//! - **What happened.** Three streams of a shard, `events`, `moves` and `ended`, share one order by their ids; a line may stand for
//!   a whole batch, and each stream is bounded by what its lines stand for (`lua/parts/log.lua`). [`domain::event`] has the table of
//!   all types. A sweep by one node an hour drops what is older than 30 days (`lua/age_runs.lua`).
//! - **Conservation.** Once a minute a claim compares sums: each entry stands in one place, each run in one. What an eviction or a
//!   `DEL` took is rebuilt from `entries`, `live` and the ledger, never from now.
//! - **Healing.** A node with a schedule file asks each shard how its history began (`lua/beginning.lua`): the first who asks notes
//!   a mark in the clock, `blank` where the shard has no trace of any entry, removals and the count of births included. A flush
//!   takes the mark, so a node that has seen another one knows; a node that starts knows only that the whole namespace began blank
//!   just now, new or flushed: then, too, whoever named the file wants its entries. `node/healing.rs` adds those that neither
//!   exist nor were removed, each once, whichever nodes race; in an emptied namespace the traces are there and nothing is added.
//! - **Rights.** One table says who sends which command and runs which script (`store/rights.rs`); what a script calls is read
//!   from its text. `upbeat acl` prints it as users of Redis, `doctor` compares it with what its own user may do. Who only reads
//!   runs scripts by `EVALSHA_RO`: Redis itself refuses what would change something, before anything is written.
//! - **Large sets.** There is no index by id, which would cost each entry bytes: whoever asks for many entries walks the definitions
//!   in bounded steps, keeps ids alone ([`domain::id::IdList`]), sorts them, and reads, words and writes a few pages at a time
//!   (`service/listing.rs`, `export.rs`, `each_selected.rs`). What stays is met once, whatever comes and goes meanwhile.
//! - **A namespace is opened by its first write.** Reading leaves no key behind, so one that nobody ever used is told from one that
//!   is empty.
//!
//! # What explains it
//!
//! `service/doctor/` looks at everything that goes wrong in a fleet, each check with what to type; it changes nothing, what it
//! may not see is a line of its own, and it looks at 10,000 entries at most.
//!
//! `service/why/` answers from records alone: a question names a fire time, the records (runs, ledger, revisions, events) say what
//! became of it, and that becomes words. How long runs usually take, and when one is stuck, is [`domain::durations`].
//!
//! What people change is a revision each; `service/revisions.rs` shows them and makes one the next, and where two change the same
//! entry `service/conflict.rs` shows both sides. Schedule files are judged before anybody is asked: [`domain::lint`] has the traps that
//! the reader accepts, [`domain::schema`] the JSON Schema of what it reads.
//!
//! # What looks ahead
//!
//! [`domain::forecast`] counts due times by minute and sweeps over starts and ends, with the overlap rules and measured lengths;
//! `service/forecast.rs` reads for it and changes nothing. Times that are evenly spaced are counted by arithmetic, and every
//! limit cuts the far end of the window, so that all entries are told up to one instant.
//!
//! # What is deliberately absent
//!
//! Follow-ups, alerts and the HTTP door are part of the contract and not
//! built yet: each is refused by name, `not in this version yet`, and never accepted and ignored.

pub mod bench;
pub mod cli;
pub mod config;
pub mod domain;
pub mod error;
pub mod node;
pub mod service;
pub mod shutdown;
pub mod store;

-- backfill: let past fire times run after all: they wait for their pace, and the ledger calls them fired from now on.
--
-- One step, because a fire time that is fired in the ledger and waits nowhere would never run. What the ledger says is decided
-- on its front part; the rest may have grown since.
--
-- KEYS[1] clock       hash  the shard's clock and counters
-- KEYS[2] entries     hash  entry id -> definition
-- KEYS[3] ledger      hash  entry id -> stretches
-- KEYS[4] backfills   hash  entry id -> batches of past fire times to run
-- KEYS[5] backfilling zset  entry id -> when the next of them has its turn
-- KEYS[6] requests    hash  request id -> answer
-- KEYS[7] requested   zset  request id -> when
-- KEYS[8] events      stream what happened
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3] channel of nudges
-- ARGV[4] entry id
-- ARGV[5] birth
-- ARGV[6] text that the ledger begins with
-- ARGV[7] text to put there
-- ARGV[8] the batch, packed
-- ARGV[9] bytes that may wait for an entry, at most
-- ARGV[10] answer, JSON
-- ARGV[11] number of fire times
-- ARGV[12] the first of them, ms
-- ARGV[13] the last of them, ms
-- ARGV[14] who asks
-- ARGV[15] why, or empty
-- Returns { 'other' } | { 'gone' } | { 'changed' } (another birth or ledger) | { 'full' } (too many wait) | { 'done', answer }
local clock_key, entries_key, ledger_key, backfills_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local backfilling_key, requests_key, requested_key, events_key = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local request, digest, channel, id, birth = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local old, new, batch, most, said = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
local count, from, till, actor, reason = ARGV[11], ARGV[12], ARGV[13], ARGV[14], ARGV[15]
-- use words clock log requests definition nudge
local before = answered(request, digest)
if before == 'other' then return { 'other' } end
if before then return before end
local definition = redis.call('HGET', entries_key, id)
if not definition then return { 'gone' } end
local text = redis.call('HGET', ledger_key, id) or ''
if definitions.identity(definition) ~= birth or string.sub(text, 1, #old) ~= old then return { 'changed' } end
local waiting = redis.call('HGET', backfills_key, id) or ''
if #waiting + #batch > most and waiting ~= '' then return { 'full' } end
redis.call('ZCARD', backfilling_key)
redis.call('HLEN', requests_key)
redis.call('XLEN', events_key)

keep_clock()
if batch ~= '' then
  if new ~= old then redis.call('HSET', ledger_key, id, new .. string.sub(text, #old + 1)) end
  redis.call('HSET', backfills_key, id, waiting .. batch)
  redis.call('ZADD', backfilling_key, 'NX', now, id)
  log_event('type', 'backfilled', 'entry', id, 'count', count, 'from', from, 'until', till, 'actor', actor, 'reason', reason)
  nudge(channel, 'due')
end
local answer = { 'done', said }
keep_answer(request, digest, answer)
return answer

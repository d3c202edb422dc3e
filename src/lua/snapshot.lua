-- snapshot: entries, or what is left of them, as they stand at one moment: how far they are settled, and their ledgers.
--
-- One step, because a ledger that was read before a claim and a cursor that was read behind it do not fit. Changes nothing.
--
-- KEYS[1] clock    hash  the shard's clock and counters
-- KEYS[2] entries  hash  entry id -> definition
-- KEYS[3] removed  hash  entry id -> who removed it, when
-- KEYS[4] cursors  hash  entry id -> cursor, pace, back-log
-- KEYS[5] ledger   hash  entry id -> stretches
-- KEYS[6] fires    hash  entry id -> fire times so far, of entries with `max_fires`
-- KEYS[7] due      zset  entry id -> when to look at it, ms
-- KEYS[8] parked   zset  entry id -> when to hand it out for planning again
-- KEYS[9] paused   zset  entry id -> until when
-- KEYS[10] broken  zset  entry id -> when to hand it out for planning again
-- KEYS[11] finished zset entry id -> since when
-- ARGV[1..] entry ids
-- Returns { now, { definition, removal, cursor, ledger, fires, place, score there }, ... }; '' for what is not there
local clock_key, entries_key, removed_key, cursors_key, ledger_key, fires_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local due_key, parked_key, paused_key, broken_key, finished_key = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local ids = { unpack(ARGV) }
-- use clock
local found = { now }
local hashes = { entries_key, removed_key, cursors_key, ledger_key, fires_key }
local places = { due_key, parked_key, paused_key, broken_key, finished_key }
local words = { 'due', 'parked', 'paused', 'broken', 'finished' }
for i = 1, #ids do found[i + 1] = { '', '', '', '', '', '', '' } end
for k = 1, #hashes do
  local texts = redis.call('HMGET', hashes[k], unpack(ids))
  for i = 1, #ids do found[i + 1][k] = texts[i] or '' end
end
for k = #places, 1, -1 do
  local scores = redis.call('ZMSCORE', places[k], unpack(ids))
  for i = 1, #ids do
    if scores[i] then found[i + 1][6], found[i + 1][7] = words[k], scores[i] end
  end
end
return found

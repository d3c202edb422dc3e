-- rebuild_entries: give entries that stand nowhere a place, and take off what has no definition.
--
-- An entry that lost its place goes to `broken`: planned afresh from where its cursor or ledger ends; a paused one stays paused.
--
-- KEYS[1] clock    hash  the shard's clock and counters
-- KEYS[2] entries  hash  entry id -> definition
-- KEYS[3] due      zset  entry id -> when to look at it, ms
-- KEYS[4] parked   zset  entry id -> when to hand it out for planning again
-- KEYS[5] paused   zset  entry id -> until when
-- KEYS[6] broken   zset  entry id -> when to hand it out for planning again
-- KEYS[7] finished zset  entry id -> since when
-- KEYS[8] events   stream what happened
-- ARGV[1..] entry ids
-- Returns { placed, taken off }
local clock_key, entries_key = KEYS[1], KEYS[2]
local due_key, parked_key, paused_key, broken_key, finished_key = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local events_key = KEYS[8]
local places = { due_key, parked_key, paused_key, broken_key, finished_key }
local ids = {}
for i = 1, #ARGV do ids[i] = ARGV[i] end
-- use words clock log paused
local placed, removed = 0, 0
redis.call('XLEN', events_key)
keep_clock()
for i = 1, #ids do
  local definition = redis.call('HGET', entries_key, ids[i])
  local exists = definition ~= false
  local found = 0
  for k = 1, #places do
    if redis.call('ZSCORE', places[k], ids[i]) then
      found = found + 1
      if not exists or found > 1 then removed = removed + redis.call('ZREM', places[k], ids[i]) end
    end
  end
  if exists and found == 0 then
    local till = pause_end(definition)
    if till and till <= now then till = nil end
    redis.call('ZADD', till and paused_key or broken_key, till or now, ids[i])
    placed = placed + 1
  end
end
if placed + removed > 0 then
  redis.call('HINCRBY', clock_key, 'rebuilt', placed + removed)
  log_event('type', 'rebuilt', 'count', placed + removed, 'message', 'places of entries')
end
return { placed, removed }

-- beginning: how the history of a shard began, and what became of a schedule file in it.
--
-- Who asks first notes it: `blank` where nothing was ever written here, or where a beginning that the caller has seen is gone with
-- all removals, so the shard was flushed; else `used`. One step, so that all callers are told the same beginning.
--
-- KEYS[1] clock     hash  the shard's clock and counters
-- KEYS[2] entries   hash  entry id -> definition
-- KEYS[3] removed   hash  entry id -> who removed it, when
-- KEYS[4] revisions hash  entry id, revision -> definition as it was, or its removal
-- KEYS[5] ledger    hash  entry id -> stretches
-- KEYS[6] events    stream what happened
-- ARGV[1] name of the beginning, where none is noted
-- ARGV[2] 1 where the caller has seen a beginning of this shard before
-- ARGV[3] the file
-- ARGV[4] what is to be noted of it: '' | 'open' (its entries are being put back) | 'done'
-- ARGV[5] how many were put back, for 'done'
-- ARGV[6] node that did it
-- ARGV[7] what people call the file
-- ARGV[8] name of the beginning that this is to be noted of: of another one it is not
-- Returns { now, 'blank' | 'used', name, when it began, what is noted of the file }
local clock_key, entries_key, removed_key, revisions_key, ledger_key, events_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local name, has_seen, file, note = ARGV[1], ARGV[2] == '1', 'file:' .. ARGV[3], ARGV[4]
local count, node_name, shown, about = tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8]
-- use words clock log
local noted = redis.call('HMGET', clock_key, 'begun', 'birth', file)
local begun, state = noted[1], noted[3] or ''
redis.call('XLEN', events_key)
if not begun then
  local traces = redis.call('EXISTS', entries_key, removed_key, revisions_key, ledger_key)
  local is_blank = not noted[2] and traces == 0 or has_seen and redis.call('HLEN', removed_key) == 0
  begun = (is_blank and 'blank' or 'used') .. ' ' .. string.format('%.0f', now) .. ' ' .. name
  keep_clock()
  redis.call('HSET', clock_key, 'begun', begun)
end
local kind, since, id = string.match(begun, '^(%S+) (%d+) (.*)$')
if note ~= '' and id == about and state ~= 'done' and note ~= state then
  keep_clock()
  redis.call('HSET', clock_key, file, note)
  state = note
  if note == 'done' and count > 0 then log_event('type', 'recreated', 'node', node_name, 'count', count, 'message', shown) end
end
return { now, kind or 'used', id or '', tonumber(since) or 0, state }

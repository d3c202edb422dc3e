-- compact_ledger: replace the oldest stretches of an entry by merged ones, if they are still the oldest.
--
-- KEYS[1] ledger hash  entry id -> stretches
-- ARGV[1] entry id
-- ARGV[2] text that the ledger begins with
-- ARGV[3] text to put there
-- Returns 'written' | 'changed'
local ledger_key = KEYS[1]
local id, old, new = ARGV[1], ARGV[2], ARGV[3]
local text = redis.call('HGET', ledger_key, id)
if not text or string.sub(text, 1, #old) ~= old then return 'changed' end
redis.call('HSET', ledger_key, id, new .. string.sub(text, #old + 1))
return 'written'

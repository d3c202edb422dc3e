-- forget_revisions: drop old revisions that no stretch of their ledger names.
--
-- Whoever asks has seen that another revision held since before the ledger's horizon; a stretch of an old one can only have
-- been taken apart meanwhile.
--
-- KEYS[1] clock     hash  the shard's clock and counters
-- KEYS[2] revisions hash  entry id, revision -> definition as it was, or its removal
-- KEYS[3] ledger    hash  entry id -> stretches
-- ARGV[1..] per revision: entry id, revision
-- Returns how many were dropped
local clock_key, revisions_key, ledger_key = KEYS[1], KEYS[2], KEYS[3]
local asked = { unpack(ARGV) }
-- use clock ledger
local dropped = 0
redis.call('HLEN', revisions_key)
keep_clock()
for i = 1, #asked - 1, 2 do
  local text, is_named = redis.call('HGET', ledger_key, asked[i]) or '', false
  for at = 2, #text - STRETCH_LEN + 1, STRETCH_LEN do
    local _, _, _, _, revision = struct.unpack(STRETCH, text, at)
    is_named = is_named or revision == tonumber(asked[i + 1])
  end
  if not is_named then dropped = dropped + redis.call('HDEL', revisions_key, asked[i] .. '\0' .. asked[i + 1]) end
end
return dropped

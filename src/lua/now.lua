-- now: the shard's time. Changes nothing, so whoever may only read may ask.
--
-- KEYS[1] clock hash  the shard's clock and counters
-- Returns { the shard's time, Redis' time }, ms
local clock_key = KEYS[1]
-- use clock
return { now, read_ms }

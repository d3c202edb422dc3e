-- keep_output: store the tail of what an attempt has written, within the bound of the shard.
--
-- Before its finish, in a call of its own, and while it runs where somebody watches: a call that comes late changes nothing.
--
-- KEYS[1] outputs       hash  run id:attempt -> bytes written in all, a line break, the last of them
-- KEYS[2] output_order  list  its fields, oldest first
-- KEYS[3] clock         hash  counter `output_bytes`
-- ARGV[1] run id:attempt
-- ARGV[2] bytes written in all
-- ARGV[3] the last of them
-- ARGV[4] bytes kept in the shard, at most
-- Returns the number of outputs dropped to make room
local outputs_key, order_key, clock_key = KEYS[1], KEYS[2], KEYS[3]
local field, written, tail, limit = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
-- What a field and its place in the order take beside the text.
local EACH_BYTES = 160
local before = redis.call('HSTRLEN', outputs_key, field)
local held, ordered = redis.call('HLEN', outputs_key), redis.call('LLEN', order_key)
local total = tonumber(redis.call('HGET', clock_key, 'output_bytes')) or 0
if before > 0 then
  local known = redis.call('HGET', outputs_key, field)
  if (tonumber(string.match(known, '^%d+')) or 0) > written then return 0 end
end
-- One without the other, lost or evicted, can't be aged any more.
if held == 0 or ordered == 0 then
  if held + ordered > 0 then redis.call('UNLINK', outputs_key, order_key) end
  total, before = 0, 0
end
local value = string.format('%.0f\n', written) .. tail
total = total + #value - before
if before == 0 then
  total = total + EACH_BYTES
  redis.call('RPUSH', order_key, field)
end
redis.call('HSET', outputs_key, field, value)
local dropped = 0
while total > limit and dropped < 100 do
  local oldest = redis.call('LPOP', order_key)
  if oldest == field then
    redis.call('RPUSH', order_key, field)
    break
  end
  total = total - redis.call('HSTRLEN', outputs_key, oldest) - EACH_BYTES
  redis.call('HDEL', outputs_key, oldest)
  dropped = dropped + 1
end
redis.call('HSET', clock_key, 'output_bytes', string.format('%.0f', math.max(total, 0)))
return dropped

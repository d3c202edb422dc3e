-- keep_output: store the tail of an attempt's output, within the bound of the shard; before its finish, in a call of its own.
--
-- KEYS[1] outputs       hash  run id -> output of its last attempt
-- KEYS[2] output_order  list  run ids, oldest first
-- KEYS[3] clock         hash  counter `output_bytes`
-- ARGV[1] run id
-- ARGV[2] output
-- ARGV[3] bytes kept in the shard, at most
-- Returns the number of outputs dropped to make room
local outputs_key, order_key, clock_key = KEYS[1], KEYS[2], KEYS[3]
local run_id, output, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local before = redis.call('HSTRLEN', outputs_key, run_id)
redis.call('LLEN', order_key)
local total = redis.call('HINCRBY', clock_key, 'output_bytes', #output - before)
if redis.call('HSET', outputs_key, run_id, output) == 1 then redis.call('RPUSH', order_key, run_id) end
local dropped = 0
while total > limit and dropped < 100 do
  local oldest = redis.call('LPOP', order_key)
  if not oldest then break end
  total = redis.call('HINCRBY', clock_key, 'output_bytes', -redis.call('HSTRLEN', outputs_key, oldest))
  redis.call('HDEL', outputs_key, oldest)
  dropped = dropped + 1
end
return dropped

-- leave: a node that has stopped in order takes itself off the lists, and an event says so; refused while it executes something.
--
-- KEYS[1] nodes  hash  incarnation -> what the node says of itself
-- KEYS[2] seen   zset  incarnation -> when its last beat came
-- KEYS[3] lanes  hash  incarnation and lane -> number, answer
-- KEYS[4] holds  set   run ids that the caller executes
-- KEYS[5] events stream
-- ARGV[1] incarnation
-- ARGV[2] node name
-- ARGV[3] its queues with commas between them, or *
-- ARGV[4] its kinds of action, the same
-- Returns 'left' | 'busy'
local nodes_key, seen_key, lanes_key, holds_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local events_key = KEYS[5]
local holder, node_name, queues, kinds = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('SCARD', holds_key) > 0 then return 'busy' end
for _, key in ipairs({ nodes_key, lanes_key }) do redis.call('HLEN', key) end
redis.call('ZCARD', seen_key)
redis.call('XLEN', events_key)

local is_known = redis.call('HDEL', nodes_key, holder) == 1
redis.call('ZREM', seen_key, holder)
redis.call('HDEL', lanes_key, holder .. ':claim', holder .. ':work')
-- Asked again after a lost reply: it is told once.
if is_known then
  redis.call('XADD', events_key, 'MAXLEN', '~', 100000, '*', 'type', 'left', 'node', node_name, 'incarnation', holder,
    'queues', queues, 'kinds', kinds, 'how', 'drained')
end
return 'left'

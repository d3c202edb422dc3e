-- leave: a node that has stopped in order takes itself off the lists; refused while it executes something.
--
-- KEYS[1] nodes  hash  incarnation -> what the node says of itself
-- KEYS[2] seen   zset  incarnation -> when its last beat came
-- KEYS[3] lanes  hash  incarnation and lane -> number, answer
-- KEYS[4] holds  set   run ids that the caller executes
-- ARGV[1] incarnation
-- Returns 'left' | 'busy'
local nodes_key, seen_key, lanes_key, holds_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local holder = ARGV[1]
if redis.call('SCARD', holds_key) > 0 then return 'busy' end
redis.call('HDEL', nodes_key, holder)
redis.call('ZREM', seen_key, holder)
redis.call('HDEL', lanes_key, holder .. ':claim', holder .. ':work')
return 'left'

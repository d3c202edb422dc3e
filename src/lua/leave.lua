-- leave: a node that has stopped in order takes itself off the lists; refused while it executes something.
--
-- KEYS[1] nodes  hash  incarnation -> what the node says of itself
-- KEYS[2] seen   zset  incarnation -> when its last beat came
-- KEYS[3] lanes  hash  incarnation and lane -> number, answer
-- KEYS[4] holds  set   run ids that the caller executes
-- KEYS[5] clock  hash  the shard's clock and counters
-- KEYS[6] events stream
-- ARGV[1] incarnation
-- Returns 'left' | 'busy'
local nodes_key, seen_key, lanes_key, holds_key, clock_key, events_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local holder = ARGV[1]
-- use clock
if redis.call('SCARD', holds_key) > 0 then return 'busy' end
local said = redis.call('HGET', nodes_key, holder)
redis.call('XLEN', events_key)
redis.call('ZCARD', seen_key)
redis.call('HLEN', lanes_key)

keep_clock()
-- Who asks "why" is told since when nobody serves a queue: what the node might run stands in what it said of itself.
if said then
  redis.call('XADD', events_key, 'MAXLEN', '~', 100000, '*', 'type', 'node_left', 'at', now,
    'node', string.match(said, '"node":"([^"]*)"') or '', 'incarnation', holder, 'said', said)
end
redis.call('HDEL', nodes_key, holder)
redis.call('ZREM', seen_key, holder)
redis.call('HDEL', lanes_key, holder .. ':claim', holder .. ':work')
return 'left'

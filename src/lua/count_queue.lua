-- count_queue: mark what executes of a queue whose limit is new; the last page says that all are marked.
--
-- Nothing of the queue starts meanwhile. The caller has read what the nodes hold after the limit stood, so no run is left out.
--
-- KEYS[1] clock       hash   the shard's clock and counters
-- KEYS[2] queue_rules hash   queue -> limits and pause, JSON
-- KEYS[3] occupied    zset   queue and run id of what executes, of queues with a limit
-- KEYS[4] live        hash   run id -> live record
-- ARGV[1] queue
-- ARGV[2] birth of its limit, as it stood when the caller began to read
-- ARGV[3] 1 on the last page
-- ARGV[4..] run ids that some node holds
-- Returns 'counted' | 'gone' (the limit went, or another came)
local clock_key, rules_key, occupied_key, live_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local queue, birth, is_last, ids = ARGV[1], ARGV[2], ARGV[3] == '1', {}
for i = 4, #ARGV do ids[#ids + 1] = ARGV[i] end
-- use words clock live
local is_fine, rule = pcall(cjson.decode, redis.call('HGET', rules_key, queue) or '')
if not is_fine or type(rule) ~= 'table' or rule.birth ~= birth or not rule.max_running then return 'gone' end
local texts = #ids > 0 and redis.call('HMGET', live_key, unpack(ids)) or {}
redis.call('ZCARD', occupied_key)
local marks = {}
for i = 1, #ids do
  local run = read_live(texts[i])
  if run and run.state == RUNNING and string.match(run.list, '^[^:]*') == queue then append(marks, 0, queue .. '\0' .. ids[i]) end
end

keep_clock()
if is_last then append(marks, 0, queue .. '\0') end
if #marks > 0 then redis.call('ZADD', occupied_key, unpack(marks)) end
return 'counted'

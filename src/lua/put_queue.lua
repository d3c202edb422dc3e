-- put_queue: limit, pause or resume a queue.
--
-- KEYS[1] clock       hash   the shard's clock and counters
-- KEYS[2] queue_rules hash   queue -> limits and pause, JSON
-- KEYS[3] occupied    zset   queue and run id of what executes, of queues with a limit
-- KEYS[4] starts      hash   queue -> when runs started, of queues with a rate
-- KEYS[5] requests    hash   request id -> answer
-- KEYS[6] requested   zset   request id -> when
-- KEYS[7] events      stream what happened
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3] channel of nudges
-- ARGV[4] queue
-- ARGV[5] 'set' | 'pause' | 'resume'
-- ARGV[6] runs of the queue that may execute at a time in the fleet: a number, 0 for no limit, empty to leave it
-- ARGV[7] share of this shard
-- ARGV[8] rate in the words of people, `-` for none, empty to leave it
-- ARGV[9] starts within the rate's span, share of this shard
-- ARGV[10] its span, ms
-- ARGV[11] who asks
-- ARGV[12] why, or empty
-- ARGV[13] 1 to only say what would be
-- ARGV[14] queues with rules, at most
-- Returns { 'other' } | { 'full' } | { 'newer' } (only a newer program can read what stands) | { 'damaged' } (only `set` mends it)
--   | { 'done', 'changed' | 'unchanged', what stood, what stands (JSON; empty: no rule) }; asked again, the same `done`
local clock_key, rules_key, occupied_key, starts_key, requests_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local requested_key, events_key = KEYS[6], KEYS[7]
local request, digest, channel, queue, verb = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local most_running, running_share, rate, rate_share, rate_ms = ARGV[6], tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])
local actor, reason, is_dry_run, most = ARGV[11], ARGV[12], ARGV[13] == '1', tonumber(ARGV[14])
-- use words clock log requests nudge
local before = answered(request, digest)
if before == 'other' then return { 'other' } end
if before then return before end
local text = redis.call('HGET', rules_key, queue)
local is_fine, rule = pcall(cjson.decode, text or '{}')
if not is_fine or type(rule) ~= 'table' then
  if verb ~= 'set' then return { 'damaged' } end
  is_fine, rule = false, {}
end
if (tonumber(rule.v) or 1) > 1 then return { 'newer' } end
if not text and redis.call('HLEN', rules_key) >= most then return { 'full' } end
redis.call('ZCARD', occupied_key)
redis.call('HLEN', starts_key)

local is_changed, must_count = text and not is_fine or false, false
if verb == 'set' then
  if most_running ~= '' then
    local number = tonumber(most_running)
    if number == 0 then number, running_share = nil, nil end
    is_changed = is_changed or rule.max_running ~= number
    must_count = number and not rule.max_running
    rule.max_running, rule.running_share = number, running_share
  end
  if rate ~= '' then
    local words = rate ~= '-' and rate or nil
    is_changed = is_changed or rule.rate ~= words
    rule.rate, rule.rate_share, rule.rate_ms = words, words and rate_share, words and rate_ms
  end
elseif verb == 'pause' then
  is_changed = is_changed or not rule.paused
  rule.paused = rule.paused or { at = now, actor = actor, reason = reason ~= '' and reason or nil }
else
  is_changed = is_changed or rule.paused ~= nil
  rule.paused = nil
end
rule.v, rule.at, rule.actor, rule.reason = 1, now, actor, reason ~= '' and reason or nil
if must_count then rule.birth = string.format('%.0f', next_fence()) end
local has_rule = rule.max_running or rule.rate or rule.paused
local stands = not is_changed and (text or '') or has_rule and cjson.encode(rule) or ''
local answer = { 'done', is_changed and 'changed' or 'unchanged', text or '', stands }
if is_dry_run then return answer end
redis.call('XLEN', events_key)

keep_clock()
if is_changed then
  if stands == '' then redis.call('HDEL', rules_key, queue) else redis.call('HSET', rules_key, queue, stands) end
  -- What was marked under another limit is counted anew.
  if must_count or not rule.max_running then redis.call('ZREMRANGEBYLEX', occupied_key, '[' .. queue .. '\0', '(' .. queue .. '\1') end
  if not rule.rate then redis.call('HDEL', starts_key, queue) end
  local words = queue
  if verb == 'set' then words = queue .. ': max_running ' .. (rule.max_running or 'none') .. ', rate ' .. (rule.rate or 'none') end
  log_event('type', verb == 'set' and 'queue_set' or verb == 'pause' and 'queue_paused' or 'queue_resumed', 'message', words,
    'actor', actor, 'reason', reason)
  nudge(channel, 'due')
end
keep_answer(request, digest, answer)
return answer

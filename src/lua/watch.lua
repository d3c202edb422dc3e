-- watch: say that somebody follows the output of a run, and tell what is new of one of its attempts.
--
-- Called again and again by who follows; writes only where less than half of the time is left. It is no sign of life of a
-- node, so the shard's clock is read and not kept.
--
-- KEYS[1] clock   hash  the shard's clock and counters
-- KEYS[2] live    hash  run id -> live record
-- KEYS[3] watched hash  run id -> until when somebody watches it, ms; goes by itself
-- KEYS[4] outputs hash  run id:attempt -> bytes written in all, a line break, the last of them
-- ARGV[1] run id
-- ARGV[2] run id:attempt
-- ARGV[3] bytes of it that are known
-- ARGV[4] how long it is watched from now on, ms
-- ARGV[5] channel of nudges
-- ARGV[6] 1: its node may not know yet
-- ARGV[7] runs watched in a shard, at most
-- ARGV[8] 1: say so; 0: the caller may only read, and tells nobody
-- Returns { 'new', now, live record or '', bytes written in all, those that are new } | { 'full' } (too many runs are watched)
local clock_key, live_key, watched_key, outputs_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local run_id, field, known, ttl_ms, channel = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local is_news, most, is_said = ARGV[6] == '1', tonumber(ARGV[7]), ARGV[8] == '1'
-- use clock nudge
local record = redis.call('HGET', live_key, run_id) or ''
local ends = tonumber(redis.call('HGET', watched_key, run_id)) or 0
local output = redis.call('HGET', outputs_key, field) or ''
if is_said and record ~= '' and ends - now < ttl_ms / 2 then
  if ends == 0 and redis.call('HLEN', watched_key) >= most then
    local all, over = redis.call('HGETALL', watched_key), {}
    for i = 1, #all, 2 do
      if (tonumber(all[i + 1]) or 0) <= now then over[#over + 1] = all[i] end
    end
    if #over == 0 then return { 'full' } end
    redis.call('HDEL', watched_key, unpack(over))
  end
  redis.call('HSET', watched_key, run_id, string.format('%.0f', now + ttl_ms))
  redis.call('PEXPIRE', watched_key, 2 * ttl_ms)
  is_news = is_news or ends <= now
end
-- Who holds it looks at its leases.
if is_said and record ~= '' and is_news then nudge(channel, 'cancel') end
local total, first = string.match(output, '^(%d+)\n()')
if not total then return { 'new', now, record, 0, '' } end
local kept_from = tonumber(total) - (#output - first + 1)
return { 'new', now, record, tonumber(total), string.sub(output, first + math.max(known - kept_from, 0)) }

-- send_celery: put a message for Celery workers into its list, once however often this is called.
--
-- It runs on the broker, which may be another Redis than upbeat's. The mark is written in the step that writes the message: a node that
-- dies before it could record that it sent is followed by one that reads the mark and sends nothing. The list is no key of upbeat.
--
-- KEYS[1] mark      string  attempt that sent the message, and what stood in the place of its result before
-- ARGV[1] list of the broker
-- ARGV[2] run id
-- ARGV[3] attempt
-- ARGV[4] the first attempt of this sending: those from there on that ended were lost or handed back, and did not fail
-- ARGV[5] digest of what stands in the place of its result, or empty
-- ARGV[6] how long the mark stays, ms
-- ARGV[7] messages in the list, at most
-- ARGV[8] fire time, ms
-- ARGV[9] number of the trigger
-- ARGV[10] the message, but for what belongs to the run
-- Returns { 'sent', digest } (now or before; the digest as it was then) | { 'full' } | { 'refused', words of Redis } (nothing is sent)
local mark_key, list = KEYS[1], ARGV[1]
local run_id, attempt, first, digest, mark_ms = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local max_len, fire_at, trigger, template = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
-- use instant celery
local sender, digest_then = string.match(redis.call('GET', mark_key) or '', '^(%d+) (.*)$')
if sender and tonumber(sender) >= first then return { 'sent', digest_then } end
local length = redis.pcall('LLEN', list)
if type(length) == 'table' then return { 'refused', length.err } end
if length >= max_len then return { 'full' } end
local time = redis.call('TIME')
local message = celery.render(template, run_id, fire_at, trigger, time[1] * 1000 + math.floor(time[2] / 1000))

redis.call('SET', mark_key, attempt .. ' ' .. digest, 'PX', mark_ms)
-- Who may read the list need not be let write to it.
local pushed = redis.pcall('LPUSH', list, message)
if type(pushed) == 'table' then
  redis.call('DEL', mark_key)
  return { 'refused', pushed.err }
end
return { 'sent', digest }

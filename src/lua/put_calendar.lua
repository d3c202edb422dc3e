-- put_calendar: write or remove a calendar of the namespace, if it still stands as it was seen.
--
-- KEYS[1] clock     hash  the shard's clock and counters
-- KEYS[2] calendars hash  name -> dates and who wrote them, JSON
-- KEYS[3] requests  hash  request id -> answer
-- KEYS[4] requested zset  request id -> when
-- KEYS[5] calendar_revisions hash  name, revision -> calendar as it was; name -> last revision of one that was removed
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3] name
-- ARGV[4] revision that the change was decided on; 0 where it must not exist
-- ARGV[5] the calendar, JSON; empty to remove it
-- ARGV[6] calendars in the namespace, at most
-- ARGV[7] old revisions of a calendar that are kept, at most
-- Returns { 'other' } | { 'conflict', revision that stands } | { 'full' } | { 'done', revision, 'added' | 'changed' | 'removed' };
--   asked again, the same `done`
local clock_key, calendars_key, requests_key, requested_key, revisions_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local request, digest, name, seen = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local calendar, most, kept = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
-- use clock requests
local before = answered(request, digest)
if before == 'other' then return { 'other' } end
if before then return before end
local text = redis.call('HGET', calendars_key, name)
local stands = text and tonumber(string.match(text, '^{"v":%d+,"revision":(%d+)')) or 0
if stands ~= seen then return { 'conflict', stands } end
if not text and redis.call('HLEN', calendars_key) >= most then return { 'full' } end

-- Revisions go on over a removal: entries name the one that they were planned by.
local last = text and stands or tonumber(redis.call('HGET', revisions_key, name) or 0) or 0

keep_clock()
if text then
  redis.call('HSET', revisions_key, name .. '\0' .. stands, text)
  redis.call('HDEL', revisions_key, name .. '\0' .. (stands - kept))
end
if calendar == '' then
  redis.call('HDEL', calendars_key, name)
  redis.call('HSET', revisions_key, name, stands)
else
  local instant = string.format('%d,"at":%.0f', last + 1, now)
  redis.call('HSET', calendars_key, name, (string.gsub(calendar, '^({"v":%d+,"revision":)%d+,"at":%d+', '%1' .. instant)))
end
local answer = { 'done', calendar == '' and stands or last + 1, calendar == '' and 'removed' or text and 'changed' or 'added' }
keep_answer(request, digest, answer)
return answer

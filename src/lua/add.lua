-- add: write entries that are new and begin now: the short way of `put`, for what files bring by the thousand.
--
-- All was made ready by the caller; this script looks whether it still holds, and puts its instant into the definitions. Where
-- anything stands in the way of one, nothing is written, and `put` decides about each.
--
-- KEYS[1] clock     hash    the shard's clock and counters
-- KEYS[2] due       zset    entry id -> when to look at it, ms
-- KEYS[3] plans     hash    entry id -> plan
-- KEYS[4] entries   hash    entry id -> definition
-- KEYS[5] messages  hash    entry id -> message of a direct action
-- KEYS[6] cursors   hash    entry id -> cursor, pace, back-log
-- KEYS[7] finished  zset    entry id -> since when
-- KEYS[8] fires     hash    entry id -> fire times so far, of entries with `max_fires`
-- KEYS[9] queues    hash    list -> ids in it whose run has ended
-- KEYS[10] requests hash    request id -> answer
-- KEYS[11] requested zset   request id -> when
-- KEYS[12] stale    zset    entry id -> when to hand it out for planning with newer zone data
-- KEYS[13] events   stream  what happened
-- ARGV[1] request id
-- ARGV[2] digest of the request
-- ARGV[3] channel of nudges
-- ARGV[4] release of the caller's zone data
-- ARGV[5] who asks
-- ARGV[6] why, or empty
-- ARGV[7] answer to keep, JSON
-- ARGV[8] lines of the event, as `put` writes them
-- ARGV[9] the first fire time of all, ms; it must be to come
-- ARGV[10] when they were made ready, ms; the shard's clock may not be behind it
-- ARGV[11] how many: entries
-- ARGV[12] pairs for `messages`
-- ARGV[13] pairs for `cursors`
-- ARGV[14] pairs for `fires`
-- ARGV[15] lists
-- ARGV[16..] per entry: id, definition up to its instant, the rest of it, plan, score in `due` (empty: it is finished); then those
--   pairs, then the names of the lists
-- Returns 'added' | 'known' (the same request came before) | 'other' (with other content) | 'put' (nothing is written)
local clock_key, due_key, plans_key, entries_key, messages_key, cursors_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local finished_key, fires_key, queues_key, requests_key, requested_key = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local stale_key, events_key = KEYS[12], KEYS[13]
local request, digest, channel, release, actor, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local answer, lines, soonest, made_at, count = ARGV[7], ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local pairs_of = { { messages_key, tonumber(ARGV[12]) }, { cursors_key, tonumber(ARGV[13]) }, { fires_key, tonumber(ARGV[14]) } }
local list_count, first, given = tonumber(ARGV[15]), 16, ARGV
local node_name = ''
-- use words clock log zones requests nudge
local before = answered(request, digest)
if before then return before == 'other' and 'other' or 'known' end
zones.read(redis.call('HMGET', clock_key, 'zone', 'zone_at', 'zone_done'))
-- Redis' clock may have been set back since: then there are fire times before those first ones.
if soonest <= now or made_at > now or release < zones.greatest then return 'put' end
local ids, definitions, plans, due, finished = {}, {}, {}, {}, {}
local instant = string.format('%.0f', now)
for i = 1, count do
  local at, n = first + 5 * i - 5, 2 * i
  local id, score = given[at], given[at + 4]
  ids[i], definitions[n - 1], plans[n - 1], plans[n] = id, id, id, given[at + 3]
  definitions[n] = given[at + 1] .. instant .. given[at + 2]
  if score == '' then append(finished, instant, id) else append(due, score, id) end
end
local standing = redis.call('HMGET', entries_key, unpack(ids))
for i = 1, count do
  if standing[i] then return 'put' end
end
-- Reads of every key that is only written below: a key of another type raises here, before the first write.
for _, key in ipairs({ plans_key, messages_key, cursors_key, fires_key, queues_key, requests_key }) do redis.call('HLEN', key) end
for _, key in ipairs({ due_key, finished_key, requested_key, stale_key }) do redis.call('ZCARD', key) end
redis.call('XLEN', events_key)

keep_clock()
log_line(events_key, 'events', EVENTS_MAX, count, 'type', 'changes', 'actor', actor, 'reason', reason, 'changes', lines)
write_all('HSET', entries_key, definitions)
write_all('HSET', plans_key, plans)
local at = first + 5 * count
for i = 1, #pairs_of do
  local key, most = pairs_of[i][1], at + 2 * pairs_of[i][2]
  for from = at, most - 1, 1000 do redis.call('HSET', key, unpack(given, from, math.min(from + 999, most - 1))) end
  at = most
end
for i = at, at + list_count - 1 do redis.call('HSETNX', queues_key, given[i], 0) end
write_all('ZADD', due_key, due)
write_all('ZADD', finished_key, finished)
zones.leave_behind({})
keep_text(request, digest, answer)
if #due > 0 then nudge(channel, 'due') end
return 'added'

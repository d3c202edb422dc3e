-- replan: give an entry a plan that reaches further, or one made with other zone data, from where it stands; never from now.
--
-- Refused unless revision, cursor and plan that the planner saw all still hold.
--
-- KEYS[1] clock    hash    the shard's clock and counters
-- KEYS[2] due      zset    entry id -> when to look at it, ms
-- KEYS[3] plans    hash    entry id -> plan
-- KEYS[4] entries  hash    entry id -> definition
-- KEYS[5] cursors  hash    entry id -> cursor, pace, back-log
-- KEYS[6] parked   zset    entry id -> when to hand it out for planning again
-- KEYS[7] broken   zset    entry id -> the same
-- KEYS[8] finished zset    entry id -> since when
-- KEYS[9] paused   zset    entry id -> until when
-- KEYS[10] messages hash   entry id -> message of a direct action
-- KEYS[11] queues  hash    list -> ids in it whose run has ended
-- KEYS[12] stale   zset    entry id -> when to hand it out for planning with newer zone data
-- KEYS[13] events  stream  what happened
-- ARGV[1] entry id
-- ARGV[2] birth
-- ARGV[3] revision
-- ARGV[4] place that the planner saw: due, parked, broken, paused
-- ARGV[5] cursor that the planner saw; of a broken entry, the one to start at
-- ARGV[6] plan that the planner saw
-- ARGV[7] new plan
-- ARGV[8] message of a direct action, or empty
-- ARGV[9] list, or empty
-- ARGV[10] paused: cursor to go on from
-- ARGV[11] paused: back-log field of what has passed, packed
-- ARGV[12] channel of nudges
-- ARGV[13] release of the planner's zone data
-- ARGV[14] planned anew with newer zone data: all before it is settled, its next fire time is the first from there on; else 0
-- Returns 'written' | 'changed' | 'forgotten' (an entry without definition was taken off)
local clock_key, due_key, plans_key, entries_key, cursors_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local parked_key, broken_key, finished_key, paused_key = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local messages_key, queues_key, stale_key, events_key = KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local id, birth, revision, place, cursor = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local seen_plan, new_plan, message, list = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local new_cursor, passed, channel, release, anew = tonumber(ARGV[10]), ARGV[11], ARGV[12], ARGV[13], tonumber(ARGV[14])
-- use words clock log plan definition paused cursor nudge zones
local keys = { due = due_key, parked = parked_key, broken = broken_key, paused = paused_key }
local score = tonumber(redis.call('ZSCORE', keys[place], id) or nil)
if not score then return 'changed' end
local definition = redis.call('HGET', entries_key, id)
if not definition then
  for _, key in pairs(keys) do redis.call('ZREM', key, id) end
  redis.call('HDEL', plans_key, id)
  redis.call('HDEL', cursors_key, id)
  redis.call('ZREM', stale_key, id)
  return 'forgotten'
end
local stands_birth, stands_revision = definitions.identity(definition)
if stands_birth ~= birth or stands_revision ~= revision then return 'changed' end
load_cursors({ id })
local stands = cursors[id] or { cursor = place == 'due' and score or cursor, pace_at = 0, back = {} }
if place ~= 'broken' and (stands.cursor ~= cursor or (redis.call('HGET', plans_key, id) or '') ~= seen_plan) then return 'changed' end
local p = read_plan(new_plan)
if not p then return 'changed' end
for _, key in ipairs({ messages_key, queues_key }) do redis.call('HLEN', key) end
redis.call('ZCARD', finished_key)
redis.call('ZCARD', stale_key)
redis.call('XLEN', events_key)
zones.read(redis.call('HMGET', clock_key, 'zone', 'zone_at', 'zone_done'))

keep_clock()
if place == 'broken' then log_event('type', 'mended', 'entry', id) end
redis.call('HSET', plans_key, id, new_plan)
if message ~= '' then redis.call('HSET', messages_key, id, message) end
if list ~= '' then redis.call('HSETNX', queues_key, list, 0) end
if release < zones.greatest then
  zones.leave_to_newer({ id })
elseif anew > 0 then
  redis.call('ZREM', stale_key, id)
end
if place == 'due' and anew == 0 then return 'written' end
local till = pause_end(definition)
if place == 'paused' then
  redis.call('HSET', cursors_key, id, struct.pack('>I6I6', new_cursor, till and till < NEVER and till or 0) .. passed)
  redis.call('ZADD', paused_key, till or NEVER, id)
  nudge(channel, 'due')
  return 'written'
end
local t, left = time_after(p, (anew > 0 and anew or cursor) - 1)
redis.call('ZREM', keys[place], id)
-- A paused entry that had lost its place or its plan; what passed before is kept beside its cursor. One whose pause had ended
-- before has a cursor of another kind, or none: then nothing lies between its cursor and that end.
if till and (till == NEVER or not cursors[id] or cursors[id].pace_at == till) then
  redis.call('ZADD', paused_key, till, id)
  if not cursors[id] then redis.call('HSET', cursors_key, id, pack_cursor(cursor, till < NEVER and till or 0, {})) end
  nudge(channel, 'due')
  return 'written'
end
put_in_place(id, p, t, left, stands.back, stands.pace_at, math.max(stands.pace_at, now), false)
flush_cursors()
nudge(channel, 'due')
return 'written'

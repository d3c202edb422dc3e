-- What most installations do not have most of the time: entries that are looked at apart from their fire times, and runs that wait.
-- One command tells of each kind that nothing of it is there; then nothing of it is read, and a key that is not there is of no wrong
-- type. Needs the names of the keys.
local rare = {
  entries = redis.call('EXISTS', cursors_key, parked_key, broken_key, paused_key, stale_key, skips_key, backfills_key, backfilling_key) > 0,
  runs = redis.call('EXISTS', waits_key, cancels_key, fires_key, start_by_key, delayed_key) > 0,
}

-- Wakes nodes for an earlier time; a lost nudge costs a poll. A user without the right to publish is no reason to stop.
local function nudge(channel, text) redis.pcall('PUBLISH', channel, text) end

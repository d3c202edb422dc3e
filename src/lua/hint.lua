-- hint: wake one idle worker per list that has work; for shards whose scripts can't reach the hints.
--
-- KEYS[1..] hints, at most one element in each
-- Returns the number of hints left
local hints = {}
for i = 1, #KEYS do hints[i] = KEYS[i] end
local left = 0
for i = 1, #hints do
  if redis.call('LLEN', hints[i]) == 0 then
    redis.call('RPUSH', hints[i], '1')
    left = left + 1
  end
end
return left

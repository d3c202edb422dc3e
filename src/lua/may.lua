-- may: which of these commands the caller may not run; runs none of them.
--
-- KEYS[1] clock hash  any key of the namespace
-- ARGV[1] how many commands; then of each how many words it has, and the words
-- ARGV[2..] those
-- Returns the numbers of those that are refused, from 1
local clock_key = KEYS[1]
local count, words = tonumber(ARGV[1]), { unpack(ARGV, 2) }
local refused, at = {}, 1
redis.call('TIME')
for i = 1, count do
  local length = tonumber(words[at])
  local is_known, may = pcall(redis.acl_check_cmd, unpack(words, at + 1, at + length))
  if not (is_known and may) then refused[#refused + 1] = i end
  at = at + 1 + length
end
return refused

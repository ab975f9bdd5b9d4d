--[[
Trim the index of a partition, a step of it: entries that every projector is past.

KEYS  1 index  stream  {tl:p}:index

ARGV  1 n         the entry that the partition is projected up to
      2 session   its session
      3 last      its last event_id
      4 keep_from the first entry to keep; never more than n, so that the anchor stays
      5 count     trim at most so many

Returns how many were trimmed: fewer than count when done; 0 when the index does not hold that entry.
]]
local index = KEYS[1]
local n, keep_from, count = tonumber(ARGV[1]), tonumber(ARGV[4]), tonumber(ARGV[5])

local function int(number)
  return string.format('%.0f', number)
end

-- Another entry, or none: the index has lost its tail, and an audit will look at all of it.
local anchor = redis.call('XRANGE', index, int(n) .. '-0', int(n) .. '-0')[1]
if not anchor or anchor[2][2] ~= ARGV[2] or anchor[2][10] ~= ARGV[3] then return 0 end
local first = redis.call('XRANGE', index, '-', '+', 'COUNT', 1)[1]
local from = math.min(tonumber(string.match(first[1], '^%d+')) + count, keep_from, n)
return redis.call('XTRIM', index, 'MINID', '=', int(from) .. '-0')

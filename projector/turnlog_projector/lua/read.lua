--[[
Read the next entries of a stream, as many as some bytes hold: of a stream whose entries may have up to
1 MiB each nobody knows beforehand how many that are. Writes nothing.

KEYS  1 stream

ARGV  1 first  ID of the first entry to read
      2 count  read at most so many
      3 bytes  and, after the first, only as long as all together hold at most so many bytes

Returns the entries, oldest first, as XRANGE does.
]]
local from, count, left = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local found = {}
while #found < count do
  -- One by one, so that Redis itself never holds more than that either.
  local entry = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1)[1]
  if not entry then break end
  for _, field in ipairs(entry[2]) do left = left - #field end
  if left < 0 and #found > 0 then break end
  found[#found + 1] = entry
  from = '(' .. entry[1]
end
return found

--[[
Rebuild the stream of one session that has lost events which the archive holds.

The new stream: the archived events that are given (they end with the last archived one), then what
the stream holds beyond the last event that it shares with the archive, under new seqs. The script
reads that rest itself, so that nothing appended meanwhile is missed.

KEYS  1 heads  2 index  3 stream  4 ids      as in append.lua
      5 aside  stream  holds the old stream while the script runs

ARGV  1 session        <tenant>:<session>
      2 partition      published to wake the projectors
      3 archived_seq   seq of the last archived event
      4 archived_id    its event_id
      5 archived_t     its recorded_at
      6 common_seq     the last seq at which stream and archive hold the same event; 0 = none
      7 common_id      the event_id there; '' = none
      8 common_t       the recorded_at there
      9 owner          user_id as the archive knows it; '' = none
      10 flags         '-' or letters, as in a head; e = the tombstone is archived: then Redis keeps
                       nothing but the head, and no archived event is given
      11.. three an archived event, seqs without gap, the last one archived_seq: event_id, t, bytes

Returns {rebuilt, restored, moved, lost}: 1 when the stream was rebuilt; events written again, events
      that got another seq, seqs that the head counted but nobody has any more; all 0 when the stream
      turned out to be sound.
      or an error reply, nothing written:
      FORKED <session>: the event at common_seq is another one
      FOREIGN <session>: the stream holds an entry that no script of ours wrote

Begins with the functions that append.lua shares.
]]
local heads, index, stream, ids, aside = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local session, partition = ARGV[1], ARGV[2]
local archived_seq, archived_id, archived_t = tonumber(ARGV[3]), ARGV[4], ARGV[5]
local common_seq, common_id, common_t = tonumber(ARGV[6]), ARGV[7], ARGV[8]
local owner, flags = ARGV[9], ARGV[10]
local erased = string.find(flags, 'e', 1, true)

local head_seq, base, head_t, head_id = 0, 0, 0, ''
local head = redis.call('HGET', heads, session)
if head then
  local a, b, c, d, e, f = string.match(head, '^(%d+) (%d+) (%d+) (%S+) (%S+) (.*)$')
  head_seq, base, head_t, head_id = tonumber(a), tonumber(b), tonumber(c), d
  if string.find(e, 'e', 1, true) and not string.find(flags, 'e', 1, true) then
    flags = flags == '-' and 'e' or flags .. 'e'
  end
  if string.find(e, 's', 1, true) and not string.find(flags, 's', 1, true) then
    flags = flags == '-' and 's' or flags .. 's'
  end
  if owner == '' and not erased then owner = f end
end

-- The same event is one with the same id and t: a lost one that was sent again may have got its old
-- seq back, behind others.
local function holds(at, event_id, recorded_at)
  local entry = redis.call('XRANGE', stream, int(at) .. '-0', int(at) .. '-0')[1]
  return entry and entry[2][4] == event_id and entry[2][6] == recorded_at
end

-- Or held, before it was trimmed.
local function held()
  if archived_seq == 0 then return true end
  if base < archived_seq then return holds(archived_seq, archived_id, archived_t) end
  return head_seq > archived_seq or head_id == archived_id
end

-- A stream that has had a later ID, which was deleted, takes nothing at the next seq any more.
local function takes_more()
  local info = redis.pcall('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return tonumber(string.match(info[i + 1], '^%d+')) <= head_seq end
  end
  return true
end

local length = redis.call('XLEN', stream)
if length == head_seq - base and length == redis.call('HLEN', ids) and held() and takes_more() then
  return {0, 0, 0, 0}
end
if common_seq > 0 then
  if not holds(common_seq, common_id, common_t) then
    return redis.error_reply('FORKED ' .. session .. ' at ' .. int(common_seq))
  end
end

-- The entries beyond the last common event, a few at a time: a script must not hold all of them.
-- Goes on until `visit` returns something, and returns that.
local function beyond(key, visit)
  local from = '(' .. int(common_seq) .. '-0'
  while true do
    local entries = redis.call('XRANGE', key, from, '+', 'COUNT', 10)
    for _, item in ipairs(entries) do
      local found = visit(item)
      if found then return found end
      from = '(' .. item[1]
    end
    if #entries < 10 then return nil end
  end
end

local given = (#ARGV - 10) / 3
-- Nothing is added again behind a tombstone; one in the rest is the last of it.
local keeps_rest = not erased and length > 0
if keeps_rest then
  local foreign = beyond(stream, function(item)
    local fields = item[2]
    if not (#fields == 6 and fields[1] == 'e' and fields[3] == 'i' and fields[5] == 't'
        and is_id(fields[4]) and string.find(fields[6], '^%d+$')) then
      return item[1]
    end
  end)
  if foreign then
    return redis.error_reply('FOREIGN ' .. session .. ' at ' .. foreign)
  end
  redis.call('RENAME', stream, aside)
end

redis.call('DEL', stream, ids)
base = archived_seq - given
local seq, t, last_id, size, moved = base, 0, '', 0, 0
if given == 0 and archived_seq > 0 then
  t, last_id = tonumber(archived_t), archived_id
  if erased then head_t = 0 end
end
local function add(event_id, at, bytes)
  seq = seq + 1
  t = math.max(t, tonumber(at))
  last_id = event_id
  if seq > common_seq then size = size + #bytes end
  redis.call('XADD', stream, int(seq) .. '-0', 'e', bytes, 'i', event_id, 't', int(t))
  redis.call('HSET', ids, event_id, int(seq))
end
for i = 1, given do
  add(ARGV[8 + 3 * i], ARGV[9 + 3 * i], ARGV[10 + 3 * i])
end
if keeps_rest then
  beyond(aside, function(item)
    local fields = item[2]
    if redis.call('HEXISTS', ids, fields[4]) == 0 then
      if tonumber(string.match(item[1], '^%d+')) ~= seq + 1 then moved = moved + 1 end
      add(fields[4], fields[6], fields[2])
    end
  end)
  redis.call('DEL', aside)
end
if seq == 0 then
  redis.call('HDEL', heads, session)
else
  t = math.max(t, head_t)
  if base == seq then flags = string.gsub(flags, '[-c]', '') .. 'c' end
  redis.call('HSET', heads, session,
    int(seq) .. ' ' .. int(base) .. ' ' .. int(t) .. ' ' .. last_id .. ' ' .. flags .. ' ' .. owner)
end

if seq > common_seq then
  tell_index(index, session, common_seq + 1, seq - common_seq, common_id, last_id, size)
end
redis.call('PUBLISH', 'turnlog:wake', partition)
-- What was trimmed before it was lost is given back only in part.
local restored = math.min(math.max(archived_seq - common_seq, 0), given)
return {1, restored, moved, math.max(head_seq - seq, 0)}

-- Leases the first ready messages to this client.
-- ARGV: uuid, client, messages, bytes, singly, presence, what is known of us, again
local answer = begin()
if answer then
  return answer
end
local most, most_bytes, singly, presence = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1', ARGV[6]
local undecided = look()

local reply, messages, bytes = {}, 0, 0

local function show(f)
  local text = payload(f)
  for _, value in ipairs({ f.id, f.count, f.attempts - f.forgiven, f.attempts, f.framing, f.json, text }) do
    reply[#reply + 1] = value
  end
  messages = messages + f.count
  bytes = bytes + #text
end

if ARGV[8] == '1' then
  -- What was taken before without our hearing of it.
  local ids = call('SMEMBERS', q .. 'o:' .. me)
  table.sort(ids, by_number)
  for _, id in ipairs(ids) do
    local f = load(id)
    if f and f.state == LEASED and f.kept == 0 then
      show(f)
    end
  end
  if messages > 0 then
    live(presence)
    commit()
    return { 'taken', undecided, reply }
  end
end

if m.gets_paused == 0 then
  local taken = 0
  while messages < most and bytes < most_bytes and taken < AT_ONCE do
    local id = call('ZRANGE', q .. 'ready', 0, 0)[1]
    if not id then
      break
    end
    call('ZREM', q .. 'ready', id)
    local f = load(id)
    if not f then
      commit()
      return { 'damaged', 'f:' .. id, 'is missing, and its messages are to be ready' }
    end
    local wanted = singly and 1 or most - messages
    if f.count > wanted then
      local part = {}
      for key, value in pairs(f) do
        part[key] = value
      end
      local cut = measure(f, wanted)
      local text = call('GETRANGE', q .. 'f:' .. id, HEADER_BYTES + f.skip, HEADER_BYTES + f.skip + cut - 1)
      advance(f, wanted, cut)
      call('ZADD', q .. 'ready', f.id, f.id)
      part.count, part.skip = wanted, 0
      call('SET', q .. 'f:' .. id, header(part) .. text)
      f = part
    end
    f.state, f.at, f.till, f.owner, f.attempts = LEASED, now, NEVER, me, f.attempts + 1
    save(f)
    call('SADD', q .. 'o:' .. me, f.id)
    taken = taken + 1
    show(f)
  end
end
if messages == 0 then
  local drained = m.closed == 1 and m.ready == 0 and m.leased == 0 and m.delayed == 0
  commit()
  return { drained and 'drained' or 'nothing', undecided, until_due() }
end
call('HSETNX', q .. 'owner', me, ARGV[7])
live(presence)
add('ready', -messages)
add('leased', messages)
if m.ready == 0 and m.delayed == 0 then
  wake('finished')
end
if m.max_items > 0 then
  wake('space')
end
if m.ready > 0 then
  -- Those who were woken for what is left may have died on the way.
  wake('data')
end
commit()
return { 'taken', undecided, reply }

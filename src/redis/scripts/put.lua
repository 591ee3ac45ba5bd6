-- Puts a run of messages at the end of the order, or as many of them as there is room for.
-- ARGV: uuid, client, sequence, framing, json, count, together, payload; and for what is prepared: presence, what is
-- known of us, source
local sequence, framing, json, messages = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local together, text, presence = ARGV[7] == '1', ARGV[8], ARGV[9]
-- It may fail for want of memory.
local answer = open() or remembered(sequence)
if answer then
  return answer
end
if m.closed == 1 then
  return { 'closed' }
end
if m.puts_paused == 1 then
  return { 'full', {}, -1 }
end

-- How many messages there is room for, and how many bytes they have.
local function room()
  local waiting = m.ready + m.delayed
  local items = m.capacity - waiting - m.leased - m.dead
  if m.max_items > 0 then
    items = math.min(items, m.max_items - waiting)
  end
  local bytes = m.capacity - m.bytes
  local delimiters = framing == 1 and 0 or messages
  if messages <= items and #text - delimiters <= bytes then
    return messages, #text
  end
  if together or framing == 1 then
    return 0, 0
  end
  local fits, at = 0, 0
  while fits < items do
    local next_ = string.find(text, DELIMITERS[framing], at + 1, true)
    if not next_ or next_ - fits - 1 > bytes then
      break
    end
    fits, at = fits + 1, next_
  end
  return fits, at
end

local fits, bytes = room()
if fits == 0 then
  -- A dead consumer's leases cannot make room, but whoever takes them next can.
  reserve()
  local undecided = look()
  commit()
  return { 'full', undecided, until_due() }
end
local id = whole(m.next_id)
local f = {
  id = id, count = fits, skip = 0, attempts = 0, forgiven = 0, framing = framing, json = json,
  state = presence and PREPARED or READY, kept = 0, put_at = now, at = now, till = NEVER,
  owner = presence and me or NOBODY,
}
if bytes < #text then
  text = string.sub(text, 1, bytes)
end
call('SET', q .. 'f:' .. id, header(f) .. text)
set('next_id', m.next_id + fits)
add('bytes', bytes - (framing == 1 and 0 or fits))
count('put', fits)
if m.bytes > m.high_water then
  set('high_water', m.bytes)
end
if presence then
  call('SADD', q .. 'o:' .. me, id)
  call('HSET', q .. 'prepared', id, ARGV[11])
  call('HSETNX', q .. 'owner', me, ARGV[10])
  live(presence)
  add('leased', fits)
  add('prepared', fits)
else
  call('ZADD', q .. 'ready', id, id)
  add('ready', fits)
  wake('data')
end
commit()
return remember(sequence, { 'put', fits, id })

-- Looks at everything, and changes nothing. ARGV: uuid, client
local refused = open()
if refused then
  return refused
end
local findings = {}
local function find(field, problem)
  findings[#findings + 1] = field
  findings[#findings + 1] = problem
end
local seen, bytes, sums = {}, 0, { ready = 0, leased = 0, delayed = 0, dead = 0 }
local function look_at(id, where, states, sum)
  local f = load(id)
  if not f then
    find(where, 'names frame ' .. id .. ', which is not there')
    return
  end
  if not states[f.state] then
    find('frame state', 'of frame ' .. id .. ' in ' .. where .. ' is ' .. f.state)
  end
  if seen[id] then
    if seen[id] == where or f.kept ~= 1 then
      find(where, 'names frame ' .. id .. ', which is in ' .. seen[id])
    end
    return
  end
  seen[id] = where
  sums[sum] = sums[sum] + f.count
  bytes = bytes + message_bytes(f)
  if f.framing ~= 1 then
    local text, messages, at = payload(f), 0, 0
    while true do
      at = string.find(text, DELIMITERS[f.framing], at + 1, true)
      if not at then
        break
      end
      messages = messages + 1
    end
    if messages ~= f.count or string.sub(text, -1) ~= DELIMITERS[f.framing] then
      find('message count', 'of frame ' .. id .. ' is ' .. f.count .. ', and the payload has ' .. messages .. ' ends')
    end
  end
end
for _, id in ipairs(call('ZRANGE', q .. 'ready', 0, -1)) do
  look_at(id, 'ready', { [READY] = true }, 'ready')
end
for _, id in ipairs(call('ZRANGE', q .. 'delayed', 0, -1)) do
  look_at(id, 'delayed', { [DELAYED] = true }, 'delayed')
end
for _, id in ipairs(call('ZRANGE', q .. 'dead', 0, -1)) do
  look_at(id, 'dead', { [DEAD] = true }, 'dead')
end
for _, id in ipairs(call('ZRANGE', q .. 'kept', 0, -1)) do
  look_at(id, 'kept', { [LEASED] = true }, 'leased')
end
local late = 0
local owners = call('ZRANGE', q .. 'owners', 0, -1, 'WITHSCORES')
for index = 1, #owners, 2 do
  local owner = owners[index]
  for _, id in ipairs(call('SMEMBERS', q .. 'o:' .. owner)) do
    look_at(id, 'o:' .. owner, { [LEASED] = true, [PREPARED] = true }, 'leased')
  end
  if tonumber(owners[index + 1]) <= now then
    late = late + 1
  end
end
for field, sum in pairs(sums) do
  if sum ~= m[field] then
    find(field, 'is ' .. m[field] .. ', and there are ' .. sum)
  end
end
if bytes ~= m.bytes then
  find('bytes', 'is ' .. m.bytes .. ', and there are ' .. bytes)
end
return { 'verified', findings, late, m.ready, m.leased, m.delayed, m.dead, m.bytes, m.closed }

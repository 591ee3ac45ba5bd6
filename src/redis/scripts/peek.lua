-- The first frames of a shelf; changes nothing. ARGV: uuid, client, shelf, most
local refused = open()
if refused then
  return refused
end
local shelf, most = ARGV[3], tonumber(ARGV[4])
local state = ({ ready = READY, leased = LEASED, delayed = DELAYED, dead = DEAD })[shelf]
only_look()
look()
local reply, messages = {}, 0
local function show(id)
  local f = moved[id] or load(id)
  if not f or f.state ~= state or messages >= most then
    return
  end
  local shown, text = math.min(f.count, most - messages), nil
  if shown < f.count then
    text = call('GETRANGE', q .. 'f:' .. id, HEADER_BYTES + f.skip, HEADER_BYTES + f.skip + measure(f, shown) - 1)
  else
    text = payload(f)
  end
  local at = -1
  if shelf == 'leased' and f.kept == 1 and f.till < NEVER then
    at = f.till
  elseif shelf == 'delayed' or shelf == 'dead' then
    at = f.at
  end
  local reason = shelf == 'dead' and (f.reason or call('HGET', q .. 'reasons', id)) or ''
  local known = f.owner ~= NOBODY and call('HGET', q .. 'owner', f.owner) or ''
  for _, value in ipairs({ f.id, shown, f.attempts - f.forgiven, f.attempts, f.framing, f.json, at, reason, known, text }) do
    reply[#reply + 1] = value
  end
  messages = messages + shown
end
local function show_all(ids)
  for _, id in ipairs(ids) do
    show(id)
  end
end
if shelf == 'leased' then
  show_all(call('ZRANGE', q .. 'kept', 0, -1))
  for _, owner in ipairs(call('ZRANGE', q .. 'owners', 0, -1)) do
    local ids = {}
    for _, id in ipairs(call('SMEMBERS', q .. 'o:' .. owner)) do
      if not call('ZSCORE', q .. 'kept', id) then
        ids[#ids + 1] = id
      end
    end
    table.sort(ids, by_number)
    show_all(ids)
  end
else
  local ids, arrived = call('ZRANGE', q .. shelf, 0, most - 1), {}
  for id, f in pairs(moved) do
    if f.state == state then
      arrived[#arrived + 1] = id
    end
  end
  table.sort(arrived, by_number)
  for _, id in ipairs(arrived) do
    ids[#ids + 1] = id
  end
  if shelf == 'ready' then
    table.sort(ids, by_number)
  end
  show_all(ids)
end
return { 'shown', now, reply }

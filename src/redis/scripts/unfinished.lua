-- Whether a message with an id below a mark is neither gone nor dead. ARGV: uuid, client, mark
local refused = open()
if refused then
  return refused
end
local mark = tonumber(ARGV[3])
local function any(ids)
  for _, id in ipairs(ids) do
    if tonumber(id) < mark then
      return true
    end
  end
end
local found = any(call('ZRANGE', q .. 'ready', 0, 0))
  or any(call('ZRANGE', q .. 'kept', 0, -1))
  or any(call('ZRANGE', q .. 'delayed', 0, -1))
for _, owner in ipairs(call('ZRANGE', q .. 'owners', 0, -1)) do
  found = found or any(call('SMEMBERS', q .. 'o:' .. owner))
end
return { found and 'unfinished' or 'finished' }

-- Makes dead messages ready again, as new: those with these ids, all of them or none, or every one there is.
-- ARGV: uuid, client, sequence, all, ids
local answer = begin(ARGV[3])
if answer then
  return answer
end
look()
local ids = {}
if ARGV[4] == '1' then
  ids = call('ZRANGE', q .. 'dead', 0, -1)
else
  for index = 5, #ARGV do
    if not call('ZSCORE', q .. 'dead', ARGV[index]) then
      commit()
      return { 'not dead', ARGV[index] }
    end
    ids[#ids + 1] = ARGV[index]
  end
end
local retried = 0
for _, id in ipairs(ids) do
  -- The same id may have been named twice.
  if call('ZREM', q .. 'dead', id) == 1 then
    local f = load(id)
    call('HDEL', q .. 'reasons', id)
    if f then
      f.forgiven = f.attempts
      add('dead', -f.count)
      make_ready(f)
      retried = retried + f.count
    end
  end
end
if retried > 0 then
  wake('data')
end
commit()
return remember(ARGV[3], { 'retried', retried })

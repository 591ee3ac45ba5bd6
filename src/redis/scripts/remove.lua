-- Removes the queue and everything in it. ARGV: '', client, 1 if it may have been removed by this call
if call('TYPE', meta).ok ~= 'hash' then
  return { call('EXISTS', meta) == 1 and 'foreign' or ARGV[3] == '1' and 'removed' or 'gone' }
end
m.uuid = call('HGET', meta, 'uuid')
if not m.uuid then
  return { 'foreign' }
end
for _, shelf in ipairs({ 'ready', 'delayed', 'kept', 'dead' }) do
  for _, id in ipairs(call('ZRANGE', q .. shelf, 0, -1)) do
    call('UNLINK', q .. 'f:' .. id)
  end
  call('UNLINK', q .. shelf)
end
for _, owner in ipairs(call('ZRANGE', q .. 'owners', 0, -1)) do
  for _, id in ipairs(call('SMEMBERS', q .. 'o:' .. owner)) do
    call('UNLINK', q .. 'f:' .. id)
  end
  call('UNLINK', q .. 'o:' .. owner, q .. 't:' .. owner)
end
call('UNLINK', meta, q .. 'reasons', q .. 'owners', q .. 'owner', q .. 'prepared', q .. 'handed')
for _, what in ipairs({ 'data', 'space', 'finished' }) do
  wake(what)
end
return { 'removed' }

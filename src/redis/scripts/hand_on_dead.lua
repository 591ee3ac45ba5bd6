-- Removes a dead message that has been handed out so often, and notes that it was handed on.
-- ARGV: uuid, client, sequence, id, attempts
local answer = begin(ARGV[3])
if answer then
  return answer
end
local f = load(ARGV[4])
if not f or f.state ~= DEAD or f.attempts ~= tonumber(ARGV[5]) then
  return { 'not dead', ARGV[4] }
end
call('ZREM', q .. 'dead', f.id)
call('HDEL', q .. 'reasons', f.id)
add('dead', -f.count)
add('purged', f.count)
remove(f)
call('HSET', q .. 'handed', f.id .. '.' .. f.attempts, me)
wake('space')
commit()
return remember(ARGV[3], { 'handed' })

-- Makes prepared messages ready, or drops them. ARGV: uuid, client, id, publish
local answer = begin()
if answer then
  return answer
end
local f = load(ARGV[3])
if f and f.state == PREPARED then
  local owner = f.owner
  let_go(f)
  add('prepared', -f.count)
  call('HDEL', q .. 'prepared', f.id)
  if ARGV[4] == '1' then
    make_ready(f)
    wake('data')
  else
    add('purged', f.count)
    remove(f)
    wake('space')
  end
  if owner == me then
    forget_owner(me)
  end
  note_if_drained()
  commit()
end
return { 'resolved' }

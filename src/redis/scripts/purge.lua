-- Removes all messages of a shelf. ARGV: uuid, client, sequence, shelf
local answer = begin(ARGV[3])
if answer then
  return answer
end
local shelf = ARGV[4]
look()
local purged = 0
for _, id in ipairs(call('ZRANGE', q .. shelf, 0, -1)) do
  local f = load(id)
  if f then
    purged = purged + f.count
    remove(f)
  end
end
call('DEL', q .. shelf)
if shelf == 'dead' then
  call('DEL', q .. 'reasons')
end
add(shelf, -purged)
add('purged', purged)
if purged > 0 then
  wake('space')
end
note_if_drained()
commit()
return remember(ARGV[3], { 'purged', purged })

-- Sets flags and wakes everyone who waits. ARGV: uuid, client, then flags and their values
local answer = begin()
if answer then
  return answer
end
for index = 3, #ARGV, 2 do
  set(ARGV[index], tonumber(ARGV[index + 1]))
end
wake('data')
wake('space')
commit()
return { 'steered' }

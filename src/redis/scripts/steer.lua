-- Sets flags and wakes everyone who waits. ARGV: uuid, client, then flags and their values
local refused = open()
if refused then
  return refused
end
reserve()
for index = 3, #ARGV, 2 do
  set(ARGV[index], tonumber(ARGV[index + 1]))
end
wake('data')
wake('space')
commit()
return { 'steered' }

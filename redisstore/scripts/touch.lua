-- Takes five arguments for each use. The last is the time and the address.
local digests, latest = {}, {}
for i = 2, #ARGV, 5 do digests[#digests + 1] = ARGV[i + 3] end
for n, record in ipairs(get_all(digests)) do
	local i = 5 * n - 3
	local kind, user, id, use = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
	if is_of(record, kind, user, id) then
		local at, last = tonumber(use:sub(1, 20)), latest[digests[n]] or tonumber(record:sub(45, 64))
		if last < at then
			records[#records + 1] = {'SETRANGE', record_key(digests[n]), 44, use}
			latest[digests[n]] = at
		end
	end
end
return commit() or {'done'}

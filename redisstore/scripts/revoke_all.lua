local kind, user, now = ARGV[2], ARGV[3], ARGV[4]
local account, except, result = account_key(kind, user), {}, {'done'}
for i = 5, #ARGV do except[ARGV[i]] = true end

each(account, function(_, member)
	if except[member:sub(1, -34)] then return end
	local digest = member:sub(-32)
	revoke(account, kind, digest, member, now)
	result[#result + 1] = digest
end)
return result

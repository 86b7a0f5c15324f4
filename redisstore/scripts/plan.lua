-- Shared by the scripts that write.
--
-- Redis does not roll a script back. So if a command failed after the first write, for
-- example because the user of Redis may not call it, half a change would remain. The
-- functions here plan a change, and commit makes it.
local writes, removals, deletions, merged, inserted = {}, {}, {'DEL'}, {}, nil

-- write plans a command that is not merged with others.
local function write(command) writes[#writes + 1] = command end

-- merge plans one command for all calls with this command and key.
local function merge(list, command, key, ...)
	local args = merged[command .. key]
	if not args then
		args = {command, key}
		merged[command .. key], list[#list + 1] = args, args
	end
	for _, arg in ipairs({...}) do args[#args + 1] = arg end
end

local function add(...) merge(writes, ...) end

-- remove plans a command that removes entries of an index.
local function remove(...) merge(removals, ...) end

local function delete(digest) deletions[#deletions + 1] = record_key(digest) end

-- plan_removals adds the removals to the writes, except of entries that the change adds:
-- those of an earlier record with the same digest may have been found outdated.
local function plan_removals()
	for _, command in ipairs(removals) do
		local kept = {command[1], command[2]}
		for i = 3, #command do
			if command[1] ~= 'ZREM' or command[i]:sub(-32) ~= inserted then kept[#kept + 1] = command[i] end
		end
		if #kept > 2 then write(kept) end
	end
	if #deletions > 1 then write(deletions) end
end

-- commit makes the planned changes, and tells listeners which records of the user have
-- changed. It returns an error if it has changed nothing.
local function commit(messages)
	plan_removals()
	for _, message in ipairs(messages or {}) do write({'SPUBLISH', prefix .. 'changes', message}) end
	for _, command in ipairs(writes) do
		if not redis.acl_check_cmd(unpack(command)) then
			return redis.error_reply('NOPERM the user has no permission for ' .. command[1] .. ' on a key or channel with this prefix')
		end
	end
	for _, command in ipairs(writes) do redis.call(unpack(command)) end
end

-- changed returns the message about records of a user.
local function changed(kind, user, digests)
	return kind .. text(user) .. table.concat(digests)
end

-- is_taken reports whether a record has the digest or the ID, even if it was revoked. If
-- not, it plans to remove outdated entries with that ID.
local function is_taken(kind, user, id, digest)
	if redis.call('EXISTS', record_key(digest)) == 1 or redis.call('HEXISTS', revoked_key(kind, user), id) == 1 then return true end
	for _, member in ipairs(members_of(kind, user, id)) do
		if is_of(redis.call('GET', record_key(member:sub(-32))), kind, user, id) then return true end
		remove('ZREM', user_key(kind, user), member)
	end
end

-- insert plans a record. Redis removes it at drop, in milliseconds, and an index of the user
-- with the last record in it; if drop is empty, never. It overwrites what the indexes may
-- still say about an earlier record with this digest.
local function insert(kind, user, record, digest, id, drop)
	local set, limited, by = user_key(kind, user), limited_key(kind, user), score(expires(record))
	inserted = digest
	if drop == '' then
		write({'SET', record_key(digest), record})
	else
		write({'SET', record_key(digest), record, 'PXAT', drop})
	end
	write({'ZADD', by_expiry, by, digest})
	write({'ZADD', set, 0, id .. '\0' .. digest})
	write({'ZADD', limited, by, digest})
	local exist = drop ~= '' and redis.call('EXISTS', set, limited)
	for _, key in ipairs({set, limited}) do
		if drop == '' then
			write({'PERSIST', key})
		elseif exist == 2 or exist == 1 and redis.call('EXISTS', key) == 1 then
			write({'PEXPIREAT', key, drop, 'GT'})
		else
			write({'PEXPIREAT', key, drop})
		end
	end
end

-- unlist plans to remove a record from the user's indexes.
local function unlist(kind, user, member)
	remove('ZREM', limited_key(kind, user), member:sub(-32))
	remove('ZREM', user_key(kind, user), member)
end

-- revoke plans that a record is revoked. The digest and the ID of a token or a secret
-- stay, so that it cannot be imported or created again, and its owner, for events.
-- Sessions cannot be imported at all.
local function revoke(kind, user, member, now)
	local id, digest = member:sub(1, -34), member:sub(-32)
	if kind == '2' then
		delete(digest)
	else
		write({'SET', record_key(digest), '0' .. kind .. now .. text(user) .. text(id)})
		add('HSET', revoked_key(kind, user), id, '')
		add('ZADD', revoked, now, digest)
	end
	remove('ZREM', by_expiry, digest)
	unlist(kind, user, member)
end


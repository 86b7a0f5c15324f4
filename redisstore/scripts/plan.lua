-- Shared by the scripts that write.
--
-- Redis does not roll a script back. So a command that fails after the first write would
-- leave half a change: one that the user's ACL does not allow, or that needs a key of
-- another node of a cluster. The functions here plan a change, and commit makes it.
local writes, removals, lifetimes, merged, inserted = {}, {}, {}, {}, nil

-- write plans a command that is not merged with others.
local function write(...) writes[#writes + 1] = {...} end

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

-- remove plans a command that can empty its key, and so delete it. Those come after the
-- others, since a cluster that moves the slot does not find a deleted key again.
local function remove(...) merge(removals, ...) end

-- plan_removals adds the removals to the writes, except of entries that the change adds:
-- those of an earlier record with the same digest may have been found outdated.
local function plan_removals()
	for _, command in ipairs(removals) do
		local kept = {command[1], command[2]}
		for i = 3, #command do
			if command[1] ~= 'ZREM' or command[i]:sub(-32) ~= inserted then kept[#kept + 1] = command[i] end
		end
		if #kept > 2 or command[1] == 'DEL' then write(unpack(kept)) end
	end
end

-- The commands that read a key and fail as the writing ones would. The scripts have read
-- the keys of records themselves.
local readers = {ZADD = 'ZCARD', ZREM = 'ZCARD', HSET = 'HLEN', HDEL = 'HLEN', PEXPIRE = 'EXISTS', PEXPIREAT = 'EXISTS', PERSIST = 'EXISTS'}

-- commit makes the planned changes, and tells listeners which records of the user have
-- changed. It returns an error if it has changed nothing. Commands after the check
-- cannot fail.
local function commit(messages)
	plan_removals()
	for _, command in ipairs(lifetimes) do write(unpack(command)) end
	for _, message in ipairs(messages or {}) do write('SPUBLISH', prefix .. 'changes', message) end
	for _, command in ipairs(writes) do
		if not redis.acl_check_cmd(unpack(command)) then
			return redis.error_reply('NOPERM the user has no permission for ' .. command[1] .. ' on a key or channel with this prefix')
		end
		local reader = readers[command[1]]
		if reader then redis.call(reader, command[2]) end
	end
	for _, command in ipairs(writes) do redis.call(unpack(command)) end
end

-- changed returns the message about records of a user.
local function changed(kind, user, digests)
	return kind .. text(user) .. table.concat(digests)
end

-- keep plans that Redis removes an index of a user with the last record in it.
local function keep(key, drop)
	if drop == '' then
		lifetimes[#lifetimes + 1] = {'PERSIST', key}
	elseif redis.call('EXISTS', key) == 0 then
		lifetimes[#lifetimes + 1] = {'PEXPIREAT', key, drop}
	else
		lifetimes[#lifetimes + 1] = {'PEXPIREAT', key, drop, 'GT'}
	end
end

-- insert plans a record. Redis removes it at drop, in milliseconds; if drop is empty,
-- never. It overwrites what the indexes may still say about an earlier record with this
-- digest.
local function insert(kind, user, record, digest, id, drop)
	local set, limited, by = user_key(kind, user), limited_key(kind, user), score(expires(record))
	inserted = digest
	if drop == '' then
		write('SET', record_key(digest), record)
	else
		write('SET', record_key(digest), record, 'PXAT', drop)
	end
	add('ZADD', by_expiry, by, digest)
	add('ZADD', set, 0, id .. '\0' .. digest)
	add('ZADD', limited, by, digest)
	keep(set, drop)
	keep(limited, drop)
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
		remove('DEL', record_key(digest))
	else
		write('SET', record_key(digest), '0' .. kind .. now .. text(user) .. text(id))
		add('HSET', revoked_key(kind, user), id, '')
		add('ZADD', revoked, now, digest)
	end
	remove('ZREM', by_expiry, digest)
	unlist(kind, user, member)
end

-- sweep plans to remove a few index entries of records that Redis has removed. Each call
-- can remove more entries than an insert adds, so they do not accumulate.
local function sweep(kind, user, retention)
	local set, limited = user_key(kind, user), limited_key(kind, user)
	for _, member in ipairs(redis.call('ZRANDMEMBER', set, 3)) do
		if redis.call('EXISTS', record_key(member:sub(-32))) == 0 then remove('ZREM', set, member) end
	end
	local removed = '(' .. string.format('%d', redis.call('TIME')[1] - retention) .. '000000'
	for _, index in ipairs({limited, by_expiry}) do
		for _, digest in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', removed, 'LIMIT', 0, 3)) do
			if redis.call('EXISTS', record_key(digest)) == 0 then remove('ZREM', index, digest) end
		end
	end
end

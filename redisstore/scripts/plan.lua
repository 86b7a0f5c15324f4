-- Shared by the scripts that write.
--
-- Redis does not roll a script back. So if a command failed after the first write, for
-- example because the user of Redis may not call it, half a change would remain. The
-- functions here plan a change, and commit makes it: first what is added to indexes, then
-- the records, then what is removed from indexes. An entry without its record is outdated, and
-- harmless. So even if another program has made an index a key of another type, which is
-- not checked, no valid record is without its entry in an index.
local additions, records, removals, deletions, merged, inserted = {}, {}, {}, {'DEL'}, {}, nil

-- merge plans one command for all calls with this command and key.
local function merge(list, command, key, ...)
	local args = merged[command .. key]
	if not args then
		args = {command, key}
		merged[command .. key], list[#list + 1] = args, args
	end
	for _, arg in ipairs({...}) do args[#args + 1] = arg end
end

-- add plans a command that adds entries to an index.
local function add(...) merge(additions, ...) end

-- remove plans a command that removes entries of an index.
local function remove(...) merge(removals, ...) end

-- set plans that a record is written.
local function set(digest, record, ...) records[#records + 1] = {'SET', record_key(digest), record, ...} end

local function delete(digest) deletions[#deletions + 1] = record_key(digest) end

-- kept returns a removal without the entries that the change adds: those of an earlier
-- record with the same digest may have been found outdated.
local function kept(removal)
	if removal[1] ~= 'ZREM' then return removal end
	local result = {removal[1], removal[2]}
	for i = 3, #removal do
		if removal[i]:sub(-32) ~= inserted then result[#result + 1] = removal[i] end
	end
	if #result > 2 then return result end
end

-- commit makes the planned changes, and tells listeners which records of the user have
-- changed. It returns an error if it has changed nothing.
local function commit(messages)
	local commands = additions
	for _, command in ipairs(records) do commands[#commands + 1] = command end
	if #deletions > 1 then commands[#commands + 1] = deletions end
	for _, message in ipairs(messages or {}) do commands[#commands + 1] = {'SPUBLISH', prefix .. 'changes', message} end
	for _, removal in ipairs(removals) do commands[#commands + 1] = kept(removal) end
	for _, command in ipairs(commands) do
		if not redis.acl_check_cmd(unpack(command)) then
			return redis.error_reply('NOPERM the user has no permission for ' .. command[1] .. ' on a key or channel with this prefix')
		end
	end
	for _, command in ipairs(commands) do redis.call(unpack(command)) end
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
	local listed, limited, by = user_key(kind, user), limited_key(kind, user), score(expires(record))
	inserted = digest
	if drop == '' then set(digest, record) else set(digest, record, 'PXAT', drop) end
	add('ZADD', by_expiry, by, digest)
	add('ZADD', listed, 0, id .. '\0' .. digest)
	add('ZADD', limited, by, digest)
	local exist = drop ~= '' and redis.call('EXISTS', listed, limited)
	for _, key in ipairs({listed, limited}) do
		if drop == '' then
			add('PERSIST', key)
		elseif exist == 2 or exist == 1 and redis.call('EXISTS', key) == 1 then
			add('PEXPIREAT', key, drop, 'GT')
		else
			add('PEXPIREAT', key, drop)
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
		set(digest, '0' .. kind .. now .. text(user) .. text(id))
		add('HSET', revoked_key(kind, user), id, '')
		add('ZADD', revoked, now, digest)
	end
	remove('ZREM', by_expiry, digest)
	unlist(kind, user, member)
end


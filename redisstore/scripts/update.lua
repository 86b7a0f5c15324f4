-- Returns the digest of the record.
local kind, user, id, old, new = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local record, digest = find(kind, user, id)
if not record then return {'not found'} end
local at = settings_at(record)
if is_superseded(record) or record:sub(at) ~= old then return {'conflict'} end

set(digest, record:sub(1, at - 1) .. new, 'KEEPTTL')
return commit({changed(kind, user, {digest})}) or {'done', digest}

-- Returns the digests of the revoked record and of its previous one.
local kind, user, id, now = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local record, digest, member = find(kind, user, id)
if not record then return {'not found'} end
local _, previous_digest, previous_member = find_previous(kind, user, record)

revoke(kind, user, member, now)
if previous_member then revoke(kind, user, previous_member, now) end
local result = {'done', digest, previous_digest}
return commit({changed(kind, user, {digest, previous_digest})}) or result

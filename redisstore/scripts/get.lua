local kind, user, id = ARGV[2], ARGV[3], ARGV[4]
return find(user_key(kind, user), id) or false

local kind, user, id = ARGV[2], ARGV[3], ARGV[4]
return find(kind, user, id) or false

package redisstore

import (
	_ "embed"

	"github.com/redis/rueidis"
)

// The flags make Redis reject a script that writes before it runs if the server is
// read-only, and allow revocations when its memory is full.
var (
	//go:embed scripts/common.lua
	common string
	//go:embed scripts/create.lua
	create string
	//go:embed scripts/get.lua
	get string
	//go:embed scripts/list.lua
	list string
	//go:embed scripts/purge.lua
	purge string
	//go:embed scripts/revoke.lua
	revoke string
	//go:embed scripts/revoke_all.lua
	revokeAll string
	//go:embed scripts/rotate.lua
	rotate string
	//go:embed scripts/touch.lua
	touch string

	getScript  = rueidis.NewLuaScriptReadOnly(script("flags=no-writes", get))
	listScript = rueidis.NewLuaScriptReadOnly(script("flags=no-writes", list))

	createScript    = rueidis.NewLuaScript(script("", create))
	rotateScript    = rueidis.NewLuaScript(script("", rotate))
	touchScript     = rueidis.NewLuaScript(script("", touch))
	revokeScript    = rueidis.NewLuaScript(script("flags=allow-oom", revoke))
	revokeAllScript = rueidis.NewLuaScript(script("flags=allow-oom", revokeAll))
	purgeScript     = rueidis.NewLuaScript(script("flags=allow-oom", purge))
)

func script(flags, body string) string { return "#!lua " + flags + "\n" + common + body }

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
	//go:embed scripts/plan.lua
	plan string
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
	//go:embed scripts/scan.lua
	scan string
	//go:embed scripts/touch.lua
	touch string
	//go:embed scripts/update.lua
	update string

	getScript  = reading(get)
	listScript = reading(list)
	scanScript = reading(scan)

	createScript    = writing("", create)
	updateScript    = writing("", update)
	rotateScript    = writing("", rotate)
	touchScript     = writing("", touch)
	revokeScript    = writing("flags=allow-oom", revoke)
	revokeAllScript = writing("flags=allow-oom", revokeAll)
	purgeScript     = writing("flags=allow-oom", purge)
)

func reading(body string) *rueidis.Lua {
	return rueidis.NewLuaScriptReadOnly("#!lua flags=no-writes\n" + common + body)
}

func writing(flags, body string) *rueidis.Lua {
	return rueidis.NewLuaScript("#!lua " + flags + "\n" + common + plan + body)
}

// These bound how many records one script examines or changes, and so how long it keeps
// Redis from serving other requests.
const (
	step         = 250
	writeStep    = 100
	maxWriteStep = 1000 // of RevokeAll, while others create records as fast as it revokes them
)

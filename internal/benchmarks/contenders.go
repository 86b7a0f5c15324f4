package main

import "testing"

// A race compares contenders with the same kind of request. The first contender is the
// baseline of the ratios.
type race struct {
	name       string
	contenders []contender
}

func races() []race {
	jwts := []contender{pkgz(), auth0V2(), auth0V3(), chiJWT()}
	return []race{
		{"Bearer", append(lookups(), jwts...)},
		{"Secret", []contender{byHand("Secret", secrets), ourSecret()}},
		{"Cookie", []contender{cookieByHand(), ourCookie(), ourNewCookie(), bareCookie(), gorillaSessions(), scsSessions()}},
	}
}

// lookups returns the contenders that look tokens up.
func lookups() []contender {
	return []contender{
		byHand("Bearer", tokens), ourBearer(), ourUnprefixed(), ourBearerOrCookie(), ourCached(),
		connect(), goGuardian(), mcpSDK(), apiserver(),
	}
}

// refuse measures each of the refusals.
func (g *guarded) refuse(rounds int) []result {
	var benchmarks []func(*testing.B)
	for _, refusal := range refusals() {
		benchmarks = append(benchmarks, func(b *testing.B) { serve(b, g.handler, refusal.requests) })
	}
	return medians(rounds, benchmarks...)
}

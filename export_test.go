package auth

// Remembered is how many opened cookie values c remembers.
func Remembered(c *Cookie) (n int) {
	for i := range c.opened.shards {
		n += len(c.opened.shards[i].values)
	}
	return n
}

// MaxRemembered is how many those are at the most.
const MaxRemembered = openedShards * openedPerShard

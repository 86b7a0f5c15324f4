package auth

// Remembered is how many opened cookie values c remembers.
func Remembered(c *Cookie) int { n, _ := c.values.Cached(); return n }

// MaxRemembered is how many those are at the most.
const MaxRemembered = 16 * 1024

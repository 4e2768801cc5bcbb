package nats

func Escape(s string) string { return escape(s) }

func KeyOf(id string) string { return keyOf(id).String() }

var AtLeast = atLeast

// Remember sets how many records look-ups know, and how many they read in one call.
func Remember(records uint64, atOnce int) Option {
	return func(c *config) error { c.remembered, c.learnAtOnce = records, atOnce; return nil }
}

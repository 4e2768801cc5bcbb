package memcached

// WithoutSharing gives every call a round trip of its own.
func WithoutSharing() Option {
	return func(c *config) error { c.alone = true; return nil }
}

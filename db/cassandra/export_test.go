package cassandra

// WithMaxConns limits connections to one node.
func WithMaxConns(n int) Option {
	return func(c *config) error { c.maxConns = n; return nil }
}

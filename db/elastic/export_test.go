package elastic

// WithMaxConns limits how many connections are open to each address.
func WithMaxConns(n int) Option {
	return func(c *config) error { c.conns = n; return nil }
}

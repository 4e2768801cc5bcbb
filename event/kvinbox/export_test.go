package kvinbox

import "time"

// WithClaim sets how long a record that a process was handling when it ended is
// kept from others.
func WithClaim(d time.Duration) Option {
	return func(b *Inbox) error { b.claim = d; return nil }
}

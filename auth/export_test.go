package auth

import "time"

// LogRefusals is what WithLogger does with those who are refused.
var LogRefusals = logRefusals

// WithClock replaces time.Now for the life of tokens and caches.
func WithClock(now func() time.Time) Option {
	return func(o *options) error { o.clock = now; return nil }
}

// What package auth/driver has under the same names.
type (
	Source        = source
	Revoker       = revoker
	Prover        = prover
	NonceRequirer = nonceRequirer
)

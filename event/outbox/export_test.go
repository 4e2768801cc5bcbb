package outbox

import "time"

// WithTurn is how long a relay that shows no life keeps others from taking over.
func WithTurn(d time.Duration) Option {
	return func(o *options) error { o.turn = d; return nil }
}

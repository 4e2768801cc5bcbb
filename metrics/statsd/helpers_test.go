package statsd

import stdcontext "context"

func context() stdcontext.Context { return stdcontext.Background() }

// senderFunc is a sender that hands packets to a function.
type senderFunc func([]byte)

func (f senderFunc) Send(b []byte) (int, error) { f(b); return len(b), nil }
func (f senderFunc) Close() error               { return nil }

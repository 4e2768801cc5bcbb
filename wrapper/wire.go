package wrapper

import (
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// wire is what the transport says about one attempt: whether it got a
// connection, before which nothing can have been sent, and when.
type wire struct {
	asked atomic.Bool  // the transport looked for a connection: it speaks httptrace
	got   atomic.Int64 // when it had one, in nanoseconds after start; 0: it has none
	start time.Time
	hooks httptrace.ClientTrace
}

// trace returns the hooks. A transport that tries again by itself, because
// nothing was sent, begins again with GetConn.
func (w *wire) trace() *httptrace.ClientTrace {
	w.hooks.GetConn = func(string) { w.got.Store(0); w.asked.Store(true) }
	w.hooks.GotConn = func(httptrace.GotConnInfo) { w.got.Store(int64(max(time.Since(w.start), 1))) }
	return &w.hooks
}

// unsent reports whether certainly nothing was sent.
func (w *wire) unsent() bool { return w.asked.Load() && w.got.Load() == 0 }

// connecting is how long it took until there was a connection; 0 if there is
// none, or the transport doesn't say.
func (w *wire) connecting() time.Duration { return time.Duration(w.got.Load()) }

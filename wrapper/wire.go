package wrapper

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// wire is what the transport says about one attempt: whether it got a
// connection, before which nothing can have been sent, and when. It is the
// context in which the transport finds whom to tell.
type wire struct {
	context.Context
	asked atomic.Bool  // the transport looked for a connection: it speaks httptrace
	got   atomic.Int64 // when it had one, in nanoseconds after start; 0: it has none
	start time.Time
	key   any
	hooks httptrace.ClientTrace
}

// context returns one to send with: ctx, with the hooks. What
// httptrace.WithClientTrace returns is the same, and an allocation more; it is
// needed where ctx has hooks of the caller's, which are to be called too. A
// transport that tries again by itself, because nothing was sent, begins again
// with GetConn.
func (w *wire) context(ctx context.Context, key any) context.Context {
	w.hooks.GetConn = func(string) { w.got.Store(0); w.asked.Store(true) }
	w.hooks.GotConn = func(httptrace.GotConnInfo) { w.got.Store(int64(max(time.Since(w.start), 1))) }
	if key == nil || ctx.Value(key) != nil {
		return httptrace.WithClientTrace(ctx, &w.hooks)
	}
	w.Context, w.key = ctx, key
	return w
}

func (w *wire) Value(key any) any {
	if key == w.key {
		return &w.hooks
	}
	return w.Context.Value(key)
}

// traceKey is the key by which httptrace looks for hooks in a context.
func traceKey() any {
	p := probe{Context: context.Background()}
	httptrace.ContextClientTrace(&p)
	return p.key
}

// probe is a context that notes the key it was asked for.
type probe struct {
	context.Context
	key any
}

func (p *probe) Value(key any) any {
	p.key = key
	return nil
}

// unsent reports whether certainly nothing was sent.
func (w *wire) unsent() bool { return w.asked.Load() && w.got.Load() == 0 }

// connecting is how long it took until there was a connection; 0 if there is
// none, or the transport doesn't say.
func (w *wire) connecting() time.Duration { return time.Duration(w.got.Load()) }

package event

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Metadata of requests and replies.
const (
	replyTo    = "reply-to"    // of a request: the type of its reply, which only the asking process reads
	replyBy    = "reply-by"    // of a request: until when the asking process waits, in milliseconds since 1970
	replyID    = "reply-id"    // of a reply: the ID of its request
	replyType  = "reply-type"  // of a reply: the Type that the handler gave it
	replyFault = "reply-error" // of a reply: the handler's error
)

// replyPrefix begins the types of replies, which are only for who asks for them.
const replyPrefix = "_reply."

// ReplyError is what a Replier's function returned in another process, or this one.
type ReplyError struct{ Message string }

func (e *ReplyError) Error() string { return "reply: " + e.Message }

// RequestStats counts the requests of a Stream.
type RequestStats struct {
	Sent     int64 // requests that were published
	Answered int64 // of those, with a reply or a *ReplyError
	Late     int64 // replies that nobody waited for any more, or that came twice; they are dropped
	Waiting  int   // requests that wait now
}

// requests is what a process waits for. Its type of reply is its own.
type requests struct {
	typ                  string
	opening              chan struct{} // holds one value while somebody subscribes to replies
	open                 bool          // they are subscribed to; of who has put it there
	mu                   sync.Mutex
	waiting              map[string]chan *Record // by the ID of the request
	sent, answered, late atomic.Int64
}

func newRequests() *requests {
	return &requests{typ: replyPrefix + NewID(), opening: make(chan struct{}, 1), waiting: map[string]chan *Record{}}
}

// listen subscribes to replies, once. Who waits for another to do so waits no longer
// than for its own context.
func (f *front) listen(ctx context.Context) error {
	q := f.requests
	select {
	case q.opening <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-q.opening }()
	if q.open {
		return nil
	}
	_, err := f.Subscribe(ctx, func(_ context.Context, r *Record) error { q.answer(r); return nil }, Types(q.typ))
	q.open = err == nil
	return err
}

// answer hands a reply to who waits for it.
func (q *requests) answer(r *Record) {
	q.mu.Lock()
	wait, ok := q.waiting[r.Metadata[replyID]]
	delete(q.waiting, r.Metadata[replyID])
	q.mu.Unlock()
	if !ok {
		q.late.Add(1)
		return
	}
	wait <- r
}

// wait registers a request, unless one with its ID waits already.
func (q *requests) wait(id string) (reply chan *Record, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, there := q.waiting[id]; there {
		return nil, false
	}
	reply = make(chan *Record, 1)
	q.waiting[id] = reply
	return reply, true
}

func (q *requests) forget(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, id)
}

func (f *front) Request(ctx context.Context, r *Record) (*Record, error) {
	if !f.life.Enter() {
		return nil, f.wrap("request", "", fault.Closed)
	}
	defer f.life.Leave()
	if r == nil {
		return nil, f.wrap("request", "", invalidf("nil record"))
	}
	ctx, limit, cancel := f.limited(ctx)
	defer cancel()
	if err := f.listen(ctx); err != nil {
		return nil, f.wrap("request", subjectOf(r), limit.Late(ctx, err))
	}
	c := r.Clone()
	if c.ID == "" {
		c.ID = NewID()
	}
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	by, _ := ctx.Deadline()
	c.Metadata[replyTo], c.Metadata[replyBy] = f.requests.typ, strconv.FormatInt(by.UnixMilli(), 10)
	reply, ok := f.requests.wait(c.ID)
	if !ok {
		return nil, f.wrap("request", subjectOf(c), fault.Markf(ErrConflict, "a request with this ID waits already"))
	}
	defer f.requests.forget(c.ID)
	if err := f.publish(ctx, []*Record{c}, true); err != nil {
		return nil, f.wrap("request", subjectOf(c), limit.Late(ctx, err))
	}
	f.requests.sent.Add(1)
	select {
	case r := <-reply:
		f.requests.answered.Add(1)
		return replied(r)
	case <-ctx.Done():
		err := ctx.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			err = fault.Mark(ErrTimeout, fmt.Errorf("no reply: %w", err))
		}
		return nil, f.wrap("request", subjectOf(c), err)
	case <-f.life.Done():
		return nil, f.wrap("request", subjectOf(c), fault.Closed)
	}
}

// replied makes of a reply what its sender meant.
func replied(r *Record) (*Record, error) {
	if text, failed := r.Metadata[replyFault]; failed {
		return nil, &ReplyError{Message: text}
	}
	r.Type = r.Metadata[replyType]
	delete(r.Metadata, replyID)
	delete(r.Metadata, replyType)
	return r, nil
}

func (f *front) RequestStats() RequestStats {
	q := f.requests
	q.mu.Lock()
	defer q.mu.Unlock()
	return RequestStats{Sent: q.sent.Load(), Answered: q.answered.Load(), Late: q.late.Load(), Waiting: len(q.waiting)}
}

// Replier makes a handler of a function whose result is the reply to a Request. The
// reply needs no Type; its ID is its own, RootID and ParentID are as of what a handler
// publishes. An error of f travels to the asking process as a *ReplyError, up to 1024
// bytes of its text, and the request is done: whether to ask again is for who asked. So
// is a panic, except that the request goes to the dead letters too. A request that
// nobody waits for any more, by this process's clock, is done without f; while f
// runs its context ends then. A record that is no request is handled as by a
// Handler: the reply is dropped, an error tried again.
//
// As with every handler f may be called again for a request, after a crash or when
// the reply could not be published. Of two replies the first counts.
//
// Programs in other languages may reply too. A request has the metadata "reply-to",
// which is the type of its reply, and "reply-by", until when its reply is awaited, in
// milliseconds since 1970. The reply has the request's ID as "reply-id", and its own
// type as "reply-type" or the text of an error as "reply-error".
func Replier(f func(ctx context.Context, r *Record) (*Record, error)) Handler {
	return func(ctx context.Context, r *Record) error {
		to := r.Metadata[replyTo]
		if !strings.HasPrefix(to, replyPrefix) {
			_, err := f(ctx, r)
			return err
		}
		if ms, err := strconv.ParseInt(r.Metadata[replyBy], 10, 64); err == nil {
			by := time.UnixMilli(ms)
			if !time.Now().Before(by) {
				return nil
			}
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, by)
			defer cancel()
		}
		out, panicked, err := tryReply(ctx, f, r)
		switch {
		case err != nil:
			out = &Record{Metadata: map[string]string{replyFault: cutText(err.Error())}}
		case out == nil:
			out = &Record{}
		default:
			out = out.Clone()
		}
		if out.Metadata == nil {
			out.Metadata = map[string]string{}
		}
		out.Metadata[replyID], out.Metadata[replyType] = r.ID, out.Type
		// A reply that is the request itself must not look like its repetition.
		out.ID, out.Type, out.RootID, out.ParentID = "", to, r.RootID, r.ID
		failed := publishReply(ctx, out)
		if errors.Is(failed, fault.TooLarge) || errors.Is(failed, fault.Invalid) { // calling f again would not help
			failed = publishReply(ctx, &Record{Type: to, RootID: r.RootID, ParentID: r.ID,
				Metadata: map[string]string{replyID: r.ID, replyFault: cutText(failed.Error())}})
		}
		if failed != nil {
			return failed
		}
		if panicked {
			return Terminate(err)
		}
		return nil
	}
}

// tryReply calls f, and makes an error of a panic.
func tryReply(ctx context.Context, f func(context.Context, *Record) (*Record, error), r *Record) (out *Record, panicked bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			panicked, err = true, fmt.Errorf("panic: %v", p)
			if h, ok := ctx.Value(deliveryKey{}).(*handling); ok {
				h.s.log.Error("event: replier panicked", "group", h.s.o.group, "record", r.ID, "panic", p, "stack", string(debug.Stack()))
			}
		}
	}()
	out, err = f(ctx, r)
	return out, false, err
}

// publishReply publishes in the stream that the request came from.
func publishReply(ctx context.Context, out *Record) error {
	h, ok := ctx.Value(deliveryKey{}).(*handling)
	if !ok {
		return Terminate(invalidf("Replier was called outside of a subscription"))
	}
	// The asking process may have given up: that is for it to see.
	return h.s.f.Publish(context.WithoutCancel(ctx), out)
}

package trace

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/outlet"
	"github.com/micro/go-platform/internal/seldom"
)

// New returns a Tracer. Without a reporter among the options it keeps the
// newest spans in memory, where Search finds them. With reporters, each has to
// answer within WithDialTimeout, else the error is ErrUnavailable and names it;
// WithLazy starts without asking.
func New(opts ...Option) (Tracer, error) {
	o := defaults()
	if err := fronts.New("trace", &o, opts); err != nil {
		return nil, err
	}
	if len(o.drivers) == 0 {
		if err := Memory(NewStore(0, 0))(&o); err != nil {
			return nil, err
		}
	}
	t := &tracer{options: o, group: outlet.NewGroup("trace", "spans")}
	for _, d := range o.drivers {
		r, err := open(d, &o)
		if err != nil {
			for _, other := range t.reporters {
				_ = other.driver.Close()
			}
			return nil, err
		}
		t.reporters = append(t.reporters, r)
		t.group.Members = append(t.group.Members, r)
	}
	for _, r := range t.reporters {
		r.Start()
	}
	return t, nil
}

// open builds one reporter and asks whether its backend answers.
func open(d opener, o *options) (*reporter, error) {
	driver, err := fronts.Open("trace/"+d.name, o.dial, o.lazy, d.open, nil)
	if err != nil {
		return nil, err
	}
	return newReporter(d.name, driver, o), nil
}

// tracer is the Tracer in front of every driver.
type tracer struct {
	options
	panics    seldom.Gate
	reporters []*reporter

	started, sampled, kept, badContext, droppedClosed atomic.Uint64
	held                                              holding

	group *outlet.Group
}

var startOptionsPool = sync.Pool{New: func() any { return new(StartOptions) }}

func (t *tracer) Start(ctx context.Context, name string, opts ...SpanOption) (context.Context, Span) {
	if len(opts) == 0 {
		var none StartOptions
		return t.start(ctx, name, &none)
	}
	o := startOptionsPool.Get().(*StartOptions)
	o.apply(opts)
	ctx, s := t.start(ctx, name, o)
	*o = StartOptions{}
	startOptionsPool.Put(o)
	return ctx, s
}

// samples asks the sampler. A sampler that panics samples nothing: tracing must not
// make a call fail.
func (t *tracer) samples(p Params) (yes bool) {
	defer t.caught("the sampler", &yes)
	return t.sampler.Sample(p)
}

// caught is deferred around a user's code. It logs a panic and sets answer to false.
func (t *tracer) caught(what string, answer *bool) {
	if v := recover(); v != nil {
		*answer = false
		if pass, dropped := t.panics.Pass(what, time.Now()); pass {
			t.logger.Error("trace: "+what+" panicked", "panic", v, "stack", string(debug.Stack()), "dropped", dropped)
		}
	}
}

func (t *tracer) start(ctx context.Context, name string, o *StartOptions) (context.Context, Span) {
	if ctx == nil {
		ctx = context.Background()
	}
	parent, local := t.parentOf(ctx, o)
	sc := SpanContext{SpanID: newSpanID()}
	switch {
	case !parent.IsValid():
		sc.TraceID, sc.Flags = newTraceID(), Random
	default:
		sc.TraceID, sc.ParentID, sc.State = parent.TraceID, parent.SpanID, parent.State
	}
	sc.Flags |= parent.Flags & (Random | Debug)
	t.started.Add(1)
	if parent.Flags&Debug != 0 || t.samples(Params{
		TraceID: sc.TraceID, Name: name, Kind: o.Kind, Links: o.Links, Parent: parent,
		Decided: parent.Flags&Deferred == 0 && (parent.IsValid() || parent.Remote),
	}) {
		sc.Flags |= Sampled
		t.sampled.Add(1)
		local = nil
	} else if t.keep == nil {
		q := &quiet{node: node{ctx: ctx, sc: sc}}
		return q, q
	}
	s := &span{node: node{ctx: ctx, sc: sc}, tracer: t, local: local, start: o.Start, kind: o.Kind, name: name, remote: o.Remote}
	s.inbound = parent.Remote && parent.IsValid()
	s.tags = s.few[:0]
	for _, l := range o.Links {
		s.Link(l.Context, l.Tags...)
	}
	if len(t.baggage) > 0 {
		s.named(t.baggage)
	}
	if s.start.IsZero() {
		s.start = time.Now()
	}
	if !sc.Sampled() && local == nil {
		s.local = &localTrace{root: s}
	}
	return s, s
}

// parentOf returns what the new span continues, and the group that decides
// about it with the other spans of this process.
func (t *tracer) parentOf(ctx context.Context, o *StartOptions) (SpanContext, *localTrace) {
	switch {
	case o.Root:
		return SpanContext{}, nil
	case o.Parent.IsValid():
		return o.Parent, nil
	}
	switch p := ctx.Value(contextKey{}).(type) {
	case *span:
		return p.sc, p.local
	case *quiet:
		return p.sc, nil
	case *caller:
		return p.sc, nil
	case Span: // another implementation's
		return p.Context(), nil
	}
	return SpanContext{}, nil
}

func newTraceID() (id TraceID) {
	for id.IsZero() {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64())
		binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

func newSpanID() (id SpanID) {
	for id.IsZero() {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

func (t *tracer) Extract(ctx context.Context, c Carrier) context.Context {
	sc, found, bad := t.extract(c)
	if bad > 0 {
		t.badContext.Add(1)
	}
	if !found {
		return ctx
	}
	return ContextWithRemote(ctx, sc)
}

func (t *tracer) Inject(ctx context.Context, c Carrier) {
	t.inject(FromContext(ctx), c)
}

// finish takes a span that has ended.
func (t *tracer) finish(s *span) {
	switch {
	case t.group.Closed():
		if s.sc.Sampled() {
			t.droppedClosed.Add(1)
		}
	case s.local != nil:
		t.hold(s)
	default:
		t.deliver(s)
	}
}

func (t *tracer) deliver(s *span) {
	for _, r := range t.reporters {
		r.push(s)
	}
}

func (t *tracer) Search(ctx context.Context, q Query) (Page, error) {
	if t.group.Closed() {
		return Page{}, fault.Wrap("trace", "search", "", fault.Closed)
	}
	if q.Limit < 0 || q.MinDuration < 0 || q.MaxDuration < 0 {
		return Page{}, fault.New(ErrInvalid, "trace", "search", "", "negative limit or duration in %+v", q)
	}
	for _, r := range t.reporters {
		if s, ok := r.driver.(searcher); ok {
			limited, cancel := fronts.Deadline(ctx, t.timeout)
			defer cancel()
			p, err := s.Search(limited, q)
			return p, fault.Wrap("trace/"+r.name, "search", "", fault.Late(ctx, t.timeout, err))
		}
	}
	return Page{}, fault.Wrap("trace", "search", "", fault.Unsupported)
}

func (t *tracer) Stats() Stats {
	s := Stats{
		Started: t.started.Load(), Sampled: t.sampled.Load(), Kept: t.kept.Load(),
		BadContext: t.badContext.Load(), DroppedClosed: t.droppedClosed.Load(),
	}
	for _, r := range t.reporters {
		s.Reporters = append(s.Reporters, r.stats())
	}
	return s
}

func (t *tracer) Flush(ctx context.Context) error { return t.group.Flush(ctx) }
func (t *tracer) Close(ctx context.Context) error { return t.group.Close(ctx) }

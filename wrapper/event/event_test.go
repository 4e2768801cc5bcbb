package event_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/eventtest"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
	wevent "github.com/micro/go-platform/wrapper/event"
)

func TestMain(m *testing.M) { leak.Main(m) }

// recorder hands on calls that ended.
type recorder struct{ ended chan wrapper.Call }

func newRecorder() *recorder { return &recorder{make(chan wrapper.Call, 1000)} }

func (r *recorder) Begin(ctx context.Context, _ *wrapper.Call) context.Context { return ctx }
func (r *recorder) End(_ context.Context, c *wrapper.Call)                     { r.ended <- *c }

// next waits for the next call of a side.
func (r *recorder) next(t *testing.T, side wrapper.Side) wrapper.Call {
	t.Helper()
	for {
		if c := receive(t, r.ended); c.Side == side {
			return c
		}
	}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came within 30 s")
		panic("unreachable")
	}
}

func newWrapper(t testing.TB, opts ...wrapper.Option) *wrapper.Wrapper {
	t.Helper()
	w, err := wrapper.New(append([]wrapper.Option{wrapper.WithName("billing")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

func newStream(t testing.TB, w *wrapper.Wrapper, opts ...event.Option) event.Stream {
	t.Helper()
	s, err := event.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return wevent.Stream(w, s)
}

func subscribe(t testing.TB, s event.Stream, h event.Handler, opts ...event.SubscribeOption) event.Subscription {
	t.Helper()
	sub, err := s.Subscribe(t.Context(), h, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func publish(t testing.TB, s event.Stream, r ...*event.Record) {
	t.Helper()
	if err := s.Publish(t.Context(), r...); err != nil {
		t.Fatal(err)
	}
}

// handling wraps the handlers of a stream and nothing else.
type handling struct {
	event.Stream
	w *wrapper.Wrapper
}

func (h handling) Subscribe(ctx context.Context, next event.Handler, opts ...event.SubscribeOption) (event.Subscription, error) {
	if next != nil {
		next = wevent.Handler(h.w, next)
	}
	return h.Stream.Subscribe(ctx, next, opts...)
}

func TestWrappedHandlersKeepTheStreamsPromises(t *testing.T) {
	eventtest.Run(t, eventtest.Harness{Open: func(t testing.TB, opts ...event.Option) event.Stream {
		s, err := event.New(opts...)
		if err != nil {
			t.Fatal(err)
		}
		return handling{s, newWrapper(t)}
	}})
}

func TestStoryIsOneTraceOfRecordsAndCarriesWhatBelongsToIt(t *testing.T) {
	spans := trace.NewStore(100, time.Hour)
	tr, err := trace.New(trace.WithService("billing"), trace.Memory(spans))
	if err != nil {
		t.Fatal(err)
	}
	mt, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithTrace(tr), wrapper.WithMetrics(mt), wrapper.WithObserver(rec))
	s := newStream(t, w)
	type seen struct {
		record *event.Record
		id     string
		labels map[string]string
	}
	last := make(chan seen, 1)
	one := subscribe(t, s, func(ctx context.Context, r *event.Record) error {
		return s.Publish(ctx, &event.Record{Type: "invoice.sent"})
	}, event.Types("order.*"))
	two := subscribe(t, s, func(ctx context.Context, r *event.Record) error {
		call, _ := wrapper.FromContext(ctx)
		last <- seen{r, call.RequestID, wrapper.LabelsFromContext(ctx)}
		return nil
	}, event.Types("invoice.*"))

	order := &event.Record{ID: "o1", Type: "order.created", Metadata: map[string]string{"X-Request-Id": "abc", "own": "1"}}
	before := maps.Clone(order.Metadata)
	ctx := wrapper.ContextWithLabels(t.Context(), map[string]string{"tenant": "x"})
	if err := s.Publish(ctx, order); err != nil {
		t.Fatal(err)
	}
	got := receive(t, last)
	if got.record.RootID != "o1" || got.record.ParentID != "o1" {
		t.Errorf("root %q, parent %q, want o1 for both", got.record.RootID, got.record.ParentID)
	}
	if got.id != "abc" || got.labels["tenant"] != "x" {
		t.Errorf("request %q with labels %v, want abc with tenant x", got.id, got.labels)
	}
	if !maps.Equal(order.Metadata, before) {
		t.Errorf("the record that was given has %v now, want %v", order.Metadata, before)
	}
	var calls []string
	for range 4 {
		c := receive(t, rec.ended)
		calls = append(calls, fmt.Sprint(c.Action, " ", c.Method, " ", c.Class, " ", c.Protocol))
	}
	slices.Sort(calls)
	want := []string{"consume invoice.sent ok event", "consume order.created ok event", "publish invoice.sent ok event", "publish order.created ok event"}
	if !slices.Equal(calls, want) {
		t.Errorf("recorded %q, want %q", calls, want)
	}
	if err := errors.Join(one.Close(t.Context()), two.Close(t.Context()), tr.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	snap := mt.Snapshot()
	for name, values := range map[string][]string{
		"messaging.process.duration":          {"memory", "process", "order.created", "", ""},
		"messaging.client.consumed.messages":  {"memory", "process", "order.created", ""},
		"messaging.client.sent.messages":      {"memory", "publish", "order.created", ""},
		"messaging.client.operation.duration": {"memory", "publish", "send", "order.created", ""},
	} {
		if n, _ := snap.Find(name, values...); n.Count != 1 {
			t.Errorf("%s counted %d orders, want 1", name, n.Count)
		}
	}
	page, err := spans.Search(t.Context(), trace.Query{})
	if err != nil || len(page.Traces) != 1 || len(page.Traces[0].Spans) != 4 {
		t.Fatalf("%v, want one trace of four spans: %+v", err, page)
	}
	chain := page.Traces[0].Spans
	for i, want := range []struct {
		name string
		kind trace.Kind
	}{{"publish order.created", trace.Producer}, {"process order.created", trace.Consumer}, {"publish invoice.sent", trace.Producer}, {"process invoice.sent", trace.Consumer}} {
		if chain[i].Name != want.name || chain[i].Kind != want.kind || i > 0 && chain[i].Context.ParentID != chain[i-1].Context.SpanID {
			t.Errorf("span %d is %q, want %q below the one before:\n%s", i, chain[i].Name, want.name, page.Traces[0].Tree())
		}
	}
}

func TestPanicIsRecordedAndTheStreamCountsIt(t *testing.T) {
	rec := newRecorder()
	s := newStream(t, newWrapper(t, wrapper.WithObserver(rec)))
	sub := subscribe(t, s, func(_ context.Context, r *event.Record) error {
		if d := r.Subject; d == "boom" {
			panic("secret")
		}
		return nil
	}, event.MaxAttempts(1))
	publish(t, s, &event.Record{Type: "a", Subject: "boom"}, &event.Record{Type: "a"})
	if c := rec.next(t, wrapper.Server); c.Panic != "secret" || c.Class != router.ServerError || !strings.Contains(string(c.Stack), "event_test.go") {
		t.Errorf("recorded %+v\n%s", c, c.Stack)
	}
	if c := rec.next(t, wrapper.Server); c.Class != router.OK {
		t.Errorf("the next record: %+v", c)
	}
	if err := sub.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := sub.Stats(); st.Panics != 1 || st.Handled != 1 {
		t.Errorf("the stream counted %+v", st)
	}
}

func TestErrorsAndDeliveriesAreRecorded(t *testing.T) {
	rec := newRecorder()
	s := newStream(t, newWrapper(t, wrapper.WithObserver(rec)))
	for _, c := range []struct {
		err  error
		want router.Class
	}{{errors.New("x"), router.ServerError}, {context.DeadlineExceeded, router.Timeout}, {context.Canceled, router.Cancelled}, {&limits.Error{}, router.Overload}} {
		var first atomic.Bool
		sub := subscribe(t, s, func(context.Context, *event.Record) error {
			if first.Swap(true) {
				return nil
			}
			return event.Retry(c.err, time.Millisecond)
		}, event.MaxAttempts(2))
		publish(t, s, &event.Record{Type: "a", Subject: "s"})
		if got := rec.next(t, wrapper.Server); got.Class != c.want || !errors.Is(got.Err, c.err) || got.Attempts != 1 || got.Resource != "s" {
			t.Errorf("%v: recorded %+v, want class %v", c.err, got, c.want)
		}
		if got := rec.next(t, wrapper.Server); got.Class != router.OK || got.Attempts != 2 {
			t.Errorf("%v: then %+v, want the second delivery to be ok", c.err, got)
		}
		if err := sub.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPublishingThatFailsIsRecorded(t *testing.T) {
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithObserver(rec))
	s := newStream(t, w)
	if err := s.Publish(t.Context(), &event.Record{}); !errors.Is(err, event.ErrInvalid) {
		t.Errorf("a record without a type: %v", err)
	}
	if c := rec.next(t, wrapper.Client); c.Class != router.ClientError || c.Err == nil {
		t.Errorf("recorded %+v", c)
	}
	if err := s.Publish(t.Context(), &event.Record{Type: "a"}, nil); !errors.Is(err, event.ErrInvalid) {
		t.Errorf("a nil record: %v", err)
	}
	if err := s.Publish(t.Context(), nil); !errors.Is(err, event.ErrInvalid) {
		t.Errorf("only a nil record: %v", err)
	}
	if err := s.Publish(t.Context()); err != nil {
		t.Errorf("nothing: %v", err)
	}
}

func TestLimitMakesRecordsWaitAndNotDie(t *testing.T) {
	one, err := limits.Concurrency(1)
	if err != nil {
		t.Fatal(err)
	}
	s := newStream(t, newWrapper(t, wrapper.WithLimit(one)))
	var running, most, done atomic.Int64
	all := make(chan struct{})
	sub := subscribe(t, s, func(context.Context, *event.Record) error {
		most.Store(max(most.Load(), running.Add(1)))
		runtime.Gosched()
		running.Add(-1)
		if done.Add(1) == 50 {
			close(all)
		}
		return nil
	}, event.Concurrency(8), event.MaxAttempts(1))
	for range 50 {
		publish(t, s, &event.Record{Type: "a"})
	}
	receive(t, all)
	if most.Load() != 1 {
		t.Errorf("%d handlers ran at once, want 1", most.Load())
	}
	if st := sub.Stats(); st.Failed+st.Dead+st.Dropped != 0 {
		t.Errorf("the stream counted %+v, want no failure", st)
	}
}

func TestRecordThatWaitsForALimitEndsWithTheWrapper(t *testing.T) {
	none, err := limits.TokenBucket(1e-6, 1)
	if err != nil {
		t.Fatal(err)
	}
	w, err := wrapper.New(wrapper.WithName("billing"), wrapper.WithLimit(none))
	if err != nil {
		t.Fatal(err)
	}
	inner, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close(context.Background())
	s := wevent.Stream(w, inner)
	handled := make(chan string, 10)
	sub := subscribe(t, s, func(_ context.Context, r *event.Record) error { handled <- r.Subject; return nil }, event.Group("g"), event.From(event.Beginning()))
	publish(t, s, &event.Record{Type: "a", Subject: "1"}, &event.Record{Type: "a", Subject: "2"})
	receive(t, handled)
	if err := w.Close(t.Context()); err != nil { // would wait indefinitely if the second did
		t.Fatal(err)
	}
	if st := sub.Stats(); st.Handled != 1 || st.Dead != 0 {
		t.Errorf("the stream counted %+v", st)
	}
	// It is still there for somebody else.
	subscribe(t, inner, func(_ context.Context, r *event.Record) error { handled <- r.Subject; return nil }, event.Group("g"))
	if got := receive(t, handled); got != "2" {
		t.Errorf("then came %q, want 2", got)
	}
}

func TestCloseEndsSubscriptionsBeforeItWaits(t *testing.T) {
	w, err := wrapper.New(wrapper.WithName("billing"))
	if err != nil {
		t.Fatal(err)
	}
	s := newStream(t, w)
	var handled atomic.Int64
	started := make(chan struct{}, 1)
	sub := subscribe(t, s, func(context.Context, *event.Record) error {
		handled.Add(1)
		select {
		case started <- struct{}{}:
		default:
		}
		return nil
	})
	// Records never cease to come.
	stop := make(chan struct{})
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				publish(t, s, &event.Record{Type: "a"})
			}
		}
	})
	receive(t, started)
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
	n := handled.Load()
	publish(t, s, &event.Record{Type: "a"}, &event.Record{Type: "a"})
	if err := sub.Close(t.Context()); err != nil { // again
		t.Error(err)
	}
	if handled.Load() != n {
		t.Error("records are handled after Close")
	}
	close(stop)
	publishing.Wait()
}

func TestHandlerIsBoundedAndNotAuthenticated(t *testing.T) {
	a, err := auth.New(auth.Local(auth.NewAuthority()), auth.WithService("billing")) // no rule: nobody may do anything
	if err != nil {
		t.Fatal(err)
	}
	s := newStream(t, newWrapper(t, wrapper.WithAuth(a), wrapper.WithServerTimeout(time.Hour)))
	got := make(chan [2]bool, 1)
	published := make(chan map[string]string, 1)
	subscribe(t, s, func(ctx context.Context, r *event.Record) error {
		_, bounded := ctx.Deadline()
		_, delivered := event.DeliveryFromContext(ctx)
		published <- r.Metadata
		got <- [2]bool{bounded, delivered}
		return nil
	})
	publish(t, s, &event.Record{Type: "a"})
	for k := range receive(t, published) {
		if strings.EqualFold(k, "authorization") {
			t.Error("a token was published")
		}
	}
	if g := receive(t, got); g != [2]bool{true, true} {
		t.Errorf("deadline, delivery: %v", g)
	}
}

func TestTooManyTypesAreCountedTogether(t *testing.T) {
	rec := newRecorder()
	s := newStream(t, newWrapper(t, wrapper.WithObserver(rec)))
	methods := map[string]bool{}
	for i := range 300 {
		publish(t, s, &event.Record{Type: fmt.Sprintf("user.u%d.created", i)})
		methods[rec.next(t, wrapper.Client).Method] = true
	}
	if len(methods) != 201 || !methods["_OTHER"] {
		t.Errorf("%d methods, want 200 and _OTHER", len(methods))
	}
	publish(t, s, &event.Record{Type: "user.u1.created"}, &event.Record{Type: "user.u1.created"})
	if m := rec.next(t, wrapper.Client).Method; m != "user.u1.created" {
		t.Errorf("two of a type are counted under %q", m)
	}
	publish(t, s, &event.Record{Type: "user.u1.created"}, &event.Record{Type: "b"})
	if m := rec.next(t, wrapper.Client).Method; m != "_several" {
		t.Errorf("two types are counted under %q", m)
	}
}

func TestOneRecordMayBePublishedByMany(t *testing.T) {
	s := newStream(t, newWrapper(t))
	r := &event.Record{Type: "a", Metadata: map[string]string{"own": "1"}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				publish(t, s, r)
			}
		})
	}
	wg.Wait()
	if len(r.Metadata) != 1 {
		t.Errorf("the record has %v", r.Metadata)
	}
}

// noted is a stream whose subscriptions say when they are closed.
type noted struct {
	event.Stream
	note func(string)
}

func (n noted) Subscribe(ctx context.Context, h event.Handler, opts ...event.SubscribeOption) (event.Subscription, error) {
	s, err := n.Stream.Subscribe(ctx, h, opts...)
	return notedSubscription{s, n.note}, err
}

type notedSubscription struct {
	event.Subscription
	note func(string)
}

func (n notedSubscription) Close(ctx context.Context) error {
	err := n.Subscription.Close(ctx)
	n.note("subscription")
	return err
}

func TestCloseGoesFromSourcesToTheRest(t *testing.T) {
	var order []string
	note := func(s string) { order = append(order, s) }
	w, err := wrapper.New(wrapper.WithName("billing"), wrapper.WithOnClose(func(context.Context) error { note("the rest"); return nil }))
	if err != nil {
		t.Fatal(err)
	}
	inner, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close(context.Background())
	s := wevent.Stream(w, noted{inner, note})
	nothing := func(context.Context, *event.Record) error { return nil }
	closed := subscribe(t, s, nothing)
	subscribe(t, s, nothing)
	if err := errors.Join(closed.Close(t.Context()), w.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if want := []string{"subscription", "subscription", "the rest"}; !slices.Equal(order, want) {
		t.Errorf("closed %q, want %q", order, want)
	}
}

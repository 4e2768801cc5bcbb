package trace_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/trace"
	tracedriver "github.com/micro/go-platform/trace/driver"
)

// backend is a driver that does what its fields say.
type backend struct {
	report func(ctx context.Context, spans []trace.SpanData) (int, error)
	ping   error

	mu     sync.Mutex
	got    int
	closed int
}

func (b *backend) Report(ctx context.Context, spans []trace.SpanData) (int, error) {
	n, err := len(spans), error(nil)
	if b.report != nil {
		n, err = b.report(ctx, spans)
	}
	b.mu.Lock()
	b.got += n
	b.mu.Unlock()
	return n, err
}
func (b *backend) Ping(context.Context) error { return b.ping }
func (b *backend) Close() error               { b.closed++; return nil }

func (b *backend) option(name string) trace.Option {
	return trace.WithDriver(name, func(context.Context) (trace.Driver, error) { return b, nil })
}

func spans(t testing.TB, tr trace.Tracer, n int) {
	for range n {
		_, s := tr.Start(context.Background(), "x")
		s.Tag("k", "v")
		s.End()
	}
}

var errDown = fault.Markf(fault.Unavailable, "connection refused")

func TestABackendThatIsUnavailableForAWhileLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		b := &backend{}
		b.report = func(_ context.Context, s []trace.SpanData) (int, error) {
			if !up.Load() {
				return 0, errDown
			}
			return len(s), nil
		}
		tr, err := trace.New(b.option("x"), trace.WithLazy())
		if err != nil {
			t.Fatal(err)
		}
		spans(t, tr, 1000)
		time.Sleep(30 * time.Second)
		if s := tr.Stats().Reporters[0]; s.Retries == 0 || s.Retries > 60 || s.Sent != 0 || s.LastError == "" {
			t.Errorf("while it was unavailable: %+v", s)
		}
		up.Store(true)
		time.Sleep(30 * time.Second)
		if s := tr.Stats().Reporters[0]; s.Sent != 1000 || s.Lost() != 0 {
			t.Errorf("when it is available again: %+v", s)
		}
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestABatchIsGivenUpAfterRetryFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := &backend{report: func(context.Context, []trace.SpanData) (int, error) { return 0, errDown }}
		tr, _ := trace.New(b.option("x"), trace.WithRetryFor(5*time.Second), trace.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		spans(t, tr, 10)
		time.Sleep(30 * time.Second)
		if s := tr.Stats().Reporters[0]; s.Failed != 10 || s.Queued != 0 {
			t.Errorf("%+v", s)
		}
		if err := tr.Flush(t.Context()); !errors.Is(err, trace.ErrDropped) || !strings.Contains(err.Error(), "10 spans") {
			t.Errorf("Flush: %v, want 10 spans dropped", err)
		}
		if err := tr.Close(t.Context()); err != nil {
			t.Errorf("Close reported the same spans again: %v", err)
		}
		if n := strings.Count(log.String(), "spans lost"); n != 1 {
			t.Errorf("%d log lines:\n%s", n, log.String())
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []time.Time
		b := &backend{}
		b.report = func(_ context.Context, s []trace.SpanData) (int, error) {
			calls = append(calls, time.Now())
			if len(calls) == 1 {
				return 0, tracedriver.RetryAfter(errDown, 20*time.Second)
			}
			return len(s), nil
		}
		tr, _ := trace.New(b.option("x"))
		spans(t, tr, 1)
		time.Sleep(time.Minute)
		tr.Close(t.Context())
		if len(calls) != 2 || calls[1].Sub(calls[0]) < 20*time.Second || calls[1].Sub(calls[0]) > 21*time.Second {
			t.Errorf("calls at %v", calls)
		}
	})
}

func TestOtherErrorsAreNotTriedAgain(t *testing.T) {
	b := &backend{report: func(_ context.Context, s []trace.SpanData) (int, error) { return 3, errors.New("400") }}
	tr, _ := trace.New(b.option("x"))
	spans(t, tr, 10)
	err := tr.Close(t.Context())
	if s := tr.Stats().Reporters[0]; s.Sent != 3 || s.Failed != 7 || s.Retries != 0 || !errors.Is(err, trace.ErrDropped) {
		t.Errorf("%+v %v", s, err)
	}
}

func TestRefusedSpansAreCounted(t *testing.T) {
	b := &backend{report: func(_ context.Context, s []trace.SpanData) (int, error) { return len(s) - 1, nil }}
	tr, _ := trace.New(b.option("x"))
	spans(t, tr, 10)
	tr.Close(t.Context())
	if s := tr.Stats().Reporters[0]; s.Sent != 9 || s.Rejected != 1 || s.Lost() != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAPanickingDriverIsAnError(t *testing.T) {
	b := &backend{report: func(context.Context, []trace.SpanData) (int, error) { panic("oops") }}
	tr, _ := trace.New(b.option("x"))
	spans(t, tr, 2)
	if err := tr.Close(t.Context()); !errors.Is(err, trace.ErrDropped) || !strings.Contains(err.Error(), "oops") {
		t.Errorf("Close: %v", err)
	}
}

// A collector that takes 200 ms: memory is bounded, every span is accounted for.
func TestSlowCollectorBoundsMemoryAndCountsEveryLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{report: func(_ context.Context, s []trace.SpanData) (int, error) {
			time.Sleep(200 * time.Millisecond)
			return len(s), nil
		}}
		tr, _ := trace.New(b.option("slow"), trace.WithQueue(500, 1<<20))
		spans(t, tr, 20_000)
		s := tr.Stats().Reporters[0]
		if s.Queued > 500 || s.QueuedBytes > 1<<20 {
			t.Errorf("%d spans, %d bytes wait", s.Queued, s.QueuedBytes)
		}
		err := tr.Close(t.Context())
		s = tr.Stats().Reporters[0]
		if s.Sent+s.Dropped != 20_000 || s.Sent < 500 || int(s.Sent) != b.got {
			t.Errorf("%d sent (%d seen), %d dropped of 20000", s.Sent, b.got, s.Dropped)
		}
		if want := fmt.Sprintf("%d spans", s.Dropped); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Close: %v, want %s", err, want)
		}
	})
}

func TestQueueIsBoundedByBytes(t *testing.T) {
	block := make(chan struct{})
	b := &backend{report: func(_ context.Context, s []trace.SpanData) (int, error) { <-block; return len(s), nil }}
	tr, _ := trace.New(b.option("x"), trace.WithQueue(1_000_000, 100_000), trace.WithBatch(1_000_000, time.Hour))
	for range 100 {
		_, s := tr.Start(t.Context(), "x")
		s.Tag("large", strings.Repeat("x", 10_000))
		s.End()
	}
	if s := tr.Stats().Reporters[0]; s.QueuedBytes > 100_000 || s.Queued < 8 || s.Dropped+uint64(s.Queued) != 100 {
		t.Errorf("%+v", s)
	}
	close(block)
	tr.Close(t.Context())
}

// One stuck reporter costs the others nothing, and Close is bounded.
func TestAStuckReporterHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &backend{report: func(ctx context.Context, s []trace.SpanData) (int, error) { <-ctx.Done(); return 0, ctx.Err() }}
		fine := &backend{}
		tr, _ := trace.New(stuck.option("stuck"), fine.option("fine"), trace.WithTimeout(time.Hour), trace.WithBatch(10, time.Millisecond))
		spans(t, tr, 100)
		time.Sleep(time.Second)
		if n := tr.Stats().Reporters[1].Sent; n != 100 {
			t.Errorf("%d are sent by the other after a second, want 100", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := tr.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush: %v", err)
		}
		began := time.Now()
		err := tr.Close(ctx)
		if took := time.Since(began); took != 0 || !errors.Is(err, trace.ErrDropped) {
			t.Errorf("Close took %v: %v", took, err)
		}
		s := tr.Stats()
		if s.Reporters[0].Failed != 100 || s.Reporters[1].Sent != 100 || stuck.closed != 1 || fine.closed != 1 {
			t.Errorf("%+v, closed %d and %d", s, stuck.closed, fine.closed)
		}
	})
}

func TestAfterClose(t *testing.T) {
	b := &backend{}
	tr, _ := trace.New(b.option("x"))
	ctx, open := tr.Start(t.Context(), "open")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := tr.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	open.End()
	_, s := tr.Start(ctx, "late")
	s.End()
	if n := tr.Stats().DroppedClosed; n != 2 || b.closed != 1 || b.got != 0 {
		t.Errorf("%d dropped, closed %d times, got %d", n, b.closed, b.got)
	}
	if err := tr.Flush(t.Context()); !errors.Is(err, trace.ErrClosed) {
		t.Errorf("Flush: %v", err)
	}
	if _, err := tr.Search(t.Context(), trace.Query{}); !errors.Is(err, trace.ErrClosed) {
		t.Errorf("Search: %v", err)
	}
}

func TestNewFailsWhenABackendDoesNotAnswer(t *testing.T) {
	first, second := &backend{}, &backend{ping: errors.New("dial tcp 127.0.0.1:1: refused")}
	tr, err := trace.New(first.option("first"), second.option("second"))
	if tr != nil || !errors.Is(err, trace.ErrUnavailable) || !strings.Contains(err.Error(), "trace/second: new") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("New: %v", err)
	}
	if first.closed != 1 || second.closed != 1 {
		t.Errorf("closed %d and %d times", first.closed, second.closed)
	}
	tr, err = trace.New(second.option("second"), trace.WithLazy())
	if err != nil {
		t.Fatal(err)
	}
	tr.Close(t.Context())
}

func TestSearchWithoutAStoreIsUnsupported(t *testing.T) {
	tr, _ := trace.New((&backend{}).option("x"))
	defer tr.Close(t.Context())
	if _, err := tr.Search(t.Context(), trace.Query{}); !errors.Is(err, trace.ErrUnsupported) {
		t.Errorf("Search: %v", err)
	}
}

func TestTwentyTracersLeaveNothing(t *testing.T) {
	for range 20 { // leak.Main counts the goroutines
		tr, err := trace.New()
		if err != nil {
			t.Fatal(err)
		}
		spans(t, tr, 3)
		if err := tr.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestToLog(t *testing.T) {
	var out bytes.Buffer
	tr, _ := trace.New(trace.ToLog(slog.New(slog.NewJSONHandler(&out, nil))), trace.WithService("svc"))
	_, s := tr.Start(t.Context(), "x", trace.OfKind(trace.Server))
	s.Tag("k", "v")
	s.Error(errors.New("bad"))
	s.End()
	tr.Close(t.Context())
	for _, want := range []string{`"level":"WARN"`, `"msg":"x"`, s.Context().TraceID.String(), `"tags":{"k":"v"}`, `"error":"bad"`, `"kind":"server"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in %s", want, out.String())
		}
	}
}

// A Flush does not sit out the pause between two attempts.
func TestFlushIsInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		b := &backend{report: func(_ context.Context, s []trace.SpanData) (int, error) {
			if !up.Load() {
				return 0, errDown
			}
			return len(s), nil
		}}
		tr, _ := trace.New(b.option("x"))
		spans(t, tr, 10)
		time.Sleep(40 * time.Second) // the pauses are long by now
		up.Store(true)
		began := time.Now()
		if err := tr.Flush(t.Context()); err != nil || time.Since(began) > 0 {
			t.Errorf("Flush took %v: %v", time.Since(began), err)
		}
		tr.Close(t.Context())
	})
}

func TestSpansAllocateOnce(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, c := range map[string]struct {
		sampler trace.Sampler
		want    float64
	}{"sampled": {trace.Always(), 1}, "unsampled": {trace.Never(), 1}} {
		tr, err := trace.New((&backend{}).option("x"), trace.WithSampler(c.sampler), trace.WithBatch(10_000, time.Hour), trace.WithQueue(10_000, 1<<30))
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		op := func() {
			_, s := tr.Start(ctx, "x")
			s.Tag("a", "b")
			s.TagInt("c", 1)
			s.TagBool("d", true)
			s.TagFloat("e", 1.5)
			s.End()
		}
		for range 2000 {
			op()
		}
		if n := testing.AllocsPerRun(1000, op); n > c.want {
			t.Errorf("%s: %v allocations, want %v", name, n, c.want)
		}
		tr.Close(ctx)
	}
}

func TestABurstFitsTheDefaultQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{report: func(ctx context.Context, spans []trace.SpanData) (int, error) {
			time.Sleep(50 * time.Millisecond) // a collector far away
			return len(spans), nil
		}}
		tr, err := trace.New(b.option("slow"))
		if err != nil {
			t.Fatal(err)
		}
		for range 10_000 {
			_, s := tr.Start(context.Background(), "GET /orders/{id}", trace.OfKind(trace.Server))
			s.Tag("http.request.method", "GET")
			s.Tag("http.route", "/orders/{id}")
			s.TagInt("http.response.status_code", 200)
			s.Tag("url.path", "/orders/12345678")
			s.Tag("server.address", "orders.example.com")
			s.End()
		}
		if err := tr.Close(t.Context()); err != nil || b.got != 10_000 {
			t.Errorf("%d spans arrived: %v", b.got, err)
		}
	})
}

// Close ends the context of the report that is under way; why the spans were
// still there is what the backend said before.
func TestTheReasonOutlivesClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		b := &backend{report: func(ctx context.Context, _ []trace.SpanData) (int, error) {
			if calls++; calls < 3 {
				return 0, fault.Markf(fault.Unavailable, "503: quota of the tenant is used up")
			}
			<-ctx.Done()
			return 0, fault.Mark(fault.Unavailable, ctx.Err())
		}}
		var out bytes.Buffer
		tr, err := trace.New(b.option("x"), trace.WithLogger(slog.New(slog.NewTextHandler(&out, nil))))
		if err != nil {
			t.Fatal(err)
		}
		spans(t, tr, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_ = tr.Close(ctx)
		if s := tr.Stats().Reporters[0]; s.Failed != 1 || !strings.Contains(s.LastError, "quota") {
			t.Errorf("%+v", s)
		}
		if !strings.Contains(out.String(), "quota") {
			t.Errorf("logged %s", &out)
		}
	})
}

// A batch is as large as OpenTelemetry's, and the last one waits for a second.
func TestTheDefaultBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		var at []time.Duration
		began := time.Now()
		b := &backend{report: func(_ context.Context, s []trace.SpanData) (int, error) {
			sizes, at = append(sizes, len(s)), append(at, time.Since(began))
			return len(s), nil
		}}
		tr, err := trace.New(b.option("x"))
		if err != nil {
			t.Fatal(err)
		}
		spans(t, tr, 1025)
		time.Sleep(time.Minute)
		if err := tr.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if fmt.Sprint(sizes, at) != "[512 512 1] [0s 0s 1s]" {
			t.Errorf("batches of %v after %v", sizes, at)
		}
	})
}

// What a driver holds that does not return is counted as lost, once, and the
// driver is closed when it does return.
func TestADriverThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		b := &backend{report: func(_ context.Context, s []trace.SpanData) (int, error) { <-hung; return len(s), nil }}
		tr, err := trace.New(b.option("deaf"))
		if err != nil {
			t.Fatal(err)
		}
		spans(t, tr, 600)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := tr.Close(ctx); !errors.Is(err, trace.ErrDropped) || !strings.Contains(err.Error(), "600 spans") {
			t.Errorf("Close: %v", err)
		}
		open := b.closed == 0
		close(hung)
		synctest.Wait()
		if s := tr.Stats().Reporters[0]; s.Failed != 600 || s.Sent != 0 || s.Queued != 0 || !open || b.closed != 1 {
			t.Errorf("closed %d times, open while it wrote: %v, %+v", b.closed, open, s)
		}
	})
}

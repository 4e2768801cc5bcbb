package driver_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/trace"
	tracedriver "github.com/micro/go-platform/trace/driver"
)

func TestMain(m *testing.M) { leak.Main(m) }

// The memory of package trace can be searched.
var _ tracedriver.Searcher = (*trace.Store)(nil)

// backend refuses the first span of its first batch for good and takes nothing
// else; then it takes all.
type backend struct {
	calls []time.Time
	took  int
}

func (b *backend) Report(_ context.Context, spans []trace.SpanData) (int, error) {
	b.calls = append(b.calls, time.Now())
	if len(b.calls) == 1 {
		busy := tracedriver.RetryAfter(fmt.Errorf("busy: %w", trace.ErrUnavailable), 7*time.Second)
		return 1, tracedriver.Rejected(busy, 1, "too old")
	}
	b.took += len(spans)
	return len(spans), nil
}

func (b *backend) Search(context.Context, trace.Query) (trace.Page, error) {
	return trace.Page{Next: "from the backend"}, nil
}

func (b *backend) Ping(context.Context) error { return nil }
func (b *backend) Close() error               { return nil }

func TestTheTracerFindsWhatADriverAdds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		tr, err := trace.New(trace.WithDriver("own", func(context.Context) (trace.Driver, error) { return b, nil }), trace.WithBatch(2, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, span := tr.Start(t.Context(), "x", trace.Root())
			span.End()
		}
		if err := tr.Flush(t.Context()); !errors.Is(err, trace.ErrDropped) {
			t.Errorf("Flush: %v, want ErrDropped for the span that was refused", err)
		}
		if len(b.calls) != 2 || b.took != 1 || b.calls[1].Sub(b.calls[0]) < 7*time.Second {
			t.Errorf("calls at %v, %d spans taken, want the second span 7 s later", b.calls, b.took)
		}
		if page, err := tr.Search(t.Context(), trace.Query{}); err != nil || page.Next != "from the backend" {
			t.Errorf("%+v %v", page, err)
		}
		tr.Close(t.Context())
	})
}

func ExampleRetryAfter() {
	err := tracedriver.RetryAfter(errors.New("429 Too Many Requests"), time.Minute)
	fmt.Println(err)
	// Output: 429 Too Many Requests
}

func ExampleRejected() {
	err := tracedriver.Rejected(nil, 3, "too old")
	fmt.Println(err)
	// Output: 3 spans refused: too old
}

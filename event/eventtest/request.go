package eventtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

func requests(t *testing.T, b *bench) {
	asking := b.open(t)
	replying := b.another(t, asking)
	var everything got
	subscribe(t, asking, everything.handle)
	for range 2 {
		subscribe(t, replying, event.Replier(func(_ context.Context, r *event.Record) (*event.Record, error) {
			return &event.Record{Type: "sum", Subject: r.Subject, Metadata: map[string]string{"k": "v"}, Data: append([]byte("re: "), r.Data...)}, nil
		}), event.Group("g"), event.Types("ask"), event.Concurrency(4))
	}
	var wg sync.WaitGroup
	const n = 20
	for i := range n {
		wg.Go(func() {
			q := &event.Record{ID: fmt.Sprint("q", i), Type: "ask", Subject: fmt.Sprint(i), RootID: "root", Data: fmt.Append(nil, i)}
			r, err := asking.Request(t.Context(), q)
			if err != nil {
				t.Errorf("request %d: %v", i, err)
				return
			}
			if r.Type != "sum" || r.Subject != q.Subject || string(r.Data) != "re: "+string(q.Data) || r.ParentID != q.ID || r.RootID != "root" || len(r.Metadata) != 1 || r.Metadata["k"] != "v" {
				t.Errorf("request %d got the reply %+v", i, r)
			}
			if len(q.Metadata) != 0 {
				t.Errorf("the request was changed: %+v", q)
			}
		})
	}
	wg.Wait()
	eventually(t, "the requests", func() bool { return everything.len() >= n })
	quiet()
	if everything.len() != n {
		t.Errorf("a subscriber of everything was handed %d records, want the %d requests and no replies", everything.len(), n)
	}
	if rs := all(t, asking); len(rs) != n {
		t.Errorf("the history of everything has %d records, want %d", len(rs), n)
	}
	if st := asking.RequestStats(); st != (event.RequestStats{Sent: n, Answered: n}) {
		t.Errorf("stats %+v", st)
	}
	if _, err := asking.Request(t.Context(), nil); !errors.Is(err, event.ErrInvalid) {
		t.Errorf("nil request: %v", err)
	}
	if _, err := asking.Request(t.Context(), &event.Record{}); !errors.Is(err, event.ErrInvalid) {
		t.Errorf("request without a type: %v", err)
	}
}

// requestErrors: what goes wrong in the handler is the asking process's to know.
func requestErrors(t *testing.T, b *bench) {
	s := b.open(t)
	var calls atomic.Int64
	sub := subscribe(t, s, event.Replier(func(_ context.Context, r *event.Record) (*event.Record, error) {
		calls.Add(1)
		switch r.Subject {
		case "error":
			return &event.Record{Type: "t"}, errors.New("no such order")
		case "long":
			return nil, errors.New(strings.Repeat("ä", 1000))
		case "panic":
			panic("bad")
		}
		return nil, nil
	}), event.Group("g"), event.Types("ask"), event.Backoff(time.Millisecond, time.Millisecond), event.MaxAttempts(3))
	for subject, want := range map[string]string{"error": "no such order", "long": strings.Repeat("ä", 512), "panic": "panic: bad"} {
		var failed *event.ReplyError
		if r, err := s.Request(t.Context(), &event.Record{Type: "ask", Subject: subject}); r != nil || !errors.As(err, &failed) || failed.Message != want {
			t.Errorf("%s: %+v, %v, want a ReplyError of %q", subject, r, err, want)
		}
	}
	if r, err := s.Request(t.Context(), &event.Record{Type: "ask", Subject: "nothing"}); err != nil || r == nil || r.Type != "" || len(r.Data) != 0 {
		t.Errorf("%+v, %v, want an empty reply", r, err)
	}
	eventually(t, "the panic is a dead letter", func() bool { return sub.Stats().Dead == 1 })
	quiet()
	if calls.Load() != 4 {
		t.Errorf("%d calls, want one for each request", calls.Load())
	}
	// No request: an error is tried again.
	publish(t, s, &event.Record{Type: "ask", Subject: "error"})
	eventually(t, "tried three times", func() bool { return calls.Load() == 7 && sub.Stats().Dead == 2 })
}

// requestTimeouts: nobody waits longer than asked for, and nothing is left behind.
func requestTimeouts(t *testing.T, b *bench) {
	s := b.open(t)
	short := func(d time.Duration) (context.Context, context.CancelFunc) {
		return context.WithTimeout(t.Context(), d)
	}
	var err error
	eventually(t, "nobody replies in time", func() bool { // the first one may still be subscribing to replies
		ctx, cancel := short(100 * time.Millisecond)
		defer cancel()
		_, err = s.Request(ctx, &event.Record{ID: "nobody", Type: "ask"})
		return errors.Is(err, event.ErrTimeout)
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody replies: %v, want DeadlineExceeded too", err)
	}
	var asked got
	var late, expired atomic.Int64
	release := make(chan struct{})
	subscribe(t, s, event.Replier(func(ctx context.Context, r *event.Record) (*event.Record, error) {
		asked.handle(ctx, r)
		if r.Subject == "late" {
			late.Add(1)
			<-ctx.Done()
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				expired.Add(1)
			}
			<-release
		}
		return r, nil
	}), event.Group("g"), event.Types("ask"), event.From(event.Beginning()), event.Concurrency(2))
	for wait := 300 * time.Millisecond; late.Load() == 0; wait *= 3 { // the replier has to hear of it in time
		ctx, cancel := short(wait)
		_, err := s.Request(ctx, &event.Record{Type: "ask", Subject: "late"})
		cancel()
		if !errors.Is(err, event.ErrTimeout) {
			t.Fatalf("a late reply: %v, want ErrTimeout", err)
		}
	}
	if st := s.RequestStats(); st.Waiting != 0 || st.Late != 0 {
		t.Errorf("stats %+v, want none waiting and none late", st)
	}
	close(release)
	eventually(t, "the late reply is counted", func() bool { return s.RequestStats().Late == late.Load() })
	if r, err := s.Request(t.Context(), &event.Record{Type: "ask", Subject: "next"}); err != nil || r.Subject != "next" {
		t.Errorf("the next request: %+v, %v", r, err)
	}
	if n := late.Load(); expired.Load() != n || asked.len() != int(n)+1 {
		t.Errorf("%d calls of %v, the context of %d ended in time; want the late and the next one, and none for what nobody waits for", asked.len(), asked.list(), expired.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { _, err := s.Request(ctx, &event.Record{ID: "one", Type: "unheard"}); done <- err }()
	eventually(t, "it waits", func() bool { return s.RequestStats().Waiting == 1 })
	if _, err := s.Request(t.Context(), &event.Record{ID: "one", Type: "unheard"}); !errors.Is(err, event.ErrConflict) {
		t.Errorf("a second request of the same ID: %v, want ErrConflict", err)
	}
	cancel()
	wantErr(t, "cancelled", <-done, context.Canceled)
	go func() { _, err := s.Request(t.Context(), &event.Record{Type: "unheard"}); done <- err }()
	eventually(t, "it waits", func() bool { return s.RequestStats().Waiting == 1 })
	shut(t, s)
	wantErr(t, "closed", <-done, event.ErrClosed)
	_, err = s.Request(t.Context(), &event.Record{Type: "ask"})
	wantErr(t, "after Close", err, event.ErrClosed)
}

package event_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

func TestABatchIsOneCall(t *testing.T) {
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		result func() error
		want   router.Class
	}{
		"done":       {func() error { return nil }, router.OK},
		"none of it": {func() error { return event.BatchErrors{1: nil} }, router.OK},
		"part of it": {func() error { return event.BatchErrors{1: event.Terminate(bad)} }, router.ServerError},
		"all of it":  {func() error { return event.Terminate(bad) }, router.ServerError},
		"panic":      {func() error { panic(bad) }, router.ServerError},
	} {
		t.Run(name, func(t *testing.T) {
			rec := newRecorder()
			s := newStream(t, newWrapper(t, wrapper.WithObserver(rec)))
			sub, err := s.SubscribeBatch(t.Context(), func(context.Context, []*event.Record) error { return c.result() },
				event.Group("g"), event.Batch(3), event.BatchWait(time.Minute), event.MaxAttempts(1))
			if err != nil {
				t.Fatal(err)
			}
			publish(t, s, &event.Record{Type: "a", Subject: "s"}, &event.Record{Type: "a"}, &event.Record{Type: "a"})
			got := rec.next(t, wrapper.Server)
			if got.Class != c.want || got.Messages != 3 || got.Method != "a" || got.Group != "g" || got.Resource != "s" {
				t.Errorf("recorded %+v, want class %v and three messages", got, c.want)
			}
			var threw any
			panics := int64(0)
			if name == "panic" {
				threw, panics = bad, 1
			}
			if got.Panic != threw || strings.Contains(string(got.Stack), "batch_test.go") != (threw != nil) {
				t.Errorf("recorded the panic %v, want %v:\n%s", got.Panic, threw, got.Stack)
			}
			if err := sub.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if st := sub.Stats(); st.Panics != panics {
				t.Errorf("the stream counted %+v, want %d panics", st, panics)
			}
		})
	}
}

func TestWhatIsScheduledCarriesTheRequest(t *testing.T) {
	rec := newRecorder()
	s := newStream(t, newWrapper(t, wrapper.WithObserver(rec)))
	done := make(chan *event.Record, 1)
	subscribe(t, s, func(_ context.Context, r *event.Record) error { done <- r; return nil })
	if err := s.PublishAt(t.Context(), time.Now(), &event.Record{Type: "a"}); err != nil {
		t.Fatal(err)
	}
	call := rec.next(t, wrapper.Client)
	if r := <-done; call.RequestID == "" || r.Metadata["x-request-id"] != call.RequestID && r.Metadata["X-Request-Id"] != call.RequestID {
		t.Errorf("carried %v, want the request id %q", r.Metadata, call.RequestID)
	}
	if err := s.PublishAt(t.Context(), time.Time{}, &event.Record{Type: "a"}); !errors.Is(err, event.ErrInvalid) {
		t.Errorf("without a time: %v, want ErrInvalid", err)
	}
	if call := rec.next(t, wrapper.Client); call.Class != router.ClientError {
		t.Errorf("recorded %+v, want the caller's error", call)
	}
}

package event_test

import (
	"context"
	"testing"

	"github.com/micro/go-platform/event"
)

// Close of a divided subscription waits for its handlers no longer than its context lets
// it. Lag is that of the group, for as long as there is one.
func TestADividedSubscriptionAtItsEnd(t *testing.T) {
	s := newStream(t)
	release := make(chan struct{})
	sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { <-release; return nil },
		event.Group("g"), event.Ordered(event.ByRoot), event.Partitions(2))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), &event.Record{Type: "t"}); err != nil {
		t.Fatal(err)
	}
	until(t, "the handler runs, and the other part has passed over the record", func() bool {
		lag, err := sub.Lag(t.Context())
		return err == nil && lag.Behind == 0 && sub.Stats().Running == 1
	})
	ended, end := context.WithCancel(t.Context())
	end()
	refused(t, sub.Close(ended), event.ErrTimeout, "1 handlers still running")
	close(release)
	if err := sub.Close(t.Context()); err != nil {
		t.Errorf("the handler has ended: %v", err)
	}
	if lag, err := sub.Lag(t.Context()); err != nil || lag.Behind != 0 {
		t.Errorf("Lag: %+v, %v", lag, err)
	}
	if err := s.DeleteGroup(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	_, err = sub.Lag(t.Context())
	refused(t, err, event.ErrNotFound, "g")
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = sub.Lag(t.Context())
	refused(t, err, event.ErrClosed, "closed")
}

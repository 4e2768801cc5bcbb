package eventtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

// hung has a handler that never returns: its record and its key go on, the
// group keeps its position, and the subscription can be closed.
func hung(t *testing.T, b *bench) {
	for name, opts := range map[string][]event.SubscribeOption{
		"plain": {event.Group("g")}, "ordered": {event.Group("g"), event.Ordered(event.BySubject), event.Concurrency(3)},
	} {
		s := b.openIn(t, b.ns+name)
		release := make(chan struct{})
		var g got
		sub := subscribe(t, s, func(ctx context.Context, r *event.Record) error {
			if d, _ := event.DeliveryFromContext(ctx); r.ID == "hangs" && d.Attempt == 1 {
				<-release
				return nil
			}
			return g.handle(ctx, r)
		}, append(opts, event.HandlerTimeout(300*time.Millisecond), event.AckWait(5*time.Second), event.Backoff(time.Millisecond, time.Millisecond))...)
		publish(t, s, &event.Record{ID: "before", Type: "t", Subject: "key"}, &event.Record{ID: "hangs", Type: "t", Subject: "key"},
			&event.Record{ID: "after", Type: "t", Subject: "key"}, &event.Record{ID: "other", Type: "t", Subject: "other"})
		eventually(t, name+": all are handled", func() bool { return sub.Stats().Handled == 4 })
		eventually(t, name+": nothing is pending", func() bool { l, err := sub.Lag(t.Context()); return err == nil && l.Pending == 0 })
		var key []string
		for _, r := range g.list() {
			if r.Subject == "key" {
				key = append(key, r.ID)
			}
		}
		key = slices.Compact(key) // on a machine that stands still a handler may time out that returns at once
		if name == "ordered" && !slices.Equal(key, []string{"before", "hangs", "after"}) {
			t.Errorf("the key was handled as %v, want it in order", key)
		}
		if st := sub.Stats(); st.TimedOut < 1 || st.Handled != 4 {
			t.Errorf("%s: stats %+v, want one that timed out and four handled", name, st)
		}
		close(release)
		closeSub(t, sub)
	}
}

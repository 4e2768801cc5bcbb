package eventtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

// partitions: members come and go while records are published; each has a share, and
// every key stays in order.
func partitions(t *testing.T, b *bench) {
	s := b.open(t)
	if !s.Features().Partitions {
		_, err := s.Subscribe(t.Context(), ignore, event.Group("g"), event.Ordered(event.BySubject), event.Partitions(4))
		wantErr(t, "Partitions", err, event.ErrUnsupported)
		return
	}
	const keys, each = 16, 30
	var mu sync.Mutex
	last, handled, by := map[string]string{}, map[string]int{}, map[int]map[string]bool{}
	join := func(member int) event.Subscription {
		return subscribe(t, b.another(t, s), func(ctx context.Context, r *event.Record) error {
			if d, _ := event.DeliveryFromContext(ctx); d.Group != "g" {
				t.Errorf("delivered to the group %q, want g", d.Group)
			}
			mu.Lock()
			defer mu.Unlock()
			handled[r.ID]++
			if handled[r.ID] == 1 && r.ID <= last[r.Subject] {
				t.Errorf("%s: %s was handled after %s", r.Subject, r.ID, last[r.Subject])
			}
			last[r.Subject] = r.ID
			if by[member] == nil {
				by[member] = map[string]bool{}
			}
			by[member][r.Subject] = true
			return nil
		}, event.Group("g"), event.Ordered(event.BySubject), event.Partitions(4), event.AckWait(10*time.Second))
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(handled) }
	n := 0
	publishSome := func(each int) {
		var rs []*event.Record
		for range each {
			for k := range keys {
				n++
				rs = append(rs, &event.Record{ID: fmt.Sprintf("%06d", n), Type: "t", Subject: fmt.Sprint("k", k)})
			}
		}
		publish(t, s, rs...)
	}
	one := join(1)
	publishSome(each)
	eventually(t, "one member does it all", func() bool { return count() == n })
	two := join(2)
	// It has its share when it is handed something of it.
	eventually(t, "both have a share", func() bool {
		publishSome(1)
		<-time.After(25 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		return len(by[2]) > 0
	})
	eventually(t, "all are handled", func() bool { return count() == n })
	shared := func(each int) bool { // of some records each key's are handled by one member, and both have keys
		mu.Lock()
		clear(by)
		mu.Unlock()
		publishSome(each)
		eventually(t, "all are handled", func() bool { return count() == n })
		mu.Lock()
		defer mu.Unlock()
		for k := range keys {
			if key := fmt.Sprint("k", k); by[1][key] == by[2][key] {
				return false
			}
		}
		return len(by[1]) > 0 && len(by[2]) > 0
	}
	eventually(t, "each key is one member's", func() bool { return shared(2) && shared(each) }) // while shares move, one may be both's
	groups, err := s.Groups(t.Context())
	if err != nil || len(groups) != 1 || groups[0].Name != "g" || groups[0].Partitions != 4 {
		t.Errorf("groups %+v, %v, want one of 4 partitions", groups, err)
	}
	_, err = s.Subscribe(t.Context(), ignore, event.Group("g"), event.Ordered(event.BySubject), event.Partitions(8))
	wantErr(t, "another number of partitions", err, event.ErrConflict)
	_, err = s.Subscribe(t.Context(), ignore, event.Group("g"), event.Ordered(event.BySubject))
	wantErr(t, "without partitions", err, event.ErrConflict)
	publishSome(each)
	closeSub(t, one)
	publishSome(each)
	eventually(t, "the other takes over", func() bool { return count() == n })
	eventually(t, "nothing is left", func() bool {
		lag, err := two.Lag(t.Context())
		return err == nil && lag.Pending == 0 && lag.Behind <= 0
	})
	closeSub(t, two)
	if a, b := one.Stats(), two.Stats(); a.Handled+b.Handled < int64(n) || a.Held+b.Held != 0 {
		t.Errorf("stats %+v and %+v, want %d handled", a, b, n)
	}
	if err := s.DeleteGroup(t.Context(), "g"); err != nil {
		t.Error(err)
	}
	wantErr(t, "deleting it again", s.DeleteGroup(t.Context(), "g"), event.ErrNotFound)
	if groups, err := s.Groups(t.Context()); err != nil || len(groups) != 0 {
		t.Errorf("left %+v, %v", groups, err)
	}
	closeSub(t, subscribe(t, s, ignore, event.Group("g"), event.Ordered(event.BySubject)))
	_, err = s.Subscribe(t.Context(), ignore, event.Group("g"), event.Ordered(event.BySubject), event.Partitions(4))
	wantErr(t, "partitions of a group that has none", err, event.ErrConflict)
	for name, opts := range map[string][]event.SubscribeOption{
		"without order": {event.Group("g"), event.Partitions(4)}, "without a group": {event.Ordered(event.BySubject), event.Partitions(4)},
		"one": {event.Group("g"), event.Ordered(event.BySubject), event.Partitions(1)}, "too many": {event.Group("g"), event.Ordered(event.BySubject), event.Partitions(257)},
	} {
		_, err := s.Subscribe(t.Context(), ignore, opts...)
		wantErr(t, name, err, event.ErrInvalid)
	}
}

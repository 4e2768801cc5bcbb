package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/kafka"
	"github.com/micro/go-platform/internal/servertest"
)

// byKey checks that the records of each subject are 0, 1, 2 … n-1.
func byKey(t *testing.T, what string, rs []*event.Record, keys, n int) {
	t.Helper()
	next := map[string]int{}
	for _, r := range rs {
		if string(r.Data) != fmt.Sprint(next[r.Subject]) {
			t.Errorf("%s: %s has %s where %d comes", what, r.Subject, r.Data, next[r.Subject])
			return
		}
		next[r.Subject]++
	}
	if len(next) != keys || len(rs) != keys*n {
		t.Errorf("%s: %d records of %d keys, want %d of %d", what, len(rs), len(next), keys*n, keys)
	}
}

func publishKeys(t *testing.T, s event.Stream, keys, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		rs := make([]*event.Record, keys)
		for k := range rs {
			rs[k] = &event.Record{Type: "t", Subject: fmt.Sprint("k", k), Data: fmt.Append(nil, i)}
		}
		publish(t, s, rs...)
	}
}

// Over several partitions, each key keeps its order in queries, both ways and by
// pages, and every position says where to go on so that nothing is missed or comes
// twice.
func TestPositionsOfSeveralPartitions(t *testing.T) {
	s := open(t, kafka.WithPartitions(4))
	const keys, n = 10, 40
	publishKeys(t, s, keys, 0, n)
	rs := all(t, s)
	byKey(t, "query", rs, keys, n)
	back := all(t, s, event.Reverse())
	slices.Reverse(back)
	byKey(t, "reverse", back, keys, n)

	var pages []*event.Record
	for from := event.Beginning(); ; {
		page := all(t, s, event.From(from), event.Limit(33))
		if len(page) == 0 {
			break
		}
		pages = append(pages, page...)
		from = event.After(page[len(page)-1].Position)
	}
	byKey(t, "pages", pages, keys, n)
	pages = nil
	for from := event.Now(); ; {
		page := all(t, s, event.From(from), event.Limit(33), event.Reverse())
		if len(page) == 0 {
			break
		}
		pages = append(pages, page...)
		from = event.After(page[len(page)-1].Position)
	}
	slices.Reverse(pages)
	byKey(t, "pages back", pages, keys, n)
	for _, i := range []int{0, 7, 200, len(rs) - 1} {
		if rest := all(t, s, event.From(event.After(rs[i].Position))); !slices.Equal(ids(rest), ids(rs[i+1:])) {
			t.Errorf("after record %d: %d records, want the %d others", i, len(rest), len(rs)-i-1)
		}
	}
	for _, bad := range []string{"1,2", "1,2,3,4,5", "4:1", "1:x", "-2,0,0,0", "x"} {
		want := event.ErrInvalid
		if bad == "1,2" {
			want = nil // two partitions were added since
		}
		for _, err := range s.Query(t.Context(), event.From(event.After(bad)), event.Limit(1)) {
			if !errors.Is(err, want) {
				t.Errorf("position %q: %v, want %v", bad, err, want)
			}
		}
	}
	var live got
	sub := subscribe(t, s, live.handle, event.From(event.After(rs[199].Position)))
	publishKeys(t, s, keys, n, n+5)
	until(t, "the subscription has the rest", func() bool { return live.len() >= len(rs)-200+5*keys })
	byKey(t, "subscription", slices.Concat(rs[:200], live.list()), keys, n+5)
	if l, err := sub.Lag(t.Context()); err != nil || l.Behind != 0 {
		t.Errorf("lag %+v, %v, want none", l, err)
	}
}

// A group's record has a position too, with which a reader misses nothing.
func TestPositionOfAGroupsRecord(t *testing.T) {
	s := open(t, kafka.WithPartitions(3))
	var g got
	subscribe(t, s, g.handle, event.Group("g"))
	publishKeys(t, s, 6, 0, 10)
	until(t, "all handled", func() bool { return g.len() == 60 })
	<-time.After(5 * time.Millisecond) // Kafka counts milliseconds
	publishKeys(t, s, 6, 10, 12)
	until(t, "all handled", func() bool { return g.len() == 72 })
	for _, r := range g.list() {
		seen := map[string]bool{r.ID: true}
		for _, later := range all(t, s, event.From(event.After(r.Position))) {
			if later.ID == r.ID {
				t.Fatalf("after %s: the record itself", r.Position)
			}
			seen[later.ID] = true
		}
		for _, other := range all(t, s) {
			if string(other.Data) > "10" && len(other.Data) == 2 && string(r.Data) < "10" && !seen[other.ID] {
				t.Fatalf("after %s of round %s: %s of round %s is missing", r.Position, r.Data, other.Subject, other.Data)
			}
		}
	}
}

// The members of an ordered group work beside each other on several partitions,
// and each key keeps its order while members come and go.
func TestOrderedMembersShareThePartitions(t *testing.T) {
	s := open(t, kafka.WithPartitions(4))
	const keys, n = 12, 60
	var mu sync.Mutex
	last, by := map[string]int{}, map[int]int{}
	var total atomic.Int64
	member := func(i int) event.Subscription {
		return subscribe(t, s, func(_ context.Context, r *event.Record) error {
			var k int
			fmt.Sscan(string(r.Data), &k)
			<-time.After(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			by[i]++
			switch next := last[r.Subject]; {
			case k > next:
				t.Errorf("%s: %d came where %d does", r.Subject, k, next)
			case k == next: // at least once: an earlier one may come again
				last[r.Subject]++
				total.Add(1)
			}
			return nil
		}, event.Group("g"), event.From(event.Beginning()), event.Ordered(event.BySubject), event.Concurrency(4))
	}
	first, second := member(0), member(1)
	publishKeys(t, s, keys, 0, n/2)
	both := func() bool { mu.Lock(); defer mu.Unlock(); return by[0] > 0 && by[1] > 0 }
	until(t, "half is handled", func() bool { return total.Load() >= keys*n/2 })
	rounds := n / 2
	until(t, "both members work", func() bool { // the second may have come late
		if !both() {
			publishKeys(t, s, keys, rounds, rounds+1)
			rounds++
			<-time.After(20 * time.Millisecond)
		}
		return both()
	})
	until(t, "all of that is handled", func() bool { return total.Load() == int64(keys*rounds) })
	closeSub(t, first)
	third := member(2)
	publishKeys(t, s, keys, rounds, rounds+n/2)
	until(t, "all is handled", func() bool { return total.Load() == int64(keys*(rounds+n/2)) })
	closeSub(t, second)
	closeSub(t, third)
	infos, err := s.Groups(t.Context())
	if err != nil || len(infos) != 1 || infos[0].Lag.Behind != 0 {
		t.Errorf("Groups = %+v, %v, want no lag", infos, err)
	}
}

// WithKey puts records of one key into one partition, where Ordered by the same
// keeps their order.
func TestWithKeyChoosesThePartition(t *testing.T) {
	s := open(t, kafka.WithPartitions(8), kafka.WithKey(event.ByRoot))
	for i := range 50 {
		publish(t, s, &event.Record{Type: "t", Subject: fmt.Sprint(i), RootID: fmt.Sprint("root", i%5)})
	}
	var g got
	subscribe(t, s, g.handle, event.Group("g"), event.From(event.Beginning()))
	until(t, "all handled", func() bool { return g.len() == 50 })
	partitions := map[string]map[byte]bool{}
	used := map[byte]bool{}
	for _, r := range g.list() {
		if partitions[r.RootID] == nil {
			partitions[r.RootID] = map[byte]bool{}
		}
		partitions[r.RootID][r.Position[0]] = true
		used[r.Position[0]] = true
	}
	for root, ps := range partitions {
		if len(ps) != 1 {
			t.Errorf("%s is in %d partitions, want 1", root, len(ps))
		}
	}
	if len(used) < 2 {
		t.Errorf("all roots are in one of 8 partitions")
	}
}

// A partition that another member is to have is given up when the handlers of its
// records have returned: the other one begins after them, and repeats nothing.
func TestAMovedPartitionWaitsForItsHandlers(t *testing.T) {
	ns := servertest.Namespace(t)
	s := openIn(t, ns, kafka.WithPartitions(2))
	const keys = 8
	var mu sync.Mutex
	times, active := map[string]int{}, map[string]int{}
	var began, ofOther atomic.Int64
	release := make(chan struct{})
	handler := func(other bool) event.Handler {
		return func(_ context.Context, r *event.Record) error {
			mu.Lock()
			times[r.ID]++
			active[r.Subject]++
			if active[r.Subject] > 1 {
				t.Errorf("%s: two handlers at the same time", r.Subject)
			}
			if strings.HasSuffix(r.ID, "/1") && times[r.Subject+"/0"] == 0 {
				t.Errorf("%s came before the one before it", r.ID)
			}
			mu.Unlock()
			defer func() { mu.Lock(); active[r.Subject]--; mu.Unlock() }()
			if other {
				ofOther.Add(1)
				return nil
			}
			began.Add(1)
			<-release
			return nil
		}
	}
	publishRound := func(i int) {
		t.Helper()
		for k := range keys {
			subject := fmt.Sprint("k", k)
			publish(t, s, &event.Record{ID: fmt.Sprint(subject, "/", i), Type: "t", Subject: subject})
		}
	}
	opts := []event.SubscribeOption{event.Group("g"), event.From(event.Beginning()), event.Ordered(event.BySubject), event.Concurrency(keys), event.AckWait(20 * time.Second)}
	publishRound(0)
	subscribe(t, s, handler(false), opts...)
	until(t, "all keys are being handled", func() bool { return began.Load() == keys })
	subscribe(t, openIn(t, ns), handler(true), opts...)
	publishRound(1)
	<-time.After(2 * time.Second) // long enough for a rebalance
	if n := ofOther.Load(); n != 0 {
		t.Errorf("the other member handled %d records while all of the partitions' handlers ran", n)
	}
	close(release)
	until(t, "all are handled", func() bool { mu.Lock(); defer mu.Unlock(); return len(times) == 2*keys })
	round := 10
	until(t, "the other member has its share", func() bool {
		if ofOther.Load() > 0 {
			return true
		}
		publishRound(round)
		round++
		<-time.After(50 * time.Millisecond)
		return false
	})
	mu.Lock()
	defer mu.Unlock()
	for id, n := range times {
		if n > 1 {
			t.Errorf("%s was handled %d times", id, n)
		}
	}
}

package event_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
)

// moving is a driver of one member with two partitions, "a" and "b", which the test
// takes from the member and gives back.
type moving struct {
	*plain
	mu      sync.Mutex
	turn    map[string]int // counts how often a partition was given to the member; negative: it has not got it
	next    []event.Delivered
	lost    bool
	changed chan struct{}
	running int
	acked   []string
	looked  func() // called after Kept has answered
}

type ticket struct {
	partition string
	turn      int
	id        string
}

func (m *moving) Join(context.Context, event.GroupConfig) (event.Member, error) { return m, nil }

// hand hands out records of a partition in its present turn.
func (m *moving) hand(partition string, ids ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		r := &event.Record{ID: id, Type: "t", Subject: partition + id[:1], Position: id}
		m.next = append(m.next, event.Delivered{Record: r, Attempt: 1, Position: id, Tag: ticket{partition, m.turn[partition], id}})
	}
	m.wake()
}

// move takes a partition and gives it back at once.
func (m *moving) move(partition string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn[partition]++
	m.lost = true
	m.wake()
}

func (m *moving) wake() { close(m.changed); m.changed = make(chan struct{}) }

func (m *moving) Fetch(ctx context.Context, limit int) ([]event.Delivered, error) {
	for {
		m.mu.Lock()
		ds, lost, changed := m.next, m.lost, m.changed
		m.lost = false
		if !lost {
			m.next = nil
		}
		m.mu.Unlock()
		switch {
		case lost:
			return nil, fault.Lost
		case len(ds) > 0:
			return ds, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (m *moving) Begin(d event.Delivered) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.has(d) {
		m.running++
		return true
	}
	return false
}

func (m *moving) has(d event.Delivered) bool {
	t := d.Tag.(ticket)
	return m.turn[t.partition] == t.turn
}

func (m *moving) End(event.Delivered, bool) { m.mu.Lock(); defer m.mu.Unlock(); m.running-- }
func (m *moving) Kept(d event.Delivered) bool {
	m.mu.Lock()
	has, looked := m.has(d), m.looked
	m.mu.Unlock()
	if looked != nil {
		looked()
	}
	return has
}

func (m *moving) Ack(_ context.Context, ds []event.Delivered) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range ds {
		if m.has(d) {
			m.acked = append(m.acked, d.Tag.(ticket).id)
		}
	}
	return nil
}
func (m *moving) Extend(context.Context, []event.Delivered) error  { return nil }
func (m *moving) Release(context.Context, []event.Delivered) error { return nil }
func (m *moving) Lag(context.Context) (event.Lag, error)           { return event.Lag{}, nil }

// What a member loses is dropped, wherever it is: what waits for its turn or for its
// next attempt, and what runs when it fails. What it is handed again does not wait
// behind that, and what it keeps goes on.
func TestWhatAMemberLosesIsDroppedAndTheRestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &moving{plain: &plain{more: make(chan struct{})}, turn: map[string]int{}, changed: make(chan struct{})}
		s, err := event.New(event.WithDriver("moving", func(context.Context, event.Settings) (event.Driver, error) { return m, nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.Background())
		release := make(chan struct{})
		var mu sync.Mutex
		var began []string
		fails := true
		if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
			mu.Lock()
			began = append(began, r.Subject+r.ID)
			failing := fails
			mu.Unlock()
			switch {
			case r.ID == "1" && failing: // its next attempt is far away
				return errors.New("not now")
			case r.ID == "3" && failing: // fails after it was lost
				<-release
				return errors.New("not now")
			case r.ID == "5":
				<-release
			}
			return nil
		}, event.Group("g"), event.Ordered(event.BySubject), event.Concurrency(4), event.Backoff(time.Hour, time.Hour)); err != nil {
			t.Fatal(err)
		}
		m.hand("a", "1", "11", "3", "31") // 11 waits behind 1, 31 behind 3
		m.hand("b", "5", "51")
		synctest.Wait()
		mu.Lock()
		if got := slices.Sorted(slices.Values(began)); !slices.Equal(got, []string{"a11", "a33", "b55"}) {
			t.Errorf("began with %v, want the first of each key", got)
		}
		began, fails = nil, false
		mu.Unlock()

		m.move("a")
		synctest.Wait()
		m.hand("a", "1", "11")
		synctest.Wait()
		mu.Lock()
		if !slices.Equal(began, []string{"a11", "a111"}) {
			t.Errorf("after the move %v, want what was handed out again, at once", began)
		}
		began = nil
		mu.Unlock()
		m.hand("a", "3", "31") // while the lost 3 still runs
		close(release)
		synctest.Wait()
		mu.Lock()
		if got := slices.Sorted(slices.Values(began)); !slices.Equal(got, []string{"a33", "a331", "b551"}) {
			t.Errorf("in the end %v, want the rest of both partitions", got)
		}
		mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		m.mu.Lock()
		defer m.mu.Unlock()
		if got, want := fmt.Sprint(slices.Sorted(slices.Values(m.acked))), "[1 11 3 31 5 51]"; got != want || m.running != 0 {
			t.Errorf("acknowledged %v with %d running, want %v and none", got, m.running, want)
		}
	})
}

// A record that is lost in the moment in which its attempt fails is dropped too: handed
// out again it does not wait for the next attempt of before.
func TestWhatIsLostWhileItFailsDoesNotKeepItsKeyWaiting(t *testing.T) {
	for name, moves := range map[string]bool{"lost": true, "kept": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &moving{plain: &plain{more: make(chan struct{})}, turn: map[string]int{}, changed: make(chan struct{})}
				s, err := event.New(event.WithDriver("moving", func(context.Context, event.Settings) (event.Driver, error) { return m, nil }))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close(context.Background())
				began := make(chan string, 10)
				if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error {
					began <- r.ID
					if len(began) == 1 {
						return errors.New("not now")
					}
					return nil
				}, event.Group("g"), event.Ordered(event.BySubject), event.Backoff(time.Hour, time.Hour)); err != nil {
					t.Fatal(err)
				}
				looked := make(chan struct{})
				m.looked = func() {
					m.mu.Lock()
					m.looked = nil
					m.mu.Unlock()
					if moves {
						m.move("a")
					}
					time.Sleep(time.Second) // the subscription has dropped what it lost
					close(looked)
				}
				m.hand("a", "1")
				<-looked
				synctest.Wait()
				m.hand("a", "11") // of the same key
				synctest.Wait()
				want := 1 // 11 waits for the next attempt at 1
				if moves {
					want = 2
				}
				if len(began) != want {
					t.Errorf("%d attempts began, want %d", len(began), want)
				}
			})
		})
	}
}

// A handler that is left behind has ended for the driver: a partition does not wait
// for one that may never return.
func TestAHandlerThatIsLeftBehindHasEnded(t *testing.T) {
	for name, subscribe := range map[string]func(t *testing.T, s event.Stream, hang func(), opts ...event.SubscribeOption) error{
		"alone": func(t *testing.T, s event.Stream, hang func(), opts ...event.SubscribeOption) error {
			_, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { hang(); return nil }, opts...)
			return err
		},
		"batch": func(t *testing.T, s event.Stream, hang func(), opts ...event.SubscribeOption) error {
			_, err := s.SubscribeBatch(t.Context(), func(context.Context, []*event.Record) error { hang(); return nil }, opts...)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &moving{plain: &plain{more: make(chan struct{})}, turn: map[string]int{}, changed: make(chan struct{})}
				s, err := event.New(event.WithDriver("moving", func(context.Context, event.Settings) (event.Driver, error) { return m, nil }))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close(context.Background())
				release := make(chan struct{})
				defer close(release)
				if err := subscribe(t, s, func() { <-release }, event.Group("g"), event.Ordered(event.BySubject),
					event.HandlerTimeout(10*time.Second), event.Backoff(time.Hour, time.Hour)); err != nil {
					t.Fatal(err)
				}
				running := func() int {
					synctest.Wait()
					m.mu.Lock()
					defer m.mu.Unlock()
					return m.running
				}
				m.hand("a", "1")
				time.Sleep(5 * time.Second)
				if n := running(); n != 1 {
					t.Errorf("%d handlers run before the time is over, want 1", n)
				}
				time.Sleep(10 * time.Second)
				if n := running(); n != 0 {
					t.Errorf("%d handlers run after one was left behind, want none", n)
				}
			})
		})
	}
}

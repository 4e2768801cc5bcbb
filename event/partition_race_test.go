package event_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
)

// interrupted is the memory driver with something that happens before the first Join
// of a group.
type interrupted struct {
	event.Driver
	eventdriver.Roster
	before func(group string)
}

func (d *interrupted) Join(ctx context.Context, g event.GroupConfig) (event.Member, error) {
	d.before(g.Name)
	return d.Driver.Join(ctx, g)
}

// Of two who make a group at the same time, divided and undivided, one gets it: that
// who was first. The other's call is ErrConflict and leaves nothing behind.
func TestAGroupIsNotMadeDividedAndUndividedAtOnce(t *testing.T) {
	whole := []event.SubscribeOption{event.Group("g"), event.Ordered(event.BySubject)}
	half := append(whole[:2:2], event.Partitions(2))
	thirds := append(whole[:2:2], event.Partitions(3))
	for name, c := range map[string]struct {
		first, second []event.SubscribeOption // second has looked when first subscribes
		at            string                  // the group that second is about to make
		want          error
		partitions    int
	}{
		"undivided first":   {whole, half, "g [1/2]", event.ErrConflict, 0},
		"divided first":     {half, whole, "g", event.ErrConflict, 2},
		"in other parts":    {thirds, half, "g [1/2]", event.ErrConflict, 3},
		"both divided":      {half, half, "g [1/2]", nil, 2},
		"neither one":       {whole, whole, "g", nil, 0},
		"another's divided": {append(half[1:3:3], event.Group("h")), whole, "g", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := event.NewMemory()
				d := &interrupted{Driver: memory, Roster: memory.(eventdriver.Roster)}
				s, err := event.New(event.WithDriver("interrupted", func(context.Context, event.Settings) (event.Driver, error) { return d, nil }))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close(context.Background())
				got := make(chan string, 10)
				subscribe := func(who string, opts []event.SubscribeOption) error {
					_, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { got <- who; return nil }, opts...)
					return err
				}
				d.before = func(group string) {
					if group == c.at {
						d.before = func(string) {}
						if err := subscribe("first", c.first); err != nil {
							t.Errorf("who was first: %v", err)
						}
					}
				}
				if err := subscribe("second", c.second); !errors.Is(err, c.want) {
					t.Errorf("who was second: %v, want %v", err, c.want)
				}
				groups, err := s.Groups(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				n := -1
				for _, g := range groups {
					if g.Name == "g" && n >= 0 {
						t.Errorf("the group is there twice: %+v", groups)
					} else if g.Name == "g" {
						n = g.Partitions
					}
				}
				if n != c.partitions {
					t.Errorf("the group has %d partitions, want %d", n, c.partitions)
				}
				if err := s.Publish(t.Context(), &event.Record{Type: "t", Subject: "s"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				want := 1
				if c.want == nil && c.partitions == 0 && len(groups) == 2 {
					want = 2 // both groups
				}
				if len(got) != want {
					t.Errorf("the record was handled %d times, want %d", len(got), want)
				}
			})
		})
	}
}

// staged is the memory driver, whose callers stop where a test says. Who calls is a
// value of the context.
type staged struct {
	event.Driver
	eventdriver.Roster
	mu    sync.Mutex
	calls map[string]int
	stops map[string]chan struct{} // by "before" or "after", who, call and which one
	fail  func(call string) error  // before the call; may be nil
}

type whoKey struct{}

func (d *staged) call(ctx context.Context, name string, f func() error) error {
	who := ctx.Value(whoKey{})
	d.mu.Lock()
	call := fmt.Sprint(who, " ", name)
	d.calls[call]++
	call = fmt.Sprint(call, " ", d.calls[call])
	before, after := d.stops["before "+call], d.stops["after "+call]
	d.mu.Unlock()
	if before != nil {
		<-before
	}
	if d.fail != nil {
		if err := d.fail(call); err != nil {
			return err
		}
	}
	err := f()
	if after != nil {
		<-after
	}
	return err
}

func (d *staged) Groups(ctx context.Context) (list []event.GroupInfo, err error) {
	err = d.call(ctx, "Groups", func() (err error) { list, err = d.Driver.Groups(ctx); return })
	return list, err
}

func (d *staged) Join(ctx context.Context, g event.GroupConfig) (m event.Member, err error) {
	err = d.call(ctx, "Join", func() (err error) { m, err = d.Driver.Join(ctx, g); return })
	return m, err
}

func (d *staged) Attend(ctx context.Context, group, consumer string, ttl time.Duration) (names []string, err error) {
	err = d.call(ctx, "Attend", func() (err error) { names, err = d.Roster.Attend(ctx, group, consumer, ttl); return })
	return names, err
}

func (d *staged) DeleteGroup(ctx context.Context, name string) error {
	return d.call(ctx, "DeleteGroup", func() error { return d.Driver.DeleteGroup(ctx, name) })
}

// stage is a stream over staged, and those who subscribe to it.
type stage struct {
	t       *testing.T
	d       *staged
	s       event.Stream
	results map[string]chan error
	subs    map[string]event.Subscription
	mu      sync.Mutex
	handled []string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	memory := event.NewMemory()
	d := &staged{Driver: memory, Roster: memory.(eventdriver.Roster), calls: map[string]int{}, stops: map[string]chan struct{}{}}
	s, err := event.New(event.WithDriver("staged", func(context.Context, event.Settings) (event.Driver, error) { return d, nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return &stage{t: t, d: d, s: s, results: map[string]chan error{}, subs: map[string]event.Subscription{}}
}

// subscribe lets somebody subscribe to the group g, up to where he stops.
func (st *stage) subscribe(who string, opts ...event.SubscribeOption) {
	st.t.Helper()
	result := make(chan error, 1)
	st.results[who] = result
	go func() {
		sub, err := st.s.Subscribe(context.WithValue(st.t.Context(), whoKey{}, who), func(context.Context, *event.Record) error {
			st.mu.Lock()
			defer st.mu.Unlock()
			st.handled = append(st.handled, who)
			return nil
		}, append(opts, event.Group("g"), event.Ordered(event.BySubject))...)
		st.mu.Lock()
		st.subs[who] = sub
		st.mu.Unlock()
		result <- err
	}()
	synctest.Wait()
}

func (st *stage) stop(at string) { st.d.stops[at] = make(chan struct{}) }

// release lets who stopped there go on, for a time.
func (st *stage) release(at string, d time.Duration) {
	close(st.d.stops[at])
	time.Sleep(d)
	synctest.Wait()
}

// want waits for what Subscribe returns.
func (st *stage) want(who string, want error) {
	st.t.Helper()
	if err := <-st.results[who]; !errors.Is(err, want) {
		st.t.Errorf("%s: %v, want %v", who, err, want)
	}
}

// oneGroup checks that the group is there in one way, and that a record is handled once
// by one of those that have it.
func (st *stage) oneGroup(partitions int, handlers ...string) {
	st.t.Helper()
	groups, err := st.s.Groups(st.t.Context())
	if err != nil {
		st.t.Fatal(err)
	}
	if len(groups) != 1 || groups[0].Partitions != partitions {
		st.t.Errorf("the groups are %+v, want g once, with %d partitions", groups, partitions)
	}
	if err := st.s.Publish(st.t.Context(), &event.Record{Type: "t", Subject: "s"}); err != nil {
		st.t.Fatal(err)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	st.mu.Lock()
	defer st.mu.Unlock()
	ok := false
	for _, who := range handlers {
		ok = ok || len(st.handled) == 1 && st.handled[0] == who
	}
	if !ok {
		st.t.Errorf("the record was handled by %v, want once by one of %v", st.handled, handlers)
	}
	for _, who := range handlers {
		if sub := st.subs[who]; sub == nil {
			st.t.Errorf("%s has no subscription", who)
		} else if err := sub.Stats().Err; err != nil {
			st.t.Errorf("%s has subscribed, and has %v", who, err)
		}
	}
}

// One that divides the group sees the parts of another that gives way and removes them.
// It does not make them again beside the undivided group.
func TestWhoSeesPartsThatAreRemovedLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		for _, at := range []string{"after whole Groups 1", "before half Groups 2", "after other Groups 1"} {
			st.stop(at)
		}
		st.subscribe("whole")
		st.subscribe("half", event.Partitions(2)) // has made the parts
		st.subscribe("other", event.Partitions(2))
		st.release("after whole Groups 1", 0)
		st.release("before half Groups 2", 500*time.Millisecond)
		st.release("after other Groups 1", 0)
		st.want("half", event.ErrConflict)
		st.want("other", event.ErrConflict)
		st.want("whole", nil)
		st.oneGroup(0, "whole")
	})
}

// The same with nobody who makes the group undivided: both that divide it have it.
func TestWhoSeesPartsOfAnotherHasThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		for _, at := range []string{"before half Groups 2", "after other Groups 1"} {
			st.stop(at)
		}
		st.subscribe("half", event.Partitions(2))
		st.subscribe("other", event.Partitions(2))
		st.release("before half Groups 2", 500*time.Millisecond)
		st.release("after other Groups 1", 0)
		st.want("half", nil)
		st.want("other", nil)
		st.oneGroup(2, "half", "other")
	})
}

// Who has made the group undivided and waits for a slow one that divides it does not
// remove it under a replica that has joined it.
func TestWhoWaitsForPartsKeepsTheGroupOfItsReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		for _, at := range []string{"after whole Groups 1", "before whole Groups 2", "before half Join 1", "before half Groups 2"} {
			st.stop(at)
		}
		st.subscribe("whole")
		st.subscribe("half", event.Partitions(2)) // has looked
		st.release("after whole Groups 1", 0)     // makes the group
		st.subscribe("replica")
		st.want("replica", nil)
		st.release("before half Join 1", 0) // makes the parts
		st.release("before whole Groups 2", 3*time.Second)
		st.release("before half Groups 2", 0)
		st.want("half", event.ErrConflict)
		st.want("whole", nil)
		st.oneGroup(0, "whole", "replica")
	})
}

// A maker that never ends costs Subscribe its time, and nobody the group.
func TestAMakerThatHangsRemovesNoGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		for _, at := range []string{"after whole Groups 1", "before half Groups 2"} {
			st.stop(at)
		}
		st.subscribe("whole")
		st.subscribe("half", event.Partitions(2))
		st.release("after whole Groups 1", 0)
		st.want("whole", event.ErrConflict)
		st.release("before half Groups 2", 0)
		if err := <-st.results["half"]; err == nil {
			t.Error("half has subscribed, after its deadline")
		}
		if err := st.s.DeleteGroup(t.Context(), "g"); err != nil {
			t.Error(err)
		}
		st.subscribe("again", event.Partitions(2))
		st.want("again", nil)
		st.oneGroup(2, "again")
	})
}

// Parts of which one cannot be made are removed: they do not stand for a group that is
// divided. Those of a group that was there, and of one that others have, stay.
func TestPartsThatCannotAllBeMadeAreRemoved(t *testing.T) {
	lost := errors.New("lost")
	for name, c := range map[string]struct {
		before     []string // who has subscribed before, and closes
		beside     bool     // somebody else makes the group at the same time
		partitions int      // that are left
	}{
		"new":       {nil, false, 0},
		"there":     {[]string{"earlier"}, false, 2},
		"of others": {nil, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				st.d.fail = func(call string) error {
					if call == "half Join 2" {
						return lost
					}
					return nil
				}
				for _, who := range c.before {
					st.subscribe(who, event.Partitions(2))
					st.want(who, nil)
					if err := st.subs[who].Close(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if c.beside {
					st.stop("before half Join 2")
					st.subscribe("half", event.Partitions(2))
					st.subscribe("other", event.Partitions(2))
					st.release("before half Join 2", 0)
					st.want("other", nil)
				} else {
					st.subscribe("half", event.Partitions(2))
				}
				st.want("half", lost)
				groups, err := st.s.Groups(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if c.partitions == 0 {
					if len(groups) != 0 {
						t.Errorf("the groups are %+v, want none", groups)
					}
					st.subscribe("whole")
					st.want("whole", nil)
					st.oneGroup(0, "whole")
				} else if len(groups) != 1 || groups[0].Partitions != c.partitions {
					t.Errorf("the groups are %+v, want one with %d partitions", groups, c.partitions)
				}
			})
		})
	}
}

// Who fails to make all parts, and has seen nobody else, does not remove them under
// another that joins them meanwhile.
func TestPartsAreNotRemovedUnderWhoJoinsThem(t *testing.T) {
	for name, at := range map[string]string{"before the first": "before half DeleteGroup 1", "between": "after half DeleteGroup 1"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStage(t)
				lost := errors.New("lost")
				st.d.fail = func(call string) error {
					if call == "half Join 2" {
						return lost
					}
					return nil
				}
				st.stop(at)
				st.subscribe("half", event.Partitions(2)) // has made a part, and is about to remove it
				st.subscribe("other", event.Partitions(2))
				st.release(at, 3*time.Second)
				st.want("half", lost)
				st.want("other", nil)
				st.oneGroup(2, "other")
			})
		})
	}
}

// DeleteGroup removes a group that is there divided and undivided, as old versions or a
// crash may have left it.
func TestDeleteGroupRemovesItInEveryWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStage(t)
		for _, name := range []string{"g", "g [1/2]", "g [2/2]", "h"} {
			if _, err := st.d.Join(t.Context(), event.GroupConfig{Name: name}); err != nil {
				t.Fatal(err)
			}
		}
		if err := st.s.DeleteGroup(t.Context(), "g"); err != nil {
			t.Error(err)
		}
		groups, err := st.s.Groups(t.Context())
		if err != nil || len(groups) != 1 || groups[0].Name != "h" {
			t.Errorf("the groups are %+v, %v, want h alone", groups, err)
		}
		if err := st.s.DeleteGroup(t.Context(), "g"); !errors.Is(err, event.ErrNotFound) {
			t.Errorf("a group that is gone: %v", err)
		}
	})
}

// measured is the memory driver, and how long the names are under which members attend.
type measured struct {
	event.Driver
	eventdriver.Roster
	mu      sync.Mutex
	longest int
}

func (d *measured) Attend(ctx context.Context, group, consumer string, ttl time.Duration) ([]string, error) {
	d.mu.Lock()
	d.longest = max(d.longest, len(group))
	d.mu.Unlock()
	return d.Roster.Attend(ctx, group, consumer, ttl)
}

// Backends have room for the longest name of a group and no more, in a column of MySQL
// for one: so nobody attends under a longer one.
func TestMembersAttendUnderNoLongerNameThanAGroupHas(t *testing.T) {
	memory := event.NewMemory()
	d := &measured{Driver: memory, Roster: memory.(eventdriver.Roster)}
	s, err := event.New(event.WithDriver("measured", func(context.Context, event.Settings) (event.Driver, error) { return d, nil }))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	const most = 255
	for bytes, want := range map[int]error{most - len(" [1/2]"): nil, most - len(" [1/2]") + 1: event.ErrInvalid} {
		_, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil },
			event.Group(strings.Repeat("g", bytes)), event.Ordered(event.BySubject), event.Partitions(2))
		if !errors.Is(err, want) {
			t.Errorf("a name of %d bytes: %v, want %v", bytes, err, want)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.longest == 0 || d.longest > most {
		t.Errorf("a member attended under a name of %d bytes, want 1 to %d", d.longest, most)
	}
}

package event

import (
	"context"
	"errors"
	"slices"
	gosync "sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// partsDriver is a memory whose calls a test fails.
type partsDriver struct {
	*memory
	calls gosync.Mutex
	fail  func(call string) error
}

// fails has another function say which calls fail.
func (d *partsDriver) fails(f func(call string) error) {
	d.calls.Lock()
	defer d.calls.Unlock()
	d.fail = f
}

func (d *partsDriver) call(name string) error {
	d.calls.Lock()
	defer d.calls.Unlock()
	return d.fail(name)
}

func (d *partsDriver) Attend(ctx context.Context, group, consumer string, ttl time.Duration) ([]string, error) {
	if err := d.call("attend " + group); err != nil {
		return nil, err
	}
	return d.memory.Attend(ctx, group, consumer, ttl)
}

func (d *partsDriver) Join(ctx context.Context, c GroupConfig) (Member, error) {
	if err := d.call("join " + c.Name); err != nil {
		return nil, err
	}
	return d.memory.Join(ctx, c)
}

func (d *partsDriver) DeleteGroup(ctx context.Context, name string) error {
	if err := d.call("delete " + name); err != nil {
		return err
	}
	return d.memory.DeleteGroup(ctx, name)
}

func onParts(t *testing.T) (*partsDriver, Stream, *logged) {
	t.Helper()
	d, lines := &partsDriver{memory: newMemory(Retention{}), fail: func(string) error { return nil }}, &logged{}
	s, err := New(WithLogger(textLogger(lines)), WithDriver("parts", func(context.Context, Settings) (Driver, error) { return d, nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return d, s, lines
}

var inTwo = []SubscribeOption{Group("g"), Ordered(BySubject), Partitions(2), AckWait(3 * time.Second)}

// What fails while a group is divided is in Stats and, once, in the log, for as long as
// it fails; then the parts are taken.
func TestAMemberThatCannotDivide(t *testing.T) {
	for name, fails := range map[string]string{"the roll": "attend g/2", "a part": "join g [2/2]"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, s, lines := onParts(t)
				var handled atomic.Int64
				h := func(context.Context, *Record) error { handled.Add(1); return nil }
				first, err := s.Subscribe(t.Context(), h, inTwo...)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if st := first.Stats(); st.Err != nil {
					t.Errorf("%v, want none", st.Err)
				}
				if err := first.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				down := errors.New("down")
				joins := 0
				d.fails(func(call string) error {
					if call == fails && joins > 0 { // not while it subscribes
						return down
					}
					if call == "join g [2/2]" || call == "attend g/2" && name == "the roll" {
						joins++
					}
					return nil
				})
				sub, err := s.Subscribe(t.Context(), h, inTwo...)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if st := sub.Stats(); !errors.Is(st.Err, down) {
					t.Errorf("%v, want what failed", st.Err)
				}
				if n := lines.times("dividing a group failed"); n != 1 {
					t.Errorf("%d lines in the log, want 1", n)
				}
				d.fails(func(string) error { return nil })
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if st := sub.Stats(); st.Err != nil {
					t.Errorf("%v, want that it is over", st.Err)
				}
				for _, subject := range []string{"a", "b", "c", "d", "e"} {
					if err := s.Publish(t.Context(), &Record{Type: "t", Subject: subject}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if handled.Load() != 5 {
					t.Errorf("%d records were handled, want 5", handled.Load())
				}
				d.fails(func(call string) error {
					if call == "attend g/2" {
						return down
					}
					return nil
				})
				if err := sub.Close(t.Context()); err != nil {
					t.Error(err)
				}
				if n := lines.times("leaving the group failed"); n != 1 {
					t.Errorf("%d lines in the log of leaving, want 1", n)
				}
			})
		})
	}
}

// Subscribe that fails leaves nobody on a roll, and no parts of its own making; where it
// can't see who else is there it leaves the parts.
func TestASubscribeThatFailsLeavesNoTrace(t *testing.T) {
	down := errors.New("down")
	for name, c := range map[string]struct {
		fails  []string
		groups int
		roster []string
	}{
		"making a part":             {[]string{"join g [2/2]"}, 0, nil},
		"and removing it":           {[]string{"join g [2/2]", "delete g [1/2]"}, 1, nil},
		"and asking who is there":   {[]string{"join g [2/2]", "attend g/2"}, 1, []string{"g/2"}},
		"and saying that it cleans": {[]string{"join g [2/2]", "attend g/clean"}, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, s, _ := onParts(t)
				made := false
				d.fails(func(call string) error {
					made = made || call == c.fails[0]
					if made && slices.Contains(c.fails, call) {
						return down
					}
					return nil
				})
				if _, err := s.Subscribe(t.Context(), func(context.Context, *Record) error { return nil }, inTwo...); !errors.Is(err, down) {
					t.Errorf("Subscribe: %v, want what failed", err)
				}
				if len(d.groups) != c.groups {
					t.Errorf("%d groups are left, want %d", len(d.groups), c.groups)
				}
				var roster []string
				for group := range d.roster {
					roster = append(roster, group)
				}
				if !slices.Equal(roster, c.roster) {
					t.Errorf("on the roll are %q, want %q", roster, c.roster)
				}
			})
		})
	}
}

// DeleteGroup says what it could not remove, and removes the rest when it is asked again.
func TestADividedGroupThatCannotBeDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, _ := onParts(t)
		sub, err := s.Subscribe(t.Context(), func(context.Context, *Record) error { return nil }, inTwo...)
		if err != nil {
			t.Fatal(err)
		}
		if err := sub.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		down := errors.New("down")
		d.fails(func(call string) error {
			if call == "delete g [2/2]" {
				return down
			}
			return nil
		})
		if err := s.DeleteGroup(t.Context(), "g"); !errors.Is(err, down) {
			t.Errorf("%v, want what failed", err)
		}
		d.fails(func(string) error { return nil })
		if err := s.DeleteGroup(t.Context(), "g"); err != nil || len(d.groups) != 0 {
			t.Errorf("%v, %d groups are left", err, len(d.groups))
		}
		if err := s.DeleteGroup(t.Context(), "g"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
	})
}

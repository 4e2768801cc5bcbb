package event_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/fault"
)

// times returns when the records of a stream were due.
func times(t *testing.T, s event.Stream) (list []string) {
	t.Helper()
	for r, err := range s.Query(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r.Time.Format("02 15:04:05"))
	}
	return list
}

func reopen(t *testing.T, dir string) (s event.Stream, shut func()) {
	t.Helper()
	s, err := event.New(event.Journal(dir))
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		t.Helper()
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// The bubble's clock begins at midnight of 2000-01-01 UTC.
func TestCronRunsWhenTheClockSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := event.New()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(t.Context())
		if err := s.Schedule(t.Context(), "daily", event.Cron("30 9 * * *", nil), &event.Record{Type: "t"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9*time.Hour + 30*time.Minute - time.Millisecond)
		synctest.Wait()
		if got := times(t, s); len(got) != 0 {
			t.Errorf("ran at %v, before its time", got)
		}
		time.Sleep(48*time.Hour + time.Millisecond)
		synctest.Wait()
		if got, want := times(t, s), []string{"01 09:30:00", "02 09:30:00", "03 09:30:00"}; !slices.Equal(got, want) {
			t.Errorf("ran at %v, want %v", got, want)
		}
	})
}

func TestRunsThatWereMissedAreMadeUpForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, shut := reopen(t, dir)
		if err := s.Schedule(t.Context(), "hourly", event.Every(time.Hour), &event.Record{Type: "t"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Minute)
		shut()
		time.Sleep(5 * time.Hour)
		s, shut = reopen(t, dir) // at 06:30, nobody subscribes
		defer shut()
		synctest.Wait()
		if got, want := times(t, s), []string{"01 01:00:00", "01 02:00:00"}; !slices.Equal(got, want) {
			t.Errorf("ran for %v, want the first one that was missed made up for: %v", got, want)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got, want := times(t, s), []string{"01 01:00:00", "01 02:00:00", "01 07:00:00"}; !slices.Equal(got, want) {
			t.Errorf("ran for %v, want it to keep its pace: %v", got, want)
		}
	})
}

// A process may end after it has published and before it has noted so.
func TestWhatTheJournalHasIsNotPublishedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "events", "schedule.dat")
		s, shut := reopen(t, dir)
		due := time.Now().Add(time.Minute)
		if err := s.PublishAt(t.Context(), due, &event.Record{ID: "once", Type: "t"}); err != nil {
			t.Fatal(err)
		}
		if err := s.Schedule(t.Context(), "each", event.Every(time.Minute), &event.Record{Type: "t"}); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		shut()
		if err := os.WriteFile(file, before, 0o600); err != nil { // as if it had not been noted
			t.Fatal(err)
		}
		s, shut = reopen(t, dir)
		synctest.Wait()
		if got, want := times(t, s), []string{"01 00:01:00", "01 00:01:00"}; !slices.Equal(got, want) {
			t.Errorf("published %v, want each once", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := times(t, s), []string{"01 00:01:00", "01 00:01:00", "01 00:02:00"}; !slices.Equal(got, want) {
			t.Errorf("published %v, want the next run: %v", got, want)
		}
		// The same ID once more is another record.
		if err := s.PublishAt(t.Context(), time.Now(), &event.Record{ID: "once", Type: "t"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := times(t, s); len(got) != 4 {
			t.Errorf("published %v, want four", got)
		}
		shut()
	})
}

func TestScheduleFileIsCutAtDamageAndStaysSmall(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "events", "schedule.dat")
	ids := func(s event.Stream) (list []string) {
		for e, err := range s.Scheduled(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, e.ID)
		}
		return list
	}
	far := time.Now().Add(time.Hour)
	s, shut := reopen(t, dir)
	for i := range 3 {
		if err := s.PublishAt(t.Context(), far.Add(time.Duration(i)*time.Second), &event.Record{ID: fmt.Sprint(i), Type: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	shut()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"cut": whole[:len(whole)-1], "a length": append(slices.Clone(whole[:len(whole)/3*2]), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1), "a bit": append(slices.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1),
	} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, shut = reopen(t, dir)
		if got := ids(s); !slices.Equal(got, []string{"0", "1"}) {
			t.Errorf("%s: left %v, want what is whole", name, got)
		}
		if err := s.PublishAt(t.Context(), far.Add(time.Minute), &event.Record{ID: "new", Type: "t"}); err != nil {
			t.Fatal(err)
		}
		shut()
		s, shut = reopen(t, dir)
		if got := ids(s); !slices.Equal(got, []string{"0", "1", "new"}) {
			t.Errorf("%s: then %v, want the new one too", name, got)
		}
		shut()
	}
	s, shut = reopen(t, dir)
	for i := range 3000 {
		if err := s.PublishAt(t.Context(), far, &event.Record{ID: "again", Type: "t", Subject: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	shut()
	if info, err := os.Stat(file); err != nil || info.Size() > 200_000 {
		t.Errorf("the file has %v bytes, %v, want it written again", info.Size(), err)
	}
	s, shut = reopen(t, dir)
	defer shut()
	for e, err := range s.Scheduled(t.Context()) {
		if err != nil || e.ID == "again" && e.Record.Subject != "2999" {
			t.Errorf("%+v, %v, want the last one", e, err)
		}
	}
}

// troubled is a driver whose schedule fails for a while, or refuses a record.
type troubled struct {
	plain
	mu2     sync.Mutex
	entries []event.Scheduled
	fail    func(call int, fs []eventdriver.Firing) error
	calls   int
	fired   []string
}

func (d *troubled) Schedule(_ context.Context, es []event.Scheduled) error {
	d.mu2.Lock()
	defer d.mu2.Unlock()
	d.entries = append(d.entries, es...)
	return nil
}
func (d *troubled) Unschedule(context.Context, string) error { return fault.NotFound }
func (d *troubled) Scheduled(context.Context, string, int) ([]event.Scheduled, string, error) {
	return nil, "", nil
}
func (d *troubled) Due(_ context.Context, limit int) (now eventdriver.DueNow, err error) {
	d.mu2.Lock()
	defer d.mu2.Unlock()
	now.Now = time.Now()
	for _, e := range d.entries {
		if !e.Due.After(now.Now) {
			now.Entries = append(now.Entries, e)
		} else if now.Next.IsZero() || e.Due.Before(now.Next) {
			now.Next = e.Due
		}
	}
	return now, nil
}
func (d *troubled) Fire(_ context.Context, fs []eventdriver.Firing) (int, error) {
	d.mu2.Lock()
	defer d.mu2.Unlock()
	d.calls++
	if err := d.fail(d.calls, fs); err != nil {
		return 0, err
	}
	for _, f := range fs {
		d.entries = slices.DeleteFunc(d.entries, func(e event.Scheduled) bool { return e.ID == f.ID })
		if f.Record != nil {
			d.fired = append(d.fired, f.ID)
		}
		if !f.Next.IsZero() {
			d.entries = append(d.entries, event.Scheduled{ID: f.ID, Due: f.Next, Record: &event.Record{ID: f.ID, Type: "t"}})
		}
	}
	return len(fs), nil
}

func TestScheduledRecordsOutlastTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		fail  func(call int, fs []eventdriver.Firing) error
		wait  time.Duration
		want  []string
		later int // entries left
	}{
		"unavailable for a while": {func(call int, _ []eventdriver.Firing) error {
			if call <= 4 {
				return fault.Mark(fault.Unavailable, errors.New("down"))
			}
			return nil
		}, 20 * time.Second, []string{"a", "b", "c"}, 0},
		"outcome unknown": {func(call int, _ []eventdriver.Firing) error {
			if call == 1 {
				return fault.Mark(fault.UnknownOutcome, errors.New("no answer"))
			}
			return nil
		}, 20 * time.Second, []string{"a", "b", "c"}, 0},
		"one refused": {func(_ int, fs []eventdriver.Firing) error {
			for _, f := range fs {
				if f.ID == "b" && f.Record != nil {
					return fault.Markf(fault.TooLarge, "no")
				}
			}
			return nil
		}, 20 * time.Second, []string{"a", "c"}, 1},
		"refused together, and unavailable for each": {func(call int, fs []eventdriver.Firing) error {
			switch {
			case len(fs) > 1:
				return fault.Markf(fault.TooLarge, "no")
			case call == 3:
				return fault.Markf(fault.Unavailable, "down")
			}
			return nil
		}, 20 * time.Second, []string{"a", "b", "c"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &troubled{plain: plain{more: make(chan struct{})}, fail: c.fail}
				s, err := event.New(event.WithDriver("troubled", func(context.Context, event.Settings) (event.Driver, error) { return d, nil }))
				if err != nil {
					t.Fatal(err)
				}
				for _, id := range []string{"a", "b", "c"} {
					if err := s.PublishAt(t.Context(), time.Now().Add(time.Second), &event.Record{ID: id, Type: "t"}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(c.wait)
				synctest.Wait()
				d.mu2.Lock()
				if !slices.Equal(d.fired, c.want) || len(d.entries) != c.later || d.calls > 20 {
					t.Errorf("fired %v in %d calls, %d left, want %v and %d", d.fired, d.calls, len(d.entries), c.want, c.later)
				}
				d.mu2.Unlock()
				if err := s.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

package event

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a member that hands out what a test gives it, and says what it was asked.
type scripted struct {
	Driver // for what a subscription does not ask
	hand   chan []Delivered
	fail   func(what string) error

	mu    gosync.Mutex
	asked []string
	limit int // of the last Fetch
}

func newScripted() *scripted {
	return &scripted{hand: make(chan []Delivered, 100), fail: func(string) error { return nil }}
}

func (m *scripted) note(what string, ds []Delivered) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ds != nil {
		ids := []string{what}
		for i := range ds {
			ids = append(ids, ds[i].record().ID)
		}
		slices.Sort(ids[1:]) // handlers that run side by side end in any order
		what = strings.Join(ids, " ")
	}
	m.asked = append(m.asked, what)
	return m.fail(what)
}

// said are the questions since the last time, in order.
func (m *scripted) said() []string {
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	said := m.asked
	m.asked = nil
	return said
}

func (m *scripted) Fetch(ctx context.Context, limit int) ([]Delivered, error) {
	m.mu.Lock()
	m.limit = limit
	m.mu.Unlock()
	select {
	case ds := <-m.hand:
		return ds, m.fail("fetch")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
func (m *scripted) Ack(_ context.Context, ds []Delivered) error     { return m.note("ack", ds) }
func (m *scripted) Extend(_ context.Context, ds []Delivered) error  { return m.note("extend", ds) }
func (m *scripted) Release(_ context.Context, ds []Delivered) error { return m.note("release", ds) }
func (m *scripted) Lag(context.Context) (Lag, error)                { return Lag{}, nil }
func (m *scripted) Close(context.Context) error                     { return m.note("leave", nil) }
func (m *scripted) Join(context.Context, GroupConfig) (Member, error) {
	return m, nil
}

// give hands out records in one Fetch.
func (m *scripted) give(ids string) {
	var ds []Delivered
	for _, id := range strings.Fields(ids) {
		ds = append(ds, Delivered{Record: &Record{ID: id, Type: "t", Subject: id[:1], Position: id}, Attempt: 1, Position: id})
	}
	m.hand <- ds
}

// scriptedDriver hands out the member, and nothing else.
type scriptedDriver struct{ *scripted }

func (scriptedDriver) Append(_ context.Context, rs []*Record) (int, error) { return len(rs), nil }
func (scriptedDriver) Close(context.Context) error                         { return nil }
func (scriptedDriver) Ping(context.Context) error                          { return nil }

// logged keeps what a stream says in its log.
type logged struct {
	mu   gosync.Mutex
	text strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) times(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// onScripted is a stream on a scripted member.
func onScripted(t *testing.T, m *scripted, opts ...Option) (Stream, *logged) {
	t.Helper()
	lines := &logged{}
	s, err := New(append(opts, WithLogger(textLogger(lines)), WithDriver("scripted", func(context.Context, Settings) (Driver, error) {
		return scriptedDriver{m}, nil
	}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s, lines
}

// What is done is acknowledged together: after a few milliseconds, at once if a batch is
// full or nothing else is held, and in any case at the end.
func TestAcknowledgementsWaitForEachOther(t *testing.T) {
	for _, c := range []struct {
		name, done string // of a batch of three; "held" goes on
		after      time.Duration
		close      bool
		want       []string
	}{
		{"below a batch, early", "1 2", ackDelay - 1, false, nil},
		{"below a batch", "1 2", ackDelay, false, []string{"ack 1 2"}},
		{"a full batch", "1 2 3", 0, false, []string{"ack 1 2 3"}},
		{"nothing else is held", "held", 0, false, []string{"ack held"}},
		{"the end", "1", 0, true, []string{"ack 1", "leave"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newScripted()
			s, _ := onScripted(t, m)
			release := make(chan struct{})
			sub, err := s.Subscribe(t.Context(), func(_ context.Context, r *Record) error {
				if r.ID == "held" && c.done != "held" {
					<-release
				}
				return nil
			}, Group("g"), Batch(3), Concurrency(4))
			if err != nil {
				t.Fatal(err)
			}
			m.give("held")
			synctest.Wait()
			if c.done != "held" {
				m.give(c.done)
			}
			synctest.Wait()
			time.Sleep(c.after)
			if c.close {
				go sub.Close(context.Background())
				synctest.Wait()
				close(release)
				c.want = []string{"ack 1 held", "leave"}
			}
			if got := m.said(); !slices.Equal(got, c.want) {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
			if !c.close {
				close(release)
			}
			synctest.Wait()
		})
	}
}

func refuseAcks(what string) error {
	if strings.HasPrefix(what, "ack") {
		return errors.New("not now")
	}
	return nil
}

// What can't be acknowledged is tried again, together with what came since, and no more
// than once when the subscription ends.
func TestAcknowledgementsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newScripted()
		s, lines := onScripted(t, m)
		sub, err := s.Subscribe(t.Context(), func(context.Context, *Record) error { return nil }, Group("g"))
		if err != nil {
			t.Fatal(err)
		}
		m.fail = refuseAcks
		m.give("1")
		if got := m.said(); !slices.Equal(got, []string{"ack 1"}) {
			t.Fatalf("%q, want the first acknowledged at once", got)
		}
		m.give("2")
		time.Sleep(time.Minute)
		got := m.said()
		if len(got) < 3 || len(got) > 100 || got[0] != "ack 1 2" || got[len(got)-1] != "ack 1 2" {
			t.Errorf("in a minute %d tries, the first is %q: want both again, more slowly each time", len(got), got[0])
		}
		if n := lines.times("acknowledging failed"); n != len(got)+1 {
			t.Errorf("%d lines in the log of %d failures", n, len(got)+1)
		}
		m.mu.Lock()
		m.fail = func(string) error { return nil }
		m.mu.Unlock()
		time.Sleep(time.Minute)
		if got := m.said(); !slices.Equal(got, []string{"ack 1 2"}) {
			t.Errorf("%q, want both acknowledged once", got)
		}
		m.give("3")
		if got := m.said(); !slices.Equal(got, []string{"ack 3"}) {
			t.Errorf("%q, want what comes next", got)
		}
		m.mu.Lock()
		m.fail = func(what string) error {
			if what == "fetch" {
				return nil
			}
			return errors.New("not now")
		}
		m.mu.Unlock()
		m.give("4")
		if got := m.said(); !slices.Equal(got, []string{"ack 4"}) {
			t.Errorf("%q, want that it is tried", got)
		}
		if err := sub.Close(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if got := m.said(); !slices.Equal(got, []string{"ack 4", "leave"}) {
			t.Errorf("at the end %q, want one try", got)
		}
		if lines.times("leaving the group failed") != 1 || lines.times("releasing failed") != 0 {
			t.Errorf("the log says %q", lines.text.String())
		}
	})
}

// A handler may take long to end after Close: what can't be acknowledged meanwhile is
// tried again as slowly as before.
func TestAcknowledgementsThatFailWhileAHandlerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newScripted()
		s, _ := onScripted(t, m)
		release := make(chan struct{})
		sub, err := s.Subscribe(t.Context(), func(_ context.Context, r *Record) error {
			if r.ID == "held" {
				<-release
			}
			return nil
		}, Group("g"), Concurrency(2))
		if err != nil {
			t.Fatal(err)
		}
		m.fail = refuseAcks
		m.give("held 1")
		synctest.Wait()
		go sub.Close(context.Background())
		time.Sleep(time.Minute)
		acks := 0
		for _, what := range m.said() {
			if what == "ack 1" {
				acks++
			}
		}
		if acks < 3 || acks > 100 {
			t.Errorf("%d tries in a minute, want some", acks)
		}
		close(release)
		synctest.Wait()
		if got := m.said(); !slices.Equal(got, []string{"ack 1 held", "leave"}) {
			t.Errorf("at the end %q, want one try", got)
		}
	})
}

// A member that lives says so, three times in the time that others wait for it, for what
// it holds; it gives back at the end what it has not begun.
func TestASubscriptionKeepsAndGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newScripted()
		s, lines := onScripted(t, m)
		release := make(chan struct{})
		sub, err := s.Subscribe(t.Context(), func(context.Context, *Record) error { <-release; return nil }, Group("g"), AckWait(30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := m.said(); len(got) != 0 {
			t.Errorf("%q, while nothing is held", got)
		}
		m.give("1 2")
		time.Sleep(10*time.Second - time.Nanosecond)
		if got := m.said(); len(got) != 0 {
			t.Errorf("%q, too early", got)
		}
		m.mu.Lock()
		m.fail = func(what string) error {
			if strings.HasPrefix(what, "extend") {
				return errors.New("not now")
			}
			return nil
		}
		m.mu.Unlock()
		time.Sleep(20 * time.Second)
		if got := m.said(); !slices.Equal(got, []string{"extend 1 2", "extend 1 2"}) {
			t.Errorf("%q, want two signs of life in 20 s", got)
		}
		if n := lines.times("extending failed"); n != 2 {
			t.Errorf("%d lines in the log, want 2", n)
		}
		if st := sub.Stats(); st.Held != 2 || st.Running != 1 || st.Fetched != 2 {
			t.Errorf("%+v, want two held, one of them running", st)
		}
		closed := make(chan error, 1)
		go func() { closed <- sub.Close(context.Background()) }()
		time.Sleep(10 * time.Second)
		if got := m.said(); !slices.Equal(got, []string{"extend 1 2"}) {
			t.Errorf("%q, want a sign of life while a handler runs", got)
		}
		close(release)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if got, want := m.said(), []string{"ack 1", "release 2", "leave"}; !slices.Equal(got, want) {
			t.Errorf("at the end %q, want %q", got, want)
		}
		if n := lines.times("level=WARN"); n != 3 {
			t.Errorf("%d warnings in the log, want those of the signs of life", n)
		}
	})
}

// What can't be given back, or left, is said, and Close returns all the same.
func TestASubscriptionThatCannotGiveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newScripted()
		s, lines := onScripted(t, m)
		release := make(chan struct{})
		sub, err := s.Subscribe(t.Context(), func(context.Context, *Record) error { <-release; return nil }, Group("g"))
		if err != nil {
			t.Fatal(err)
		}
		m.fail = func(what string) error {
			if strings.HasPrefix(what, "ack") {
				return nil
			}
			return errors.New("not now")
		}
		m.hand <- nil // and Fetch fails
		time.Sleep(10 * time.Second)
		if st := sub.Stats(); st.Err == nil || lines.times("fetching failed") != 1 {
			t.Errorf("%v, and %d lines in the log, want what failed, once", st.Err, lines.times("fetching failed"))
		}
		m.mu.Lock()
		m.fail = func(what string) error {
			if strings.HasPrefix(what, "release") || what == "leave" {
				return errors.New("not now")
			}
			return nil
		}
		m.mu.Unlock()
		m.give("1 2")
		synctest.Wait()
		if st := sub.Stats(); st.Err != nil {
			t.Errorf("%v, want that it is over", st.Err)
		}
		closed := make(chan error, 1)
		go func() { closed <- sub.Close(context.Background()) }()
		synctest.Wait()
		close(release)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		for text, n := range map[string]int{"releasing failed": 1, "leaving the group failed": 1, "records=1": 1} {
			if got := lines.times(text); got != n {
				t.Errorf("%q is %d times in the log, want %d", text, got, n)
			}
		}
	})
}

// How many records are fetched at once: a batch, but in a group no more than one member
// works off in 50 ms, and no fewer than its handlers.
func TestTheWindowOfAFetch(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		group              string
		batch, concurrency int
		took               []time.Duration
		want               int
	}{
		{"", 256, 1, nil, 256},
		{"", 256, 1, []time.Duration{time.Hour}, 256},
		{"", 4, 8, nil, 8},
		{"g", 256, 1, nil, 16},
		{"g", 256, 15, nil, 16},
		{"g", 256, 17, nil, 16},
		{"g", 8, 1, nil, 8},
		{"g", 8, 9, nil, 9},
		{"g", 256, 1, []time.Duration{10 * ms}, 5},
		{"g", 256, 2, []time.Duration{10 * ms}, 10},
		{"g", 256, 1, []time.Duration{50 * ms}, 1},
		{"g", 256, 1, []time.Duration{51 * ms}, 1},
		{"g", 256, 3, []time.Duration{time.Hour}, 3},
		{"g", 256, 1, []time.Duration{0}, 256},
		{"g", 256, 1, []time.Duration{10 * ms, 50 * ms}, 2},
	} {
		s := &subscription{o: &subscribeOptions{batch: c.batch, concurrency: c.concurrency, group: c.group}, live: c.group == ""}
		for _, d := range c.took {
			s.took(d, 1)
		}
		if got := s.window(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
		s.bh = func(context.Context, []*Record) error { return nil }
		if got := s.window(); got != c.batch {
			t.Errorf("%+v in batches: %d", c, got)
		}
	}
	s := &subscription{}
	for range 2 {
		s.took(10*ms, 10)
	}
	if got := s.pace.Load(); got != int64(ms) {
		t.Errorf("a pace of %v, want that of one record", time.Duration(got))
	}
}

// What the group did not ask for is acknowledged without a handler, and so is nothing of
// a subscription without a group.
func TestRecordsOfOtherTypesAreAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newScripted()
		s, _ := onScripted(t, m)
		handled := make(chan string, 10)
		sub, err := s.Subscribe(t.Context(), func(_ context.Context, r *Record) error { handled <- r.ID; return nil }, Group("g"), Types("t"))
		if err != nil {
			t.Fatal(err)
		}
		other := Delivered{Record: &Record{ID: "other", Type: "u"}, Attempt: 2}
		again := Delivered{Record: &Record{ID: "again", Type: "t"}, Attempt: 2}
		first := Delivered{Record: &Record{ID: "first", Type: "t"}, Attempt: 1}
		m.hand <- []Delivered{other, first, other, again}
		time.Sleep(time.Second)
		if got := fmt.Sprint(<-handled, " ", <-handled, " ", len(handled)); got != "first again 0" {
			t.Errorf("handled %q, want the two of its type", got)
		}
		said := strings.Join(m.said(), " ")
		for id, n := range map[string]int{"other": 2, "first": 1, "again": 1} {
			if got := strings.Count(said, id); got != n {
				t.Errorf("%s was acknowledged %d times, want %d", id, got, n)
			}
		}
		if st := sub.Stats(); st.Fetched != 2 || st.Redelivered != 1 || st.Handled != 2 || st.Held != 0 {
			t.Errorf("%+v, want two fetched, one of them again", st)
		}
	})
}

func textLogger(w *logged) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

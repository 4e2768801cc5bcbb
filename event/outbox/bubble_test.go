package outbox_test

import (
	"bytes"
	"context"
	dbsql "database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/outbox"
)

// lines is a log.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

// take returns what was logged since the last call.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.all.Reset()
	return l.all.String()
}

// world is an outbox in a bubble, and a stream that does as told.
type world struct {
	t   *testing.T
	db  *dbsql.DB
	box *outbox.Outbox
	log *lines
	event.Stream

	publish func(ctx context.Context, rs []*event.Record) error // before the stream; nil: nothing
}

func inBubble(t *testing.T, f func(t *testing.T, w *world), opts ...outbox.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db, err := dbsql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "x.db")+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(off)")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		log := &lines{}
		box, err := outbox.New(t.Context(), engine.FromDB(engine.SQLite, db), append([]outbox.Option{outbox.WithInterval(time.Second), outbox.WithLogger(slog.New(slog.NewTextHandler(log, nil)))}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		f(t, &world{t: t, db: db, box: box, log: log, Stream: stream(t, event.WithMaxBytes(1000))})
	})
}

func (w *world) Publish(ctx context.Context, rs ...*event.Record) error {
	if w.publish != nil {
		if err := w.publish(ctx, rs); err != nil {
			return err
		}
	}
	return w.Stream.Publish(ctx, rs...)
}

func (w *world) exec(query string) {
	w.t.Helper()
	_, err := w.db.ExecContext(w.t.Context(), query)
	if err != nil {
		w.t.Fatal(err)
	}
}

// put writes rows; those named large are refused by the stream.
func (w *world) put(subjects ...string) {
	w.t.Helper()
	for _, s := range subjects {
		r := &event.Record{Type: "t", Subject: s}
		if s == "large" {
			r.Data = make([]byte, 1001)
		}
		if err := w.box.Publish(w.t.Context(), w.db, r); err != nil {
			w.t.Fatal(err)
		}
	}
}

// after lets time pass and checks what is published by then.
func (w *world) after(d time.Duration, want ...string) {
	w.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	if got := subjects(w.t, w.Stream); !slices.Equal(got, want) {
		w.t.Errorf("after %v: %v is published, want %v", d, got, want)
	}
}

// What fails in the database is reported and tried again; a row comes after those
// in front of it.
func TestRelayReportsWhatTheDatabaseRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		trigger   string
		rows      []string
		published []string // in the first round
		log       string
		end       []string // in the end, each once
		aside     int64
	}{
		"nothing":             {"", []string{"0", "large", "1"}, []string{"0", "1"}, "record refused", []string{"0", "1"}, 1},
		"taking the turn":     {"UPDATE ON event_outbox_turn", []string{"0"}, nil, "taking the turn", []string{"0"}, 0},
		"removing rows":       {"DELETE ON event_outbox", []string{"0", "1"}, []string{"0", "1"}, "no such luck", []string{"0", "1"}, 0},
		"removing a row":      {"DELETE ON event_outbox", []string{"large", "0", "1"}, []string{"0"}, "no such luck", []string{"0", "1"}, 1},
		"setting aside":       {"UPDATE OF refused ON event_outbox", []string{"0", "large", "1"}, []string{"0"}, "no such luck", []string{"0", "1"}, 1},
		"setting aside first": {"UPDATE OF refused ON event_outbox", []string{"large", "1"}, nil, "no such luck", []string{"1"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.put(c.rows...)
				if c.trigger != "" {
					w.exec("CREATE TRIGGER broken BEFORE " + c.trigger + " BEGIN SELECT RAISE(ABORT, 'no such luck'); END")
				}
				relay(t, w.box, w)
				synctest.Wait() // the first round
				first := slices.Compact(slices.Sorted(slices.Values(subjects(t, w.Stream))))
				if log := w.log.take(); !strings.Contains(log, c.log) || !slices.Equal(first, c.published) {
					t.Errorf("published %v, want %v, and a log of %q: %s", first, c.published, c.log, log)
				}
				w.exec("DROP TRIGGER IF EXISTS broken")
				time.Sleep(20 * time.Second)
				synctest.Wait()
				end := slices.Compact(slices.Sorted(slices.Values(subjects(t, w.Stream))))
				if waiting, aside, err := w.box.Pending(t.Context()); waiting != 0 || aside != c.aside || err != nil || !slices.Equal(end, c.end) {
					t.Errorf("published %v, want %v; %d wait, %d are set aside, %v, want 0 and %d", end, c.end, waiting, aside, err, c.aside)
				}
				w.log.take()
				w.after(20*time.Second, subjects(t, w.Stream)...)
				if log := w.log.take(); log != "" {
					t.Errorf("in the end it logs %s", log)
				}
			})
		})
	}
}

func TestTheEndOfARelay(t *testing.T) {
	for name, c := range map[string]struct {
		trigger string
		publish func(ctx context.Context, rs []*event.Record) error
		log     string
	}{
		"while it waits for rows":     {},
		"while it waits to try again": {publish: func(context.Context, []*event.Record) error { return event.ErrUnavailable }, log: "unavailable"},
		"while it publishes":          {publish: func(ctx context.Context, _ []*event.Record) error { <-ctx.Done(); return ctx.Err() }},
		"without giving up its turn":  {trigger: "CREATE TRIGGER kept BEFORE UPDATE ON event_outbox_turn WHEN new.holder = '' BEGIN SELECT RAISE(ABORT, 'kept'); END", log: "giving up the turn failed"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				w.publish = c.publish
				if c.trigger != "" {
					w.exec(c.trigger)
				}
				w.put("0")
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- w.box.Relay(ctx, w) }()
				time.Sleep(5*time.Second + time.Millisecond)
				synctest.Wait()
				began := time.Now()
				cancel()
				if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(began) > 0 {
					t.Errorf("%v after %v, want the context's error at once", err, time.Since(began))
				}
				if log := w.log.take(); c.log == "" && log != "" || !strings.Contains(log, c.log) {
					t.Errorf("logged %q, want %q", log, c.log)
				}
				if c.trigger != "" {
					return
				}
				w.publish = nil
				relay(t, w.box, w) // another takes the turn at once
				w.after(time.Millisecond, "0")
			})
		})
	}
}

// One relay works at a time. Another waits for the turn of one that shows no life, and
// no longer.
func TestATurnIsOneRelays(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.put("0")
		calls := 0
		w.publish = func(ctx context.Context, _ []*event.Record) error { calls++; <-ctx.Done(); return ctx.Err() }
		relay(t, w.box, w)
		synctest.Wait()
		other := &world{t: t, Stream: w.Stream}
		relay(t, w.box, other)
		w.after(8 * time.Second)
		if calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
	})
	inBubble(t, func(t *testing.T, w *world) {
		w.exec("UPDATE event_outbox_turn SET holder = 'dead', until = " + "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) + 3600000")
		w.put("0")
		relay(t, w.box, w)
		w.after(20 * time.Second)
		w.exec("UPDATE event_outbox_turn SET until = 0")
		w.after(time.Second, "0")
	})
}

func TestRelayIsWoken(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		relay(t, w.box, w)
		time.Sleep(time.Second)
		w.put("0", "large")
		w.after(58 * time.Minute)
		w.box.Poke()
		w.box.Poke() // once is enough
		w.after(0, "0")
		w.exec("UPDATE event_outbox SET record = record WHERE refused IS NOT NULL")
		w.Stream = stream(t)
		if n, err := w.box.Retry(t.Context()); n != 1 || err != nil {
			t.Errorf("Retry = %d, %v", n, err)
		}
		w.after(0, "large")
		w.put("1")
		w.after(59*time.Minute, "large")
		w.after(time.Minute, "large", "1")
	}, outbox.WithInterval(time.Hour))
}

// A stream that says how many records of a call it took.
func TestWhatIsPublishedInPart(t *testing.T) {
	for _, c := range []struct {
		published int
		err       error
		want      []string
		aside     int64
	}{
		{0, event.ErrInvalid, []string{"1", "2"}, 1},
		{1, event.ErrInvalid, []string{"0", "2"}, 1},
		{2, event.ErrInvalid, []string{"0", "1"}, 1},
		{0, event.ErrUnavailable, []string{"0", "1", "2"}, 0},
		{1, event.ErrUnavailable, []string{"0", "1", "2"}, 0},
		{2, event.ErrUnavailable, []string{"0", "1", "2"}, 0},
		{1, event.ErrUnknownOutcome, []string{"0", "1", "2"}, 0},
	} {
		inBubble(t, func(t *testing.T, w *world) {
			w.put("0", "1", "2")
			bad := ""
			w.publish = func(ctx context.Context, rs []*event.Record) error {
				switch {
				case bad == "":
					bad = rs[c.published].ID
					if err := w.Stream.Publish(ctx, rs[:c.published]...); err != nil {
						t.Error(err)
					}
					return &event.PublishError{Published: c.published, Err: c.err}
				case rs[0].ID == bad && errors.Is(c.err, event.ErrInvalid):
					return c.err
				}
				return nil
			}
			relay(t, w.box, w)
			w.after(20*time.Second, c.want...)
			if waiting, aside, err := w.box.Pending(t.Context()); waiting != 0 || aside != c.aside || err != nil {
				t.Errorf("%d published, %v: %d wait, %d are set aside, %v, want 0 and %d", c.published, c.err, waiting, aside, err, c.aside)
			}
		})
	}
}

// The reason why a row was set aside is kept, shortened where it is long.
func TestTheReasonIsKept(t *testing.T) {
	for _, c := range []struct{ length, want int }{{249, 249}, {250, 250}, {251, 249}, {1000, 249}} { // letters of two bytes
		inBubble(t, func(t *testing.T, w *world) {
			w.put("0")
			text := strings.Repeat("ü", c.length/2) + strings.Repeat("x", c.length%2)
			w.publish = func(context.Context, []*event.Record) error { return refusal(text) }
			relay(t, w.box, w)
			w.after(time.Second)
			var kept string
			err := w.db.QueryRowContext(t.Context(), "SELECT refused FROM event_outbox").Scan(&kept)
			if err != nil || len(kept) > 250 || len(kept) < c.want || !strings.HasPrefix(text, kept) || !utf8.ValidString(kept) {
				t.Errorf("of %d bytes %d are kept, %v, want %d: %s", len(text), len(kept), err, c.want, kept)
			}
		})
	}
}

type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) Unwrap() error   { return event.ErrInvalid }

// What can't be read is reported, and is no empty table.
func TestATableThatCannotBeRead(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.put("0")
		w.exec("ALTER TABLE event_outbox RENAME TO elsewhere")
		relay(t, w.box, w)
		w.after(20 * time.Second)
		if log := w.log.take(); !strings.Contains(log, "no such table: event_outbox") {
			t.Errorf("logged %q, want the missing table", log)
		}
		if _, _, err := w.box.Pending(t.Context()); err == nil {
			t.Error("Pending counts rows of a table that isn't there")
		}
		if _, err := w.box.Retry(t.Context()); err == nil {
			t.Error("Retry has found rows of a table that isn't there")
		}
		w.exec("ALTER TABLE elsewhere RENAME TO event_outbox")
		w.after(20*time.Second, "0")
	})
}

// A row that fails is tried as often as was said, and then set aside, if what is behind
// it passes. Where that can't be noted it waits, and the rest with it.
func TestARowThatKeepsFailing(t *testing.T) {
	for _, limit := range []int{1, 2, 3} {
		tries := 0
		refuse := func(_ context.Context, rs []*event.Record) error {
			if rs[0].Subject == "bad" {
				tries++
				return event.ErrUnknownOutcome
			}
			return nil
		}
		inBubble(t, func(t *testing.T, w *world) {
			w.put("bad", "0", "1")
			w.publish = refuse
			w.exec("CREATE TRIGGER broken BEFORE UPDATE OF refused ON event_outbox BEGIN SELECT RAISE(ABORT, 'no such luck'); END")
			relay(t, w.box, w)
			w.after(time.Minute, "0", "1")
			if log := w.log.take(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "error=\"constraint failed: no such luck") {
				t.Errorf("logged %.500q, want why the row is not set aside", log)
			}
			w.exec("DROP TRIGGER broken")
			w.put("2") // which passes, and so it is the row and not the stream
			w.after(time.Minute, "0", "1", "2")
			if waiting, aside, err := w.box.Pending(t.Context()); waiting != 0 || aside != 1 || err != nil {
				t.Errorf("%d wait, %d are set aside, %v, want 0 and 1", waiting, aside, err)
			}
			if tries <= limit {
				t.Errorf("%d tries", tries)
			}
		}, outbox.WithMaxFailures(limit))
		tries = 0
		inBubble(t, func(t *testing.T, w *world) {
			w.put("bad", "0", "1")
			w.publish = refuse
			relay(t, w.box, w)
			w.after(time.Minute, "0", "1")
			if want := max(limit, 2); tries != want { // the first one is of all rows together
				t.Errorf("a limit of %d failures: %d tries, want %d", limit, tries, want)
			}
		}, outbox.WithMaxFailures(limit))
	}
}

// What was published of a call is not followed by the rest until it is removed.
func TestAPartThatCannotBeRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.put("0", "1", "2")
		w.exec("CREATE TRIGGER broken BEFORE DELETE ON event_outbox BEGIN SELECT RAISE(ABORT, 'no such luck'); END")
		calls := 0
		w.publish = func(ctx context.Context, rs []*event.Record) error {
			if calls++; calls > 1 {
				return event.ErrUnavailable
			}
			if err := w.Stream.Publish(ctx, rs[0]); err != nil {
				t.Error(err)
			}
			return &event.PublishError{Published: 1, Err: event.ErrInvalid}
		}
		relay(t, w.box, w)
		synctest.Wait() // the first round
		if got := subjects(t, w.Stream); calls != 1 || !slices.Equal(got, []string{"0"}) {
			t.Errorf("%d calls have published %v, want one and the first", calls, got)
		}
		if log := w.log.take(); !strings.Contains(log, "no such luck") {
			t.Errorf("logged %q", log)
		}
	})
}

package sql

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
)

type answer struct {
	n   int
	err error
}

// append1 calls Append, and returns once the call waits.
func append1(ctx context.Context, d *driver, id string) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		n, err := d.Append(ctx, []*event.Record{{ID: id, Type: "t", Time: time.Unix(1, 0)}})
		done <- answer{n, err}
	}()
	synctest.Wait()
	return done
}

// Who gives up before the turn has written nothing; who gives up while it is written
// can't know; and the others that are written with it do not notice.
func TestWhoGivesUpTakesNoOthersAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := inMemory(t)
		put(t, d, "a")
		d.writer <- struct{}{} // somebody writes
		early, giveUpEarly := context.WithCancel(t.Context())
		late, giveUpLate := context.WithCancel(t.Context())
		before := append1(early, d, "x")
		while, other := append1(late, d, "b"), append1(t.Context(), d, "c")
		giveUpEarly()
		if got := <-before; got.n != 0 || !errors.Is(got.err, context.Canceled) || fault.KindOf(got.err) == fault.UnknownOutcome {
			t.Errorf("who gave up before its turn got %+v", got)
		}
		tx, err := d.db.BeginTx(t.Context(), nil) // and the database is busy
		if err != nil {
			t.Fatal(err)
		}
		<-d.writer
		synctest.Wait() // b and c are being written
		giveUpLate()
		if got := <-while; got.n != 0 || fault.KindOf(got.err) != fault.UnknownOutcome {
			t.Errorf("who gave up while it was written got %+v", got)
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		if got := <-other; got != (answer{1, nil}) {
			t.Errorf("who was written with it got %+v", got)
		}
		if got := left(t, d); got != "abc" {
			t.Errorf("%q is stored", got)
		}
	})
}

// Whoever has the turn writes what came before, even if its own does not fit in.
func TestATurnThatIsFullOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := inMemory(t)
		put(t, d, "a")
		full := &entry{done: make(chan error, 1)}
		for range shared {
			full.records = append(full.records, &event.Record{ID: "f", Type: "t", Time: time.Unix(1, 0)})
		}
		d.queue = append(d.queue, full)
		if got := <-append1(t.Context(), d, "b"); got != (answer{1, nil}) {
			t.Errorf("Append = %+v", got)
		}
		if err := <-full.done; err != nil {
			t.Error(err)
		}
		if last, _, err := d.ends(t.Context()); last != shared+2 || err != nil {
			t.Errorf("%d records, %v, want %d", last, err, shared+2)
		}
	})
}

// What fails together is not there, and each is told so.
func TestCallsThatFailTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := inMemory(t)
		put(t, d, "a")
		if _, err := d.db.ExecContext(t.Context(), "CREATE TRIGGER no BEFORE INSERT ON events WHEN NEW.id = 'c' BEGIN SELECT RAISE(ABORT, 'no'); END"); err != nil {
			t.Fatal(err)
		}
		d.writer <- struct{}{}
		b, c := append1(t.Context(), d, "b"), append1(t.Context(), d, "c")
		<-d.writer
		for _, got := range []answer{<-b, <-c} {
			if got.n != 0 || got.err == nil {
				t.Errorf("Append = %+v, want an error", got)
			}
		}
		if got := <-append1(t.Context(), d, "c"); got.n != 0 || got.err == nil {
			t.Errorf("Append alone = %+v, want an error", got)
		}
		put(t, d, "d")
		if got := left(t, d); got != "ad" {
			t.Errorf("%q is stored", got)
		}
	})
}

// A row that does not fit into a packet is refused before anything is written.
func TestRowsAboveThePacketAreNotWritten(t *testing.T) {
	d := inMemory(t)
	put(t, d, "a")
	d.packet.Store(2000)
	small, large := &event.Record{ID: "s", Type: "t", Time: time.Unix(1, 0)}, &event.Record{ID: "l", Type: "t", Time: time.Unix(1, 0), Data: make([]byte, 2000)}
	if n, err := d.Append(t.Context(), []*event.Record{small, large}); n != 0 || !errors.Is(err, fault.TooLarge) {
		t.Errorf("Append = %d, %v", n, err)
	}
	due := time.UnixMilli(1000)
	if err := d.Schedule(t.Context(), []event.Scheduled{{ID: "s", Due: due, Record: small}, {ID: "l", Due: due, Record: large}}); !errors.Is(err, fault.TooLarge) {
		t.Errorf("Schedule = %v", err)
	}
	if n, err := d.Append(t.Context(), []*event.Record{small}); n != 1 || err != nil {
		t.Errorf("Append of what fits = %d, %v", n, err)
	}
	if err := d.Schedule(t.Context(), []event.Scheduled{{ID: "s", Due: due, Record: small}}); err != nil {
		t.Errorf("Schedule of what fits = %v", err)
	}
	list, _, err := d.Scheduled(t.Context(), "", 10)
	if got := left(t, d); got != "as" || len(list) != 1 || err != nil {
		t.Errorf("%q is stored, and %d scheduled, %v", got, len(list), err)
	}
}

// What nobody waits for any more is not written.
func TestLateCallsAreNotWritten(t *testing.T) {
	d := inMemory(t)
	put(t, d, "a")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for n := range 2 {
		records := make([]*event.Record, n+1)
		for i := range records {
			records[i] = &event.Record{ID: "x", Type: "t", Time: time.Unix(1, 0)}
		}
		if _, err := d.insert(over, records); !errors.Is(err, context.Canceled) {
			t.Errorf("%d records: %v", n+1, err)
		}
		if _, err := d.Append(over, records); !errors.Is(err, context.Canceled) {
			t.Errorf("Append of %d records: %v", n+1, err)
		}
	}
	if got := left(t, d); got != "a" {
		t.Errorf("%q is stored", got)
	}
}

// While somebody waits, the database is asked ever less often, and no more when nobody
// does. One of several who leaves does not end it for the others.
func TestWhoWaitsAsksLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, asked := counted(t)
		put(t, d, "a")
		wait := func(d time.Duration, f func(ctx context.Context)) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			f(ctx)
		}
		before := asked()
		wait(10*time.Second, func(ctx context.Context) {
			if err := d.Wait(ctx, "1"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Wait = %v", err)
			}
		})
		synctest.Wait()
		if n := asked() - before; n < 40 || n > 50 {
			t.Errorf("%d questions in ten seconds, want one every 250 ms", n)
		}
		before = asked()
		time.Sleep(10 * time.Second) // of the bubble
		if n := asked() - before; n != 0 {
			t.Errorf("%d questions while nobody waits", n)
		}
		done := make(chan error, 1)
		go func() { done <- d.Wait(t.Context(), "1") }()
		synctest.Wait()
		ended := d.tail.ended
		wait(time.Second, func(ctx context.Context) { d.Wait(ctx, "1") })
		synctest.Wait()
		select {
		case <-ended:
			t.Error("one who left ended it for the other")
		default:
		}
		// Another process has written; this one asks, and then often again.
		if _, err := d.db.ExecContext(t.Context(), "INSERT INTO events SELECT 2, id, type, source, root, parent, subject, time, stored, size, metadata, content_type, data FROM events"); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := <-done; err != nil || time.Since(begin) > askLast {
			t.Errorf("Wait = %v after %v", err, time.Since(begin))
		}
	})
}

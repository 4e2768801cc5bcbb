package log_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/log"
)

// device is an output that does what its function says.
type device struct {
	write func(ctx context.Context, b log.Batch) (int, error)
	ping  error

	mu     sync.Mutex
	lines  []string
	closed int
}

func (d *device) Encoding() log.Encoding { return log.JSON() }
func (d *device) Write(ctx context.Context, b log.Batch) (int, error) {
	n, err := b.Len(), error(nil)
	if d.write != nil {
		n, err = d.write(ctx, b)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, r := range b.Records() {
		if i < n {
			d.lines = append(d.lines, string(r))
		}
	}
	return n, err
}
func (d *device) Ping(context.Context) error { return d.ping }
func (d *device) Close() error               { d.closed++; return nil }

func (d *device) option(name string) log.Option {
	return log.WithDriver(name, func(context.Context) (log.Driver, error) { return d, nil })
}

func (d *device) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.lines)
}

var errDown = fault.Markf(fault.Unavailable, "connection refused")

func quiet() log.Option { return log.WithErrors(func(string, error) {}) }

func TestAnOutputThatIsUnavailableForAWhileLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := make(chan struct{})
		d := &device{}
		d.write = func(ctx context.Context, b log.Batch) (int, error) {
			select {
			case <-up:
				return b.Len(), nil
			default:
				return 0, errDown
			}
		}
		var complaints []string
		l, err := log.New(d.option("x"), log.WithErrors(func(o string, err error) { complaints = append(complaints, o+": "+err.Error()) }))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			l.Logger("").Info(fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		s := l.Stats()[0]
		if s.Written != 0 || s.Retries < 3 || s.Retries > 60 || s.LastError == "" || s.QueueBytes == 0 {
			t.Errorf("while it was unavailable: %+v", s)
		}
		close(up)
		time.Sleep(time.Minute)
		if s := l.Stats()[0]; s.Written != 1000 || s.Dropped != 0 || d.count() != 1000 {
			t.Errorf("when it is available again: %+v", s)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(complaints); n == 0 || n > 8 {
			t.Errorf("%d complaints in a minute", n)
		}
	})
}

// A stalled output never blocks; the loss is counted, and noted in the stream.
// An outage is told once, however long it is, and once more when it costs
// records; the next one is told again.
func TestAnOutageIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		up := true
		d := &device{}
		d.write = func(_ context.Context, b log.Batch) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			if up {
				return b.Len(), nil
			}
			return 0, errDown
		}
		set := func(v bool) { mu.Lock(); up = v; mu.Unlock() }
		l, err := log.New(log.WithOutput(d.option("device"), log.QueueBytes(1024)), log.WithErrors(func(_ string, err error) {
			mu.Lock()
			told = append(told, err.Error())
			mu.Unlock()
		}))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			l.Close(ctx)
		}()
		check := func(when string, want ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if len(told) != len(want) {
				t.Fatalf("%s: told %q", when, told)
			}
			for i := range want {
				if !strings.Contains(told[i], "connection refused") || strings.Contains(told[i], "records are lost") != (want[i] == "lost") {
					t.Errorf("%s: told %q, want %q", when, told, want)
				}
			}
			told = nil
		}
		for range 2 {
			set(false)
			l.Logger("").Info("one")
			time.Sleep(time.Hour)
			check("an hour", "refused")
			for range 20 {
				l.Logger("").Info(strings.Repeat("x", 100))
			}
			time.Sleep(time.Hour)
			check("two hours, with losses", "lost")
			set(true)
			time.Sleep(time.Hour)
			check("well again")
		}
		for range 2 {
			set(false)
			l.Logger("").Info("one")
			time.Sleep(time.Hour)
			check("another hour", "refused")
			set(true)
			time.Sleep(time.Hour)
			check("well again")
		}
	})
}

func TestDropsAreCountedAndNotedInTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		d := &device{write: func(ctx context.Context, b log.Batch) (int, error) {
			<-open
			return b.Len(), nil
		}}
		l, _ := log.New(log.WithOutput(d.option("x"), log.QueueBytes(2000)), quiet())
		began := time.Now()
		for range 1000 {
			l.Logger("").Info("x")
		}
		if time.Since(began) > 0 {
			t.Error("logging took time")
		}
		s := l.Stats()[0]
		if s.QueueBytes > 2000 || s.Dropped == 0 || s.Accepted+s.Dropped != 1000 || s.DroppedBytes == 0 {
			t.Errorf("%+v", s)
		}
		close(open)
		time.Sleep(time.Second)
		l.Logger("").Info("first after")
		err := l.Close(t.Context())
		if !errors.Is(err, log.ErrDropped) || !strings.Contains(err.Error(), fmt.Sprint(s.Dropped, " records")) {
			t.Errorf("Close: %v", err)
		}
		var notes int
		for _, line := range d.lines {
			if m := parse(t, line); m["msg"] == "log: records dropped" {
				notes++
				if m["dropped"] != float64(s.Dropped) || m["output"] != "x" || m["level"] != "WARN" || m["bytes"] != float64(s.DroppedBytes) {
					t.Errorf("%s, want %d", line, s.Dropped)
				}
			}
		}
		if notes != 1 {
			t.Errorf("%d notes in %d lines", notes, len(d.lines))
		}
	})
}

func TestAStalledOutputHoldsUpNobodyAndCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		stuck := &device{write: func(ctx context.Context, b log.Batch) (int, error) { <-hung; return b.Len(), nil }} // deaf to its context
		slow := &device{write: func(ctx context.Context, b log.Batch) (int, error) { <-ctx.Done(); return 0, ctx.Err() }}
		fine := &device{}
		l, _ := log.New(stuck.option("stuck"), slow.option("slow"), fine.option("fine"), quiet())
		for range 100 {
			l.Logger("").Info("x")
		}
		time.Sleep(time.Second)
		if fine.count() != 100 {
			t.Errorf("%d lines at the fine output", fine.count())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush: %v", err)
		}
		began := time.Now()
		err := l.Close(ctx)
		if took := time.Since(began); took > time.Second || !errors.Is(err, log.ErrDropped) {
			t.Errorf("Close took %v: %v", took, err)
		}
		s := l.Stats()
		if s[0].Dropped != 100 || s[1].Dropped != 100 || s[2].Written != 100 || slow.closed != 1 || fine.closed != 1 {
			t.Errorf("%+v", s)
		}
		l.Logger("").Info("after Close")
		if s := l.Stats(); s[2].Dropped != 1 {
			t.Errorf("%+v", s[2])
		}
		if err := l.Flush(t.Context()); !errors.Is(err, log.ErrClosed) {
			t.Errorf("Flush after Close: %v", err)
		}
		close(hung)
		synctest.Wait()
	})
}

func TestARecordThatCannotBeWrittenAloneIsDropped(t *testing.T) {
	d := &device{}
	d.write = func(_ context.Context, b log.Batch) (int, error) {
		for i, r := range b.Records() {
			if strings.Contains(string(r), "too large") {
				return i, fault.Markf(fault.TooLarge, "too large")
			}
			if strings.Contains(string(r), "panic") {
				panic("oops")
			}
		}
		return b.Len(), nil
	}
	l, _ := log.New(d.option("x"), quiet())
	for _, m := range []string{"a", "too large", "b", "too large", "c"} {
		l.Logger("").Info(m)
	}
	err := l.Flush(t.Context())
	if s := l.Stats()[0]; s.Dropped != 2 || d.count() != 3 || !errors.Is(err, log.ErrDropped) {
		t.Errorf("%+v, %d lines: %v", s, d.count(), err)
	}
	l.Logger("").Info("panic")
	err = l.Close(t.Context())
	if !errors.Is(err, log.ErrDropped) || !strings.Contains(l.Stats()[0].LastError, "oops") {
		t.Errorf("Close: %v", err)
	}
}

func TestPartsOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &device{}
		d.write = func(_ context.Context, b log.Batch) (int, error) { return min(7, b.Len()), errDown }
		l, _ := log.New(d.option("x"), quiet())
		for i := range 50 {
			l.Logger("").Info(fmt.Sprint(i))
		}
		time.Sleep(time.Hour)
		l.Close(t.Context())
		for i, line := range d.lines {
			if parse(t, line)["msg"] != fmt.Sprint(i) {
				t.Fatalf("line %d is %s", i, line)
			}
		}
		if len(d.lines) != 50 {
			t.Errorf("%d lines", len(d.lines))
		}
	})
}

// What the other side refuses for good is lost and counted, and the log goes on behind
// it. A driver that says it refused more than it took has refused that.
func TestRefusedRecordsAreCounted(t *testing.T) {
	cause := errors.New("bad field")
	for _, c := range []struct{ says, lost int }{{0, 0}, {1, 1}, {3, 3}, {4, 3}, {-1, 0}} {
		batches := 0
		d := &device{write: func(_ context.Context, b log.Batch) (int, error) {
			if batches++; batches > 1 { // the note of what was lost
				return b.Len(), nil
			}
			return b.Len(), log.WithRefused(cause, c.says)
		}}
		l, err := log.New(log.WithOutput(d.option("x"), log.BatchOf(1<<20, time.Hour)), quiet())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			l.Logger("").Info("x")
		}
		if err := l.Close(t.Context()); (err != nil) != (c.lost > 0) || err != nil && !errors.Is(err, log.ErrDropped) {
			t.Errorf("%d refused: Close: %v", c.says, err)
		}
		if s := l.Stats()[0]; int(s.Dropped) != c.lost || int(s.Written) != 3-c.lost+min(c.lost, 1) {
			t.Errorf("%d refused: %+v", c.says, s)
		}
	}
	if err := log.WithRefused(cause, 1); !errors.Is(err, cause) || err.Error() != cause.Error() {
		t.Errorf("the cause is %v", err)
	}
}

func TestErrorsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &device{}
		l, _ := log.New(log.WithOutput(d.option("x"), log.BatchOf(1<<20, time.Minute)))
		l.Logger("").Info("waits")
		synctest.Wait()
		if d.count() != 0 {
			t.Error("an info record did not wait")
		}
		l.Logger("").Error("now")
		synctest.Wait()
		if d.count() != 2 {
			t.Error("an error waited")
		}
		l.Logger("").Info("waits")
		time.Sleep(time.Minute)
		synctest.Wait()
		if d.count() != 3 {
			t.Error("not written after the delay")
		}
		l.Logger("").Log(t.Context(), log.LevelFatal, "sync")
		if d.count() != 4 {
			t.Error("a fatal record was not written before the call returned")
		}
		l.Close(t.Context())
	})
}

// slow is a writer that writes when it is told.
type slow struct {
	mu    sync.Mutex
	block chan struct{}
	lines int
}

func (s *slow) Write(b []byte) (int, error) {
	<-s.block
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines += strings.Count(string(b), "\n")
	return len(b), nil
}

func (s *slow) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines
}

func TestACallWaitsForItsErrorToBeWritten(t *testing.T) {
	for _, c := range []struct {
		name   string
		level  slog.Level
		opts   []log.Option
		remote bool
		waits  bool
	}{
		{"warn", slog.LevelWarn, nil, false, false},
		{"below error", slog.LevelError - 1, nil, false, false},
		{"error", slog.LevelError, nil, false, true},
		{"error, remote", slog.LevelError, nil, true, false},
		{"below fatal, remote", log.LevelFatal - 1, nil, true, false},
		{"fatal, remote", log.LevelFatal, nil, true, true},
		{"error, not asked for", slog.LevelError, []log.Option{log.WithSyncAt(log.LevelFatal)}, false, false},
		{"warn, asked for, remote", slog.LevelWarn, []log.Option{log.WithSyncAt(slog.LevelWarn)}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &slow{block: make(chan struct{})}
				output := log.ToWriter(w, log.JSON())
				if c.remote {
					output = (&device{write: func(_ context.Context, b log.Batch) (int, error) { w.Write(b.Data); return b.Len(), nil }}).option("x")
				}
				l, err := log.New(append(c.opts, output, quiet())...)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				go func() { time.Sleep(300 * time.Millisecond); close(w.block) }()
				l.Logger("").Log(t.Context(), c.level, "x")
				if took := time.Since(start); c.waits != (took == 300*time.Millisecond) || c.waits != (w.count() == 1) {
					t.Errorf("returned after %v with %d lines written", took, w.count())
				}
				time.Sleep(time.Second)
				l.Close(t.Context())
			})
		})
	}
}

func TestAnOutputThatHangsIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slow{block: make(chan struct{})}
		l, err := log.New(log.ToWriter(w, log.JSON()), quiet())
		if err != nil {
			t.Fatal(err)
		}
		call := func() time.Duration {
			start := time.Now()
			l.Logger("").Error("x")
			return time.Since(start)
		}
		if first, second := call(), call(); first != time.Second || second != 0 {
			t.Errorf("the first call took %v, the second %v", first, second)
		}
		close(w.block)
		time.Sleep(time.Second)
		if call(); w.count() != 3 {
			t.Errorf("%d lines when the call returned, though the output writes again", w.count())
		}
		l.Close(t.Context())
	})
}

func TestOpenFailsWhenAnOutputDoesNotAnswer(t *testing.T) {
	first, second := &device{}, &device{ping: errors.New("no route to 10.0.0.1")}
	l, err := log.New(first.option("first"), second.option("second"))
	if l != nil || !errors.Is(err, log.ErrUnavailable) || !strings.HasPrefix(err.Error(), "log/second: new: ") || first.closed != 1 || second.closed != 1 {
		t.Errorf("Open: %v; closed %d and %d", err, first.closed, second.closed)
	}
	l, err = log.New(second.option("second"), log.WithLazy())
	if err != nil {
		t.Fatal(err)
	}
	l.Close(t.Context())
}

func TestTwentyLogsLeaveNothing(t *testing.T) {
	for range 20 { // leak.Main counts the goroutines
		l, err := log.New((&device{}).option("x"), log.WithLevel("a", slog.LevelDebug))
		if err != nil {
			t.Fatal(err)
		}
		l.SetLevel("b", slog.LevelDebug, time.Hour)
		l.Logger("").Info("x")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := l.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

package log_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
			return b.Len(), log.Refused(cause, c.says)
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
	if err := log.Refused(cause, 1); !errors.Is(err, cause) || err.Error() != cause.Error() {
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

// A call waits for the outputs that take its record, all together for a second.
func TestACallWaitsForOutputsThatTakeTheRecord(t *testing.T) {
	hung := func(t *testing.T) log.Option {
		w := &slow{block: make(chan struct{})}
		t.Cleanup(func() { close(w.block) })
		return log.ToWriter(w, log.JSON())
	}
	for _, c := range []struct {
		name          string
		least         []slog.Level // of outputs that hang
		level         slog.Level
		first, second time.Duration
	}{
		{"takes it", []slog.Level{slog.LevelError}, slog.LevelError, time.Second, 0},
		{"does not take it", []slog.Level{slog.LevelError + 1}, slog.LevelError, 0, 0},
		{"two take it", []slog.Level{slog.LevelInfo, slog.LevelInfo}, slog.LevelError, time.Second, 0},
		{"one of two takes it", []slog.Level{log.LevelFatal, slog.LevelInfo}, slog.LevelError, time.Second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fine := &slow{block: make(chan struct{})}
				close(fine.block)
				opts := []log.Option{quiet(), log.ToWriter(fine, log.JSON())}
				for _, least := range c.least {
					opts = append(opts, log.WithOutput(hung(t), log.MinLevel(least)))
				}
				l, err := log.New(opts...)
				if err != nil {
					t.Fatal(err)
				}
				for i, want := range []time.Duration{c.first, c.second} {
					start := time.Now()
					l.Logger("").Log(t.Context(), c.level, "x")
					if took := time.Since(start); took != want || fine.count() != i+1 {
						t.Errorf("call %d took %v, want %v; the output that works has %d lines", i, took, want, fine.count())
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				l.Close(ctx)
			})
		})
	}
}

// The pauses between attempts grow to a second for outputs of this machine, and
// to thirty for others.
func TestPausesBetweenAttempts(t *testing.T) {
	for name, longest := range map[string]time.Duration{"local": time.Second, "remote": 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := &failing{err: errDown}
			output := log.ToWriter(w, log.JSON())
			if name == "remote" {
				output = (&device{write: func(_ context.Context, b log.Batch) (int, error) { _, err := w.Write(b.Data); return 0, err }}).option("x")
			}
			l, err := log.New(output, quiet())
			if err != nil {
				t.Fatal(err)
			}
			l.Logger("").Info("x")
			time.Sleep(time.Hour)
			w.mu.Lock()
			attempts := len(w.calls)
			w.mu.Unlock()
			if least, most := int(time.Hour/longest), 3*int(time.Hour/longest); attempts < least || attempts > most {
				t.Errorf("%s: %d attempts in an hour, want %d to %d", name, attempts, least, most)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			l.Close(ctx)
		})
	}
}

// failing is a writer that takes some bytes of each call and then fails, or says
// nothing of it.
type failing struct {
	takes int // of a call; 0: none
	err   error

	mu    sync.Mutex
	got   strings.Builder
	calls []int // how long each was
}

func (f *failing) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, len(b))
	n := min(len(b), f.takes)
	f.got.Write(b[:n])
	if n < len(b) {
		return n, f.err
	}
	return n, nil
}

// A writer that takes a part of what it is given gets the rest later, whether it
// says an error or not: its stream is whole. What it said is what the log says.
func TestAWriterThatTakesAPart(t *testing.T) {
	for says, c := range map[string]struct {
		err   error
		takes []int
	}{"broken pipe": {errors.New("broken pipe"), []int{1, 7, 45, 46, 100, 1000}}, "short write": {nil, []int{1, 7, 45, 46, 100, 1000}}} {
		for _, takes := range c.takes {
			synctest.Test(t, func(t *testing.T) {
				w := &failing{takes: takes, err: c.err}
				l, err := log.New(log.ToWriter(w, counting{"", new(int)}), quiet())
				if err != nil {
					t.Fatal(err)
				}
				want := ""
				for i := range 5 {
					r := slog.NewRecord(time.Time{}, slog.LevelInfo, fmt.Sprintf("%030d", i), 0) // 46 bytes with its line's end
					l.Logger("").Handler().Handle(t.Context(), r)
					want += "level=INFO msg=" + r.Message + "\n"
				}
				time.Sleep(time.Hour)
				if s := l.Stats()[0]; w.got.String() != want || s.Written != 5 || s.Dropped != 0 || takes < 230 != strings.Contains(s.LastError, says) {
					t.Errorf("%s, %d bytes at a time: %+v, got %q", says, takes, s, w.got.String())
				}
				if err := l.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A write to a connection that nobody reads ends with its time, and with Close.
// When somebody reads again the log goes on; the connection is its owner's, who
// can write to it at any time afterwards.
func TestAConnectionThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		var mu sync.Mutex
		var told []time.Duration
		start := time.Now()
		l, err := log.New(log.WithOutput(log.ToWriter(ours, log.JSON()), log.WriteTimeout(3*time.Second)), log.WithErrors(func(string, error) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, time.Since(start))
		}))
		if err != nil {
			t.Fatal(err)
		}
		l.Logger("").Info("first")
		time.Sleep(20 * time.Second)
		mu.Lock()
		if s := l.Stats()[0]; len(told) != 1 || told[0] != 3010*time.Millisecond || s.Retries < 3 || s.Written != 0 {
			t.Errorf("while nobody reads: told after %v, %+v", told, s)
		}
		mu.Unlock()
		lines := make(chan string)
		go func() {
			defer close(lines)
			in := bufio.NewScanner(theirs)
			for in.Scan() {
				lines <- in.Text()
			}
		}()
		if line := <-lines; !strings.Contains(line, "first") {
			t.Errorf("the first line is %s", line)
		}
		if err := l.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		go ours.Write([]byte("the owner\n"))
		if line := <-lines; line != "the owner" {
			t.Errorf("the owner's line is %q", line)
		}
		l.Logger("").Info("second")
		if line := <-lines; !strings.Contains(line, "second") {
			t.Errorf("the last line is %s", line)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		go ours.Write([]byte("after Close\n"))
		if line := <-lines; line != "after Close" {
			t.Errorf("the owner's line is %q", line)
		}
		ours.Close()
		for range lines {
			t.Error("one line more")
		}
	})
}

// Close ends a write to a connection that nobody reads.
func TestCloseEndsAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		l, err := log.New(log.WithOutput(log.ToWriter(ours, log.JSON()), log.WriteTimeout(time.Hour)), quiet())
		if err != nil {
			t.Fatal(err)
		}
		l.Logger("").Info("x")
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := l.Close(ctx); !errors.Is(err, log.ErrDropped) || time.Since(start) != time.Second {
			t.Errorf("Close took %v: %v", time.Since(start), err)
		}
	})
}

// An error that exits is written first, to every output, from its level on.
func TestExitBeginsAtItsLevel(t *testing.T) {
	remote := &device{}
	var codes []int
	written := 0
	l, err := log.New(remote.option("x"), log.WithExit(slog.LevelWarn, func(code int) { codes, written = append(codes, code), remote.count() }))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(t.Context())
	for level, want := range map[slog.Level]int{slog.LevelWarn - 1: 0, slog.LevelWarn: 1, slog.LevelWarn + 1: 1} {
		before := remote.count()
		codes = nil
		l.Logger("").Log(t.Context(), level, "x")
		if len(codes) != want || want == 1 && (codes[0] != 1 || written <= before) {
			t.Errorf("level %d: exit%v with %d records written", level, codes, written)
		}
	}
}

// A place may log n records a period, which begins with the first; a clock that
// goes back begins another. Records without a time have that of the call.
func TestThePeriodOfARateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, records := open(t, log.WithRateLimit(2, time.Second))
		h := l.Logger("").Handler()
		began := time.Now()
		for i, c := range []struct {
			at   time.Duration // -1: no time
			pc   uintptr
			pass bool
			lost float64
		}{
			{0, 1, true, 0}, {0, 1, true, 0}, {0, 1, false, 0}, {999 * time.Millisecond, 1, false, 0},
			{999 * time.Millisecond, 2, true, 0},
			{time.Second, 1, true, 2}, {1999 * time.Millisecond, 1, true, 0}, {1999 * time.Millisecond, 1, false, 0},
			{3 * time.Second, 1, true, 1}, {3 * time.Second, 1, true, 0},
			{2 * time.Second, 1, true, 0}, {2 * time.Second, 1, true, 0}, {2 * time.Second, 1, false, 0},
			{-1, 3, true, 0}, {-1, 3, true, 0}, {-1, 3, false, 0}, {0, 3, false, 0},
		} {
			r := slog.NewRecord(began.Add(c.at), slog.LevelInfo, fmt.Sprint("m", i), c.pc)
			if c.at < 0 {
				r.Time = time.Time{}
			}
			h.Handle(t.Context(), r)
			lines := records()
			passed := len(lines) > 0 && parse(t, lines[len(lines)-1])["msg"] == r.Message
			if passed != c.pass {
				t.Fatalf("record %d passed: %v", i, passed)
			}
			if !passed {
				continue
			}
			if lost, _ := parse(t, lines[len(lines)-1])["suppressed"].(float64); lost != c.lost {
				t.Errorf("record %d: %v were suppressed, want %v", i, lost, c.lost)
			}
		}
		for range 5 {
			h.Handle(t.Context(), slog.NewRecord(began, log.LevelFatal-1, "almost fatal", 4))
			h.Handle(t.Context(), slog.NewRecord(began, log.LevelFatal, "truly fatal", 4))
		}
		all := strings.Join(records(), "")
		if strings.Count(all, "almost") != 2 || strings.Count(all, "truly") != 5 {
			t.Errorf("%s", all)
		}
	})
}

// A Recorder keeps at most its number of records, the newest ones, in order.
func TestARecorderAtItsLimit(t *testing.T) {
	for _, c := range []struct{ most, kept int }{{-1, 1000}, {0, 1000}, {1, 1}, {3, 3}} {
		for _, n := range []int{0, 1, c.kept - 1, c.kept, c.kept + 1, 2*c.kept + 1} {
			m := log.NewRecorder(c.most, nil)
			l, err := log.New(log.WithOutput(log.Memory(m), log.QueueBytes(1<<30)))
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				l.Logger("").Info(fmt.Sprint(i))
			}
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := m.Records()
			if len(got) != min(n, c.kept) {
				t.Errorf("%d of %d records are kept by a recorder of %d", len(got), n, c.most)
			}
			for i, line := range got {
				if want := fmt.Sprint(n - len(got) + i); parse(t, line)["msg"] != want {
					t.Fatalf("record %d is %s, want %s", i, line, want)
				}
			}
		}
	}
}

// What keeps an output from opening has a kind and its own words.
func TestAnOutputThatDoesNotOpen(t *testing.T) {
	fails := func(err error) log.Option {
		return log.WithDriver("x", func(context.Context) (log.Driver, error) { return nil, err })
	}
	for says, c := range map[string]struct {
		opt  log.Option
		kind error
	}{
		"no such device":           {fails(errors.New("no such device")), log.ErrUnavailable},
		"no such option":           {fails(fault.Markf(fault.Invalid, "no such option")), log.ErrInvalid},
		"refused":                  {fails(fault.Markf(fault.Unavailable, "refused")), log.ErrUnavailable},
		"no writer or no encoding": {log.ToWriter(nil, log.JSON()), log.ErrInvalid},
	} {
		l, err := log.New(c.opt)
		if l != nil || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %v", says, err, c.kind)
		}
	}
}

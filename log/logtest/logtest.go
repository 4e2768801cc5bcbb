// Package logtest is the conformance suite of outputs: what a driver of package
// log has to bring to where its records go.
//
//	func TestConformance(t *testing.T) {
//		logtest.Run(t, logtest.Harness{Output: …, Read: …})
//	}
package logtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/log"
)

// Harness is one output.
type Harness struct {
	// Output returns the option of an output that is up, and how to read what
	// reached it: one string a record, in which each attribute's value and the
	// message stand as they are. It needs not wait. Both are new for each case.
	Output func(t testing.TB) (option log.Option, read func() []string)
	// Down returns the option of an output that can't be reached; nil leaves
	// its cases out.
	Down func(t testing.TB) log.Option
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	leak.Check(t)
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"every record arrives, in order", h.inOrder},
		{"records of many goroutines all arrive", h.many},
		{"odd text does not break the stream", h.oddText},
		{"what waits arrives at Close", h.close},
		{"logging after Close is counted", h.after},
		{"an output that is down", h.down},
	} {
		t.Run(c.name, c.run)
	}
}

func (h Harness) open(t testing.TB) (log.Log, func(n int) []string) {
	t.Helper()
	option, read := h.Output(t)
	l, err := log.New(option, log.WithErrors(func(string, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		l.Close(ctx)
	})
	return l, func(n int) []string {
		t.Helper()
		var got []string
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			got = read()
			if len(got) >= n || time.Now().After(deadline) {
				break
			}
		}
		if len(got) != n {
			t.Fatalf("%d records arrived, want %d", len(got), n)
		}
		return got
	}
}

func flush(t testing.TB, l log.Log) {
	t.Helper()
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (h Harness) inOrder(t *testing.T) {
	l, read := h.open(t)
	lg := l.Logger("suite").With("fixed", "fixed-value").WithGroup("g")
	for i := range 300 {
		lg.Info(fmt.Sprintf("message-%d.", i), "k", fmt.Sprintf("value-%d.", i))
	}
	flush(t, l)
	for i, r := range read(300) {
		for _, want := range []string{fmt.Sprintf("message-%d.", i), fmt.Sprintf("value-%d.", i), "fixed-value", "suite"} {
			if !strings.Contains(r, want) {
				t.Fatalf("record %d is %s, without %s", i, r, want)
			}
		}
	}
	if s := l.Stats()[0]; s.Accepted != 300 || s.Written != 300 || s.Dropped != 0 || s.QueueBytes != 0 || s.WrittenBytes == 0 {
		t.Errorf("%+v", s)
	}
}

func (h Harness) many(t *testing.T) {
	l, read := h.open(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				l.Logger("").Warn("many", "k", fmt.Sprintf("id-%d-%d.", i, j))
			}
		})
	}
	wg.Wait()
	flush(t, l)
	seen := map[string]int{}
	for _, r := range read(800) {
		_, id, _ := strings.Cut(r, "id-")
		id, _, _ = strings.Cut(id, ".")
		seen[id]++
	}
	for i := range 8 {
		for j := range 100 {
			if id := fmt.Sprintf("%d-%d", i, j); seen[id] != 1 {
				t.Fatalf("id-%s arrived %d times", id, seen[id])
			}
		}
	}
}

func (h Harness) oddText(t *testing.T) {
	l, read := h.open(t)
	odd := []string{"", "\n", "a\r\nb", "\x00", "\xff", "\u2028", `"}{"`, "<1>1 - -", strings.Repeat("ü", 3000)}
	for _, s := range odd {
		l.Logger("").Info(s, s, s, slog.Group(s, slog.String(s, s)))
	}
	l.Logger("").Info("the end")
	flush(t, l)
	if got := read(len(odd) + 1); !strings.Contains(got[len(odd)], "the end") {
		t.Errorf("the last record is %s", got[len(odd)])
	}
}

func (h Harness) close(t *testing.T) {
	l, read := h.open(t)
	for range 50 {
		l.Logger("").Info("last words")
	}
	if err := errors.Join(l.Close(t.Context()), l.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	read(50)
}

func (h Harness) after(t *testing.T) {
	l, _ := h.open(t)
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Logger("").Error("too late")
	if s := l.Stats()[0]; s.Dropped != 1 || s.Accepted != 0 {
		t.Errorf("%+v", s)
	}
	if err := l.Flush(t.Context()); !errors.Is(err, log.ErrClosed) {
		t.Errorf("Flush: %v, want ErrClosed", err)
	}
}

func (h Harness) down(t *testing.T) {
	if h.Down == nil {
		t.Skip("this output can't be down")
	}
	if l, err := log.New(h.Down(t), log.WithDialTimeout(2*time.Second)); !errors.Is(err, log.ErrUnavailable) || l != nil {
		t.Errorf("Open: %v, want ErrUnavailable", err)
	}
	l, err := log.New(h.Down(t), log.WithLazy(), log.WithErrors(func(string, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	l.Logger("").Error("lost")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); !errors.Is(err, log.ErrDropped) {
		t.Errorf("Close: %v, want ErrDropped", err)
	}
}

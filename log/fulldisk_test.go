//go:build unix

package log_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
)

// limit bounds the size of the files that this process writes: a write that
// would exceed it is cut short, and the next one fails, as on a full disk.
func limit(bytes uint64) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		panic(err)
	}
	l.Cur = min(bytes, l.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
		panic(err)
	}
}

// fullDisk is a process that logs lines to a disk that is full when the file has
// 5000 bytes, or LOG_LIMIT, says so on stdout, waits for a line on stdin, and goes on with room.
func fullDisk() {
	opt := log.ToFile(os.Getenv("LOG_PATH"))
	if os.Getenv("LOG_QUEUE") != "" {
		opt = log.Route(opt, log.QueueBytes(8000), log.BatchOf(1000, 0))
	}
	l, err := log.Open(opt)
	if err != nil {
		panic(err)
	}
	say := func(n int) {
		l.Logger("").Info(strings.Repeat("x", 40), "who", os.Getenv("LOG_WHO"), "n", n)
	}
	room, err := strconv.ParseUint(cmp.Or(os.Getenv("LOG_LIMIT"), "5000"), 10, 64)
	if err != nil {
		panic(err)
	}
	limit(room)
	for n := range 500 {
		say(n)
	}
	l.Logger("").Error("an error waits, but not for long")
	s := l.Stats()[0]
	for s.Retries < 4 { // each could be a complaint
		time.Sleep(time.Millisecond)
		s = l.Stats()[0]
	}
	json.NewEncoder(os.Stdout).Encode(s)
	bufio.NewReader(os.Stdin).ReadString('\n')
	limit(1 << 40)
	for n := range 100 {
		if n%20 == 0 { // what a small queue holds
			if err := l.Flush(context.Background()); err != nil && !errors.Is(err, log.ErrDropped) {
				panic(err)
			}
		}
		say(500 + n)
	}
	if err := l.Close(context.Background()); err != nil && !errors.Is(err, log.ErrDropped) {
		panic(err)
	}
	json.NewEncoder(os.Stdout).Encode(l.Stats()[0])
}

// full is a process of role "full", once its disk is full.
type full struct {
	while log.OutputStats
	goOn  func() (after log.OutputStats, stderr string)
}

func startFull(t *testing.T, env ...string) full {
	t.Helper()
	cmd := child(t, "full", env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	stats := json.NewDecoder(out)
	read := func() (s log.OutputStats) {
		t.Helper()
		if err := stats.Decode(&s); err != nil {
			t.Fatalf("%v; stderr: %s", err, stderr.String())
		}
		return s
	}
	return full{read(), func() (log.OutputStats, string) {
		fmt.Fprintln(in)
		after := read()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		return after, stderr.String()
	}}
}

// wholeLines counts the records of each process by number, and the lines that
// are no records.
func wholeLines(t *testing.T, path string) (seen map[string]int, torn []string, noted int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen = map[string]int{}
	for line := range strings.Lines(string(b)) {
		var r struct {
			Msg, Who   string
			N, Dropped int
		}
		switch err := json.Unmarshal([]byte(line), &r); {
		case err != nil:
			torn = append(torn, line)
		case r.Msg == "log: records dropped":
			noted += r.Dropped
		case r.Who != "":
			seen[fmt.Sprint(r.Who, r.N)]++
		}
	}
	return seen, torn, noted
}

func TestAFullDiskLosesNothingWhileTheQueueHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	p := startFull(t, "LOG_PATH="+path, "LOG_WHO=a")
	if p.while.Written == 0 || p.while.Written > 60 || p.while.Dropped != 0 || !strings.Contains(p.while.LastError, "file too large") {
		t.Errorf("while the disk is full: %+v", p.while)
	}
	after, stderr := p.goOn()
	if after.Dropped != 0 || after.Written != 601 {
		t.Errorf("afterwards: %+v", after)
	}
	if n := strings.Count(stderr, "\n"); n != 1 || !strings.Contains(stderr, "file too large") {
		t.Errorf("stderr has %d lines, want one: %s", n, stderr)
	}
	seen, torn, _ := wholeLines(t, path)
	for n := range 600 {
		if k := fmt.Sprint("a", n); seen[k] != 1 {
			t.Fatalf("record %d is there %d times", n, seen[k])
		}
	}
	if len(torn) > 0 {
		t.Errorf("torn lines: %q", torn)
	}
}

func TestAFullDiskSaysWhatItLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	p := startFull(t, "LOG_PATH="+path, "LOG_WHO=a", "LOG_QUEUE=small")
	if p.while.Dropped < 100 {
		t.Errorf("while the disk is full: %+v", p.while)
	}
	after, stderr := p.goOn()
	seen, torn, noted := wholeLines(t, path)
	lost := 0
	for n := range 600 {
		switch seen[fmt.Sprint("a", n)] {
		case 0:
			lost++
		case 1:
		default:
			t.Errorf("record %d is there twice", n)
		}
		if n >= 500 && seen[fmt.Sprint("a", n)] != 1 {
			t.Errorf("record %d is not there, though there was room again", n)
		}
	}
	// The error between them may be lost too.
	if len(torn) > 0 || noted != int(after.Dropped) || noted-lost > 1 || noted < lost {
		t.Errorf("%d records are missing; the stream says %d and the stats %d; torn: %q", lost, noted, after.Dropped, torn)
	}
	if n := strings.Count(stderr, "\n"); n == 0 || n > 2 || !strings.Contains(stderr, "file too large") {
		t.Errorf("stderr has %d lines, want one or two: %s", n, stderr)
	}
}

// A record that a full disk cut in the middle makes no line of another process
// unreadable, whether that one has the file open or opens it then.
func TestAFullDiskTearsNoLineOfAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	open := func() (log.Log, *slog.Logger) {
		l, err := log.Open(log.ToFile(path))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close(context.Background()) })
		return l, l.Logger("", slog.String("who", "b"))
	}
	first, b := open()
	b.Info("before", "n", 0)
	if err := first.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := startFull(t, "LOG_PATH="+path, "LOG_WHO=a")
	tears := func(n int) {
		t.Helper()
		if _, torn, _ := wholeLines(t, path); len(torn) != n {
			t.Fatalf("%d torn lines, want %d: %q", len(torn), n, torn)
		}
	}
	tears(1)
	second, later := open()
	later.Info("opened it", "n", 1)
	if err := second.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	q := startFull(t, "LOG_PATH="+path, "LOG_WHO=c", "LOG_LIMIT=8000")
	tears(2)
	b.Info("had it open", "n", 2)
	if err := first.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.goOn()
	q.goOn()
	seen, torn, _ := wholeLines(t, path)
	for n := range 600 {
		for _, who := range []string{"a", "b", "c"} {
			if k := fmt.Sprint(who, n); seen[k] != 1 && (who != "b" || n < 3) {
				t.Fatalf("record %d of %s is there %d times", n, who, seen[k])
			}
		}
	}
	if len(torn) != 2 {
		t.Errorf("%d torn lines, want the two that the full disk cut: %q", len(torn), torn)
	}
}

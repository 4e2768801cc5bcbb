//go:build unix

package log_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// fullDisk is a process that, with LOG_WAIT once it reads a line, logs lines to a disk that is full when the file has
// 5000 bytes, or LOG_LIMIT, says so on stdout, waits for a line on stdin, and goes on with room.
func fullDisk() {
	opt := log.ToFile(os.Getenv("LOG_PATH"))
	if os.Getenv("LOG_QUEUE") != "" {
		opt = log.WithOutput(opt, log.QueueBytes(8000), log.BatchOf(1000, 0))
	}
	l, err := log.New(opt)
	if err != nil {
		panic(err)
	}
	in := bufio.NewReader(os.Stdin)
	if os.Getenv("LOG_WAIT") != "" {
		in.ReadString('\n')
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
	in.ReadString('\n')
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

// full is a process of role "full".
type full struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.Writer
	stats  *json.Decoder
	stderr *strings.Builder
}

func startFull(t *testing.T, env ...string) *full {
	t.Helper()
	p := &full{t: t, cmd: child(t, "full", env...), stderr: &strings.Builder{}}
	p.cmd.Stderr = p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	p.in, p.stats = in, json.NewDecoder(out)
	return p
}

// read returns what the process says: when its disk is full, and at its end.
func (p *full) read() (s log.OutputStats) {
	p.t.Helper()
	if err := p.stats.Decode(&s); err != nil {
		p.t.Fatalf("%v; stderr: %s", err, p.stderr)
	}
	return s
}

// goOn frees the disk of the process and waits for its end.
func (p *full) goOn() log.OutputStats {
	p.t.Helper()
	fmt.Fprintln(p.in)
	after := p.read()
	if err := p.cmd.Wait(); err != nil {
		p.t.Error(err)
	}
	return after
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
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	p := startFull(t, "LOG_PATH="+path, "LOG_WHO=a")
	if s := p.read(); s.Written == 0 || s.Written > 60 || s.Dropped != 0 || !strings.Contains(s.LastError, "file too large") {
		t.Errorf("while the disk is full: %+v", s)
	}
	after, stderr := p.goOn(), p.stderr.String()
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
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	p := startFull(t, "LOG_PATH="+path, "LOG_WHO=a", "LOG_QUEUE=small")
	if s := p.read(); s.Dropped < 100 {
		t.Errorf("while the disk is full: %+v", s)
	}
	after, stderr := p.goOn(), p.stderr.String()
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
// unreadable, whether that one met the full disk too or comes afterwards.
func TestAFullDiskTearsNoLineOfAnotherProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	met := startFull(t, "LOG_PATH="+path, "LOG_WHO=b", "LOG_WAIT=1")
	cut := startFull(t, "LOG_PATH="+path, "LOG_WHO=a")
	cut.read()
	if _, torn, _ := wholeLines(t, path); len(torn) != 1 {
		t.Fatalf("%d torn lines, want the last one: %q", len(torn), torn)
	}
	fmt.Fprintln(met.in)
	met.read()
	later, err := log.New(log.ToFile(path))
	if err != nil {
		t.Fatal(err)
	}
	later.Logger("").Info("opened afterwards", "who", "c", "n", 0)
	if err := later.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	met.goOn()
	cut.goOn()
	seen, torn, _ := wholeLines(t, path)
	for n := range 600 {
		for _, who := range []string{"a", "b"} {
			if k := fmt.Sprint(who, n); seen[k] != 1 {
				t.Fatalf("record %d of %s is there %d times", n, who, seen[k])
			}
		}
	}
	if seen["c0"] != 1 || len(torn) != 1 {
		t.Errorf("the record of a process that came afterwards is there %d times; torn lines: %q", seen["c0"], torn)
	}
}

// The process that was cut goes on first: it knows how its record goes on. And
// one that met the full disk goes on first: the cut record is written whole.
func TestAFullDiskAndWhoGoesOnFirst(t *testing.T) {
	t.Parallel()
	for first, tornLines := range map[string]int{"cut": 0, "met": 1} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "app.log")
			met := startFull(t, "LOG_PATH="+path, "LOG_WHO=b", "LOG_WAIT=1")
			cut := startFull(t, "LOG_PATH="+path, "LOG_WHO=a")
			cut.read()
			fmt.Fprintln(met.in)
			met.read()
			order := []*full{met, cut}
			if first == "cut" {
				slices.Reverse(order)
			}
			for _, p := range order {
				p.goOn()
			}
			seen, torn, _ := wholeLines(t, path)
			for n := range 600 {
				for _, who := range []string{"a", "b"} {
					if k := fmt.Sprint(who, n); seen[k] != 1 {
						t.Fatalf("record %d of %s is there %d times", n, who, seen[k])
					}
				}
			}
			if len(torn) != tornLines {
				t.Errorf("%d torn lines, want %d: %q", len(torn), tornLines, torn)
			}
		})
	}
}

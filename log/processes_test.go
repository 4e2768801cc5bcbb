package log_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
)

// child returns this test program as another process that logs.
func child(t *testing.T, role string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), append(env, "LOG_CHILD="+role)...)
	return cmd
}

// acknowledged logs an error and returns when it is written. A call waits for a
// second, which a write can take on a machine that is very busy.
func acknowledged(l log.Log, message string, args ...any) {
	start := time.Now()
	l.Logger("").Error(message, args...)
	if time.Since(start) >= time.Second {
		if err := l.Flush(context.Background()); err != nil {
			os.Exit(6)
		}
	}
}

// TestChild is the body of the other processes.
func TestChild(t *testing.T) {
	switch role := os.Getenv("LOG_CHILD"); role {
	case "":
		return // not a child
	case "exit":
		l, err := log.New()
		if err != nil {
			os.Exit(3)
		}
		acknowledged(l, "the last words")
		os.Exit(1)
	case "exit-file":
		l, err := log.New(log.ToFile(os.Getenv("LOG_PATH")))
		if err != nil {
			os.Exit(3)
		}
		acknowledged(l, "the last words")
		os.Exit(1)
	case "full":
		fullDisk()
		os.Exit(0)
	case "acknowledge":
		l, err := log.New(log.ToFile(os.Getenv("LOG_PATH"), log.RotateSize(5_000), log.Compress()))
		if err != nil {
			os.Exit(3)
		}
		for i := 0; ; i++ {
			acknowledged(l, strings.Repeat("x", 40), "who", os.Getenv("LOG_WHO"), "n", i)
			fmt.Println(i)
		}
	case "rotate":
		l, err := log.New(log.ToFile(os.Getenv("LOG_PATH"), log.RotateSize(20_000), log.Compress()))
		if err != nil {
			os.Exit(3)
		}
		for i := range 5000 {
			l.Logger("").Info(strings.Repeat("x", 40), "who", os.Getenv("LOG_WHO"), "n", i)
			if i%50 == 0 {
				if err := l.Flush(context.Background()); err != nil {
					os.Exit(4)
				}
			}
		}
		if err := l.Close(context.Background()); err != nil {
			os.Exit(5)
		}
		os.Exit(0)
	}
}

func TestAnErrorIsWrittenBeforeTheProcessExits(t *testing.T) {
	for range 20 {
		out, err := child(t, "exit").Output()
		if code := err.(*exec.ExitError).ExitCode(); code != 1 || strings.Count(string(out), "the last words") != 1 {
			t.Fatalf("exit code %d, stdout %q", code, out)
		}
		path := filepath.Join(t.TempDir(), "app.log")
		_ = child(t, "exit-file", "LOG_PATH="+path).Run()
		if b, err := os.ReadFile(path); err != nil || strings.Count(string(b), "the last words") != 1 {
			t.Fatalf("the file has %q, %v", b, err)
		}
	}
}

// Two processes append to one file, rotate and compress it: every line of both
// is on the disk once, each process's in order.
func TestTwoProcessesRotateAndCompressOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	both := []*exec.Cmd{}
	for _, who := range []string{"a", "b"} {
		cmd := child(t, "rotate", "LOG_PATH="+path, "LOG_WHO="+who)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		both = append(both, cmd)
	}
	for _, cmd := range both {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	for _, line := range log.LinesOf(t, path) {
		seen[line[strings.Index(line, `"who"`):]]++
	}
	for _, who := range []string{"a", "b"} {
		for n := range 5000 {
			if key := fmt.Sprintf(`"who":%q,"n":%d}`, who, n); seen[key] != 1 {
				t.Fatalf("%s is there %d times", key, seen[key])
			}
		}
	}
}

// Two processes log errors to one file, rotate and compress it, and are killed,
// each at another moment: what a call of Error returned for is on the disk, once.
func TestWhatWasAcknowledgedOutlivesAKilledProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	type writer struct {
		cmd   *exec.Cmd
		acked *bufio.Scanner
		who   string
		last  int
	}
	start := func(who string) *writer {
		cmd := child(t, "acknowledge", "LOG_PATH="+path, "LOG_WHO="+who)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return &writer{cmd: cmd, acked: bufio.NewScanner(out), who: who, last: -1}
	}
	// read reads acknowledgements up to n, or to the last.
	read := func(w *writer, n int) {
		for w.last < n && w.acked.Scan() {
			w.last, _ = strconv.Atoi(w.acked.Text())
		}
	}
	var all []*writer
	for i := range 8 {
		all = append(all, start(fmt.Sprint("p", i)))
		if i == 0 {
			continue
		}
		read(all[i], 30)
		victim := all[i-1]
		read(victim, 100+37*i)
		if err := victim.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		read(victim, math.MaxInt)
		victim.cmd.Wait()
	}
	last := all[len(all)-1]
	read(last, 100)
	last.cmd.Process.Kill()
	read(last, math.MaxInt)
	last.cmd.Wait()
	l, err := log.New(log.ToFile(path, log.Compress())) // finishes what they had begun
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, line := range log.LinesOf(t, path) {
		_, key, _ := strings.Cut(line, `"who":`)
		seen[key]++
	}
	for _, w := range all {
		if w.last < 100 {
			t.Errorf("%s acknowledged %d records only", w.who, w.last)
		}
		for n := range w.last + 1 {
			if key := fmt.Sprintf("%q,\"n\":%d}", w.who, n); seen[key] != 1 {
				t.Fatalf("record %d of %s, which acknowledged %d, is there %d times", n, w.who, w.last, seen[key])
			}
		}
	}
}

// A process that holds a rotated file may be about to write into it: the file is
// compressed only afterwards.
func TestAFileThatAnotherProcessHoldsIsNotCompressed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	open := func() (log.Log, *slog.Logger) {
		l, err := log.New(log.ToFile(path, log.RotateSize(300), log.Compress()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close(context.Background()) })
		return l, l.Logger("")
	}
	older, old := open()
	newer, young := open()
	for i := range 10 {
		young.Info("young", "n", i)
		newer.Flush(t.Context())
	}
	uncompressed := func() []string {
		left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "app-*.log"))
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	first := slices.Min(append(uncompressed(), "app-9"))
	until(t, "the files that nobody holds are compressed", func() bool { return len(uncompressed()) <= 1 })
	if left := uncompressed(); len(left) != 1 || left[0] != first {
		t.Fatalf("uncompressed are %q, want only %s, which another process holds", left, first)
	}
	old.Info("old", "n", 0)
	older.Flush(t.Context())
	older.Close(t.Context())
	until(t, "the file is compressed once it is free", func() bool {
		young.Info("young", "again", true)
		newer.Flush(t.Context())
		return !slices.Contains(uncompressed(), first)
	})
	newer.Close(t.Context())
	lines := strings.Join(log.LinesOf(t, path), "\n")
	if strings.Count(lines, `"msg":"old"`) != 1 || strings.Count(lines, `"n":9}`) != 1 {
		t.Errorf("lines are missing:\n%s", lines)
	}
}

// until polls for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

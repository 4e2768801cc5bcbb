package log_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// TestChild is the body of the other processes.
func TestChild(t *testing.T) {
	switch role := os.Getenv("LOG_CHILD"); role {
	case "":
		return // not a child
	case "exit":
		l, err := log.Open()
		if err != nil {
			os.Exit(3)
		}
		l.Logger("").Error("the last words")
		os.Exit(1)
	case "exit-file":
		l, err := log.Open(log.ToFile(os.Getenv("LOG_PATH")))
		if err != nil {
			os.Exit(3)
		}
		l.Logger("").Error("the last words")
		os.Exit(1)
	case "rotate":
		l, err := log.Open(log.ToFile(os.Getenv("LOG_PATH"), log.RotateSize(20_000), log.Compress()))
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

// A process that still holds a rotated file goes on writing into it for a
// second: the file is compressed only afterwards.
func TestAFileThatAnotherProcessHoldsIsNotCompressed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	open := func() (log.Log, *slog.Logger) {
		l, err := log.Open(log.ToFile(path, log.RotateSize(300), log.Compress()))
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
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const sample = `package sample

import (
	"os"
	"testing"
)

func TestSound(t *testing.T) {}

// TestEverySecond fails in each second run.
func TestEverySecond(t *testing.T) {
	runs, _ := os.ReadFile("runs")
	err := os.WriteFile("runs", append(runs, '.'), 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("part", func(t *testing.T) {
		if len(runs)%2 == 1 {
			t.Error("the second of two")
		}
	})
}
`

func TestSaysWhatFailedAndHowOften(t *testing.T) {
	for _, c := range []struct {
		run    string
		failed bool
		says   []string
	}{
		{"", true, []string{"2 of 4 runs failed", "   2  TestEverySecond/part\n"}},
		{"Sound", false, []string{"0 of 4 runs failed"}},
	} {
		dir, keep := t.TempDir(), filepath.Join(t.TempDir(), "kept")
		write(t, filepath.Join(dir, "go.mod"), "module sample\n\ngo 1.25\n")
		write(t, filepath.Join(dir, "sample_test.go"), sample)
		t.Chdir(dir)
		var out strings.Builder
		failed, err := stress(context.Background(), &out, []string{"."}, options{n: 4, run: c.run, keep: keep, timeout: time.Minute})
		if err != nil || failed != c.failed {
			t.Fatalf("-run %q: failed %t, error %v; want failed %t\n%s", c.run, failed, err, c.failed, &out)
		}
		for _, want := range c.says {
			if !strings.Contains(out.String(), want) {
				t.Errorf("-run %q printed\n%swhich lacks %q", c.run, &out, want)
			}
		}
		if strings.Contains(out.String(), "TestSound\n") {
			t.Errorf("-run %q blamed a sound test:\n%s", c.run, &out)
		}
		texts, err := filepath.Glob(filepath.Join(keep, "*.txt"))
		if err != nil || len(texts) > 0 != c.failed {
			t.Fatalf("-run %q kept %v, %v", c.run, texts, err)
		}
		for _, path := range texts {
			text, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(text), "the second of two") {
				t.Errorf("%s: %v\n%s", path, err, text)
			}
		}
	}
}

func TestCodeThatDoesNotCompileIsAnError(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module sample\n\ngo 1.25\n")
	write(t, filepath.Join(dir, "sample_test.go"), "package sample\n\nfunc broken() { missing() }\n")
	t.Chdir(dir)
	var out strings.Builder
	failed, err := stress(context.Background(), &out, []string{"."}, options{n: 1, keep: t.TempDir(), timeout: time.Minute})
	if err == nil || failed {
		t.Errorf("failed %t, error %v", failed, err)
	}
}

func TestFailuresNamesTheDeepestAndWhatElseEndedARun(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/b (0.00s)\n        --- FAIL: TestA/b/c (0.00s)\nFAIL\n", "TestA/b/c"},
		{"--- FAIL: TestA (0.00s)\n--- FAIL: TestAB (0.00s)\n", "TestA, TestAB"},
		{"panic: test timed out after 1s\n", "panic: test timed out after 1s"},
		{"WARNING: DATA RACE\n--- FAIL: TestA (0.00s)\n", "TestA, WARNING: DATA RACE"},
		{"ok\n3 goroutines leaked:\n", "3 goroutines leaked"},
		{"--- PASS: TestA (0.00s)\nexit\n", "(no test: see what the run printed)"},
	} {
		got := strings.Join(failures(c.text), ", ")
		if got != c.want {
			t.Errorf("failures of\n%s\n%q, want %q", c.text, got, c.want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	err := os.WriteFile(path, []byte(text), 0o666)
	if err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestASeedIsOneRun plays a program that prints times, random numbers, the order of a map, of
// goroutines and of what a select takes: the same seed gives the same output to the byte, another
// seed another. Seed 2 fails.
func TestASeedIsOneRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "restless.wasm")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", file, "./testdata/restless")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := load(t.Context(), code, ".", ".", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.runtime.Close(t.Context()) }()
	runs := map[string]uint64{}
	for _, seed := range []uint64{1, 2, 3} {
		once, failed, err := w.play(t.Context(), seed)
		if err != nil || failed != (seed == 2) {
			t.Fatalf("seed %d: failed %v, %v\n%s", seed, failed, err, once)
		}
		again, failed, err := w.play(t.Context(), seed)
		if err != nil || failed != (seed == 2) || !bytes.Equal(once, again) {
			t.Errorf("seed %d: again failed %v, %v\n%s\nand before\n%s", seed, failed, err, again, once)
		}
		line, _, _ := strings.Cut(string(once), "SIM_SEED")
		if other, ok := runs[line]; ok {
			t.Errorf("seeds %d and %d gave the same run", seed, other)
		}
		runs[line] = seed
	}
}

// TestAWorldReplays plays a world of the repository.
func TestAWorldReplays(t *testing.T) {
	const pkg = "./internal/outlet"
	w, end, err := build(t.Context(), pkg)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	for _, test := range []struct {
		seeds uint64
		all   bool
		says  string
	}{
		{seeds: 1, all: true, says: "seed 5: all that happened"},
		{seeds: 3, says: "3 seeds from 5 on: none failed"},
	} {
		var out bytes.Buffer
		failed, err := w.until(t.Context(), &out, pkg, 5, test.seeds, test.all)
		if err != nil || failed || !strings.Contains(out.String(), test.says) {
			t.Errorf("failed %v, %v, output %q, want %q", failed, err, out.String(), test.says)
		}
	}
}

// TestWhatIsNoWorldIsRefused: a package, or its tests, that has none, and what is no package.
func TestWhatIsNoWorldIsRefused(t *testing.T) {
	for pkg, want := range map[string]string{
		"./internal/backoff/backoff_test.go": "backoff_test.go has no simulated world",
		"./go.mod":                           "./go.mod is not a package of the repository",
		"./no/such/folder":                   "./no/such/folder is not a package of the repository",
		"../other":                           "../other is not a package of the repository",
	} {
		var out bytes.Buffer
		failed, err := replay(t.Context(), &out, pkg, 5, 1, true)
		if failed || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: failed %v, %v, want %q", pkg, failed, err, want)
		}
		if out.Len() > 0 {
			t.Errorf("%s: an error and output: %q", pkg, out.String())
		}
	}
}

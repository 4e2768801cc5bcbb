// Command replay plays seeds of a package's simulated world so that a seed is the same run every
// time, on every machine.
//
//	go -C scripts/replay run . -seed 319 ./kv/ring            # one seed, with all that happens in it
//	go -C scripts/replay run . -first 1 -seeds 500 ./kv/ring  # until one fails
//
// go test runs goroutines that are ready at the same moment in any order, so that a seed that failed
// once may pass the next time. Here the tests are compiled for WASI and run by wazero: on one thread
// that nothing preempts, with a clock that only their own reading moves, and with random numbers,
// thus also the choice of a select and the order of a map, that come of the seed. Each seed has a
// process of its own. The same code, compiled by the same Go, gives the same output byte by byte.
//
// The package is a folder of the repository, or a file of tests that stands alone: what else the
// package tests may not compile for WASI, as in ./sim_test.go.
//
// It is some twenty times as slow as go test, and there is no race detector: search with make sim,
// and search here when what was found does not come back.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	seed := flag.Uint64("seed", 0, "play this seed alone, and print all that happens in it")
	first := flag.Uint64("first", 1, "the first of the seeds")
	seeds := flag.Uint64("seeds", 100, "play so many, until one fails")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: replay [flags] package")
		os.Exit(2)
	}
	if *seed != 0 {
		*first, *seeds = *seed, 1
	}
	failed, err := replay(context.Background(), os.Stdout, flag.Arg(0), *first, *seeds, *seed != 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
	}
	if err != nil || failed {
		os.Exit(1)
	}
}

// replay plays seeds of a package of the repository.
func replay(ctx context.Context, out io.Writer, pkg string, first, seeds uint64, all bool) (failed bool, err error) {
	w, end, err := build(ctx, pkg)
	if err != nil {
		return false, err
	}
	defer end()
	return w.until(ctx, out, pkg, first, seeds, all)
}

// until plays seeds until one fails, and prints that one's run, or all of them.
func (w *world) until(ctx context.Context, out io.Writer, pkg string, first, seeds uint64, all bool) (failed bool, err error) {
	for seed := first; seed < first+seeds; seed++ {
		text, failed, err := w.play(ctx, seed)
		if err != nil {
			return false, err
		}
		if !bytes.Contains(text, []byte("--- ")) {
			return false, fmt.Errorf("%s has no simulated world", pkg)
		}
		if all || failed {
			fmt.Fprintf(out, "%s", text)
		}
		if failed {
			return true, nil
		}
	}
	if !all {
		fmt.Fprintf(out, "%d seeds from %d on: none failed\n", seeds, first)
	}
	return false, nil
}

// build compiles the tests of a package of the repository for WASI.
func build(ctx context.Context, pkg string) (*world, func(), error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, nil, err
	}
	folder := filepath.Clean(pkg)
	info, err := os.Stat(filepath.Join(root, folder))
	if err != nil || !filepath.IsLocal(folder) || !info.IsDir() && !strings.HasSuffix(folder, "_test.go") {
		return nil, nil, fmt.Errorf("%s is not a package of the repository", pkg)
	}
	tmp, err := os.MkdirTemp("", "replay")
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(tmp, "world.wasm")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-ldflags=-s -w", "-o", file, "./"+folder)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOWORK=off")
	text, err := cmd.CombinedOutput()
	if err != nil {
		_ = os.RemoveAll(tmp)
		return nil, nil, fmt.Errorf("go test -c: %w\n%s", err, bytes.TrimSpace(text))
	}
	code, err := os.ReadFile(file)
	if err != nil { // a package without tests compiles to nothing
		_ = os.RemoveAll(tmp)
		return nil, nil, fmt.Errorf("%s has no tests", pkg)
	}
	if !info.IsDir() {
		folder = filepath.Dir(folder)
	}
	w, err := load(ctx, code, root, folder, tmp)
	if err != nil {
		_ = os.RemoveAll(tmp)
		return nil, nil, err
	}
	return w, func() { _ = w.runtime.Close(ctx); _ = os.RemoveAll(tmp) }, nil
}

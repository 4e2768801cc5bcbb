// Command stress runs the tests of packages many times on a machine that has other things to do,
// and says which of them failed, and how often.
//
//	go run ./scripts/stress -n 20 ./router
//	go run ./scripts/stress -n 5 -busy 0 -stop 6s -run TTL ./discovery/consul
//
// A package is compiled once. Beside its tests -busy loops compete for the processors. With -stop
// the tests are also stopped for so long, again and again, while their servers go on: that shows
// in little processor time who can't bear a machine that does something else for some seconds.
// What failed runs printed is kept in files.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

type options struct {
	n, busy         int
	stop, work      time.Duration
	run, skip, keep string
	race            bool
	timeout         time.Duration
}

func main() {
	var o options
	flag.IntVar(&o.n, "n", 10, "run the tests of each package so many times")
	flag.IntVar(&o.busy, "busy", 2*runtime.NumCPU(), "keep processors busy with so many loops beside")
	flag.DurationVar(&o.stop, "stop", 0, "stop the tests for so long, again and again")
	flag.DurationVar(&o.work, "work", 2*time.Second, "with -stop: let them run for so long between stops")
	flag.StringVar(&o.run, "run", "", "the tests, as go test's -run")
	flag.StringVar(&o.skip, "skip", "", "tests to leave out, as go test's -skip")
	flag.StringVar(&o.keep, "keep", "", "folder for what failed runs print; a temporary one if empty")
	flag.BoolVar(&o.race, "race", true, "with the race detector")
	flag.DurationVar(&o.timeout, "timeout", 20*time.Minute, "give up on a run after this time")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: stress [flags] package...")
		os.Exit(2)
	}
	ctx, end := signal.NotifyContext(context.Background(), os.Interrupt)
	failed, err := stress(ctx, os.Stdout, flag.Args(), o)
	end()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stress:", err)
	}
	if err != nil || failed {
		os.Exit(1)
	}
}

// stress runs the tests of the packages, and reports whether any failed.
func stress(ctx context.Context, out io.Writer, patterns []string, o options) (failed bool, err error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}"}, patterns...)...)
	cmd.Stderr = os.Stderr
	dirs, err := cmd.Output()
	if err != nil {
		return false, err
	}
	if o.keep == "" {
		o.keep, err = os.MkdirTemp("", "stress")
	} else {
		err = os.MkdirAll(o.keep, 0o777)
	}
	if err != nil {
		return false, err
	}
	defer os.Remove(o.keep) // only if it is empty

	ctx, end := context.WithCancel(ctx)
	defer end()
	runtime.GOMAXPROCS(max(runtime.NumCPU(), o.busy+2))
	for range o.busy {
		go func() {
			for ctx.Err() == nil {
			}
		}()
	}
	for _, dir := range strings.Fields(string(dirs)) {
		bad, err := stressPackage(ctx, out, dir, o)
		if err != nil {
			return failed, fmt.Errorf("%s: %w", dir, err)
		}
		failed = failed || bad
	}
	return failed, nil
}

// stressPackage compiles the tests in a folder, runs them, and prints what came of it.
func stressPackage(ctx context.Context, out io.Writer, dir string, o options) (failed bool, err error) {
	temp, err := os.MkdirTemp("", "stress")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(temp)
	binary := filepath.Join(temp, "tests.exe")
	compile := exec.CommandContext(ctx, "go", "test", "-c", fmt.Sprintf("-race=%t", o.race), "-vet=off", "-o", binary, ".")
	compile.Dir, compile.Stderr = dir, os.Stderr
	err = compile.Run()
	if err != nil {
		return false, err
	}
	began := time.Now()
	times := make(map[string]int) // failures by test
	runs := 0
	for n := range o.n {
		text, err := o.runOnce(ctx, binary, dir)
		if ctx.Err() != nil {
			return failed, ctx.Err()
		}
		if err == nil {
			continue
		}
		runs++
		kept := filepath.Join(o.keep, fmt.Sprintf("%s-%d.txt", name(dir), n+1))
		err = os.WriteFile(kept, text, 0o666)
		if err != nil {
			return true, err
		}
		for _, test := range failures(string(text)) {
			times[test]++
		}
		fmt.Fprintf(out, "run %d failed: %s\n", n+1, kept)
	}
	fmt.Fprintf(out, "%s: %d of %d runs failed, %s\n", dir, runs, o.n, time.Since(began).Round(time.Second))
	byTimes := func(a, b string) int { return cmp.Or(times[b]-times[a], strings.Compare(a, b)) }
	for _, test := range slices.SortedFunc(maps.Keys(times), byTimes) {
		fmt.Fprintf(out, "%4d  %s\n", times[test], test)
	}
	return runs > 0, nil
}

// runOnce runs the tests and returns what they print. An error says that they failed.
func (o options) runOnce(ctx context.Context, binary, dir string) ([]byte, error) {
	var text strings.Builder
	cmd := exec.CommandContext(ctx, binary, "-test.run", o.run, "-test.skip", o.skip, "-test.timeout", o.timeout.String())
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &text, &text
	cmd.WaitDelay = 10 * time.Second // a server that stayed holds the output open
	err := cmd.Start()
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		var work <-chan time.Time
		if o.stop > 0 {
			work = time.After(o.work)
		}
		select {
		case err := <-ended:
			return []byte(text.String()), err
		case <-work:
			pause(cmd.Process, o.stop)
		}
	}
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|^(panic: .*|fatal error: .*|WARNING: DATA RACE|\d+ goroutines leaked)`)

// failures returns the tests that failed, without those that failed only for a part of theirs, and
// what else ended a run.
func failures(text string) []string {
	var all []string
	for _, m := range failure.FindAllStringSubmatch(text, -1) {
		all = append(all, cmp.Or(m[1], m[2]))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	deepest := slices.DeleteFunc(slices.Clone(all), func(test string) bool {
		return slices.ContainsFunc(all, func(part string) bool { return strings.HasPrefix(part, test+"/") })
	})
	if len(deepest) == 0 {
		return []string{"(no test: see what the run printed)"}
	}
	return deepest
}

// name is a file name for a folder.
func name(dir string) string {
	return filepath.Base(filepath.Dir(dir)) + "-" + filepath.Base(dir)
}

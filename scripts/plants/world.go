package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// world is the simulated worlds of one package, built with a plant or without one.
type world struct {
	binary, folder string
	options
}

// run is what came of one run.
type run struct {
	failed  bool
	seed    string // the last one that began
	why     string // it failed, in a line
	figures string // what the test says of itself
}

var (
	summary = regexp.MustCompile(`\d+ seeds in .*`)
	begun   = regexp.MustCompile(`(?s): seeds((?:\s+\d+)+)`)
	broken  = regexp.MustCompile(`\S+\.go:\d+: seed \d+.*\n\s*(.*)|(panic: .*)`)
)

// test runs a test that is not a world, and reports whether it fails.
func (w world) test(name string) (failed bool, err error) {
	cmd := exec.Command(w.binary, "-test.run", "^"+name+"$", "-test.v", "-test.timeout", w.timeout.String())
	cmd.Dir = w.folder
	out, failure := cmd.CombinedOutput()
	ran := strings.Contains(string(out), "=== RUN   "+name+"\n") && !strings.Contains(string(out), "--- SKIP: "+name)
	if !ran {
		return false, fmt.Errorf("%s did not run: %v\n%s", name, failure, out)
	}
	return failure != nil, nil
}

// play runs the seeds until one fails. The environment says which.
func (w world) play(env ...string) (run, error) {
	cmd := exec.Command(w.binary, "-test.run", w.run, "-test.v", "-test.timeout", w.timeout.String())
	cmd.Dir, cmd.Env = w.folder, append(os.Environ(), append(env, "SIM_FIND=1")...)
	out, err := cmd.CombinedOutput()
	text := string(out)
	r := run{failed: err != nil, figures: summary.FindString(text)}
	if m := begun.FindAllStringSubmatch(text, -1); m != nil {
		seeds := strings.Fields(m[len(m)-1][1])
		r.seed = seeds[len(seeds)-1]
	}
	if r.seed == "" { // no world has begun
		return r, fmt.Errorf("no seed was played: %v\n%s", err, text)
	}
	if m := broken.FindStringSubmatch(text); m != nil {
		r.why = m[1] + m[2]
		if text := []rune(r.why); len(text) > 120 {
			r.why = string(text[:120]) + "…"
		}
	}
	return r, nil
}

package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// suite is a package's tests, built with all its mutants.
type suite struct {
	binary, folder string
	options

	reach map[int][]test // the tests that reach a mutant, quickest first
}

type test struct {
	name string
	took time.Duration
}

// measure runs each test alone, without a change, and notes what it reaches.
func (s *suite) measure(dir string) error {
	out, err := s.command("-test.list", cmp.Or(s.top(), ".")).Output()
	if err != nil {
		return fmt.Errorf("list the tests: %w", err)
	}
	s.reach = map[int][]test{}
	for i, name := range strings.Fields(string(out)) {
		if !strings.HasPrefix(name, "Test") && !strings.HasPrefix(name, "Example") && !strings.HasPrefix(name, "Fuzz") {
			continue
		}
		reached := fmt.Sprintf("%s/reached%d", dir, i)
		took, out, err := s.run([]test{{name: name}}, s.timeout, "MUTANTS_REACHED="+reached)
		if err != nil {
			return fmt.Errorf("%s fails without a change: %w\n%s", name, err, out)
		}
		list, err := os.ReadFile(reached)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		for _, field := range strings.Fields(string(list)) {
			n, err := strconv.Atoi(field)
			if err != nil {
				return err
			}
			s.reach[n] = append(s.reach[n], test{name, took})
		}
	}
	for _, tests := range s.reach {
		slices.SortStableFunc(tests, func(a, b test) int { return cmp.Compare(a.took, b.took) })
	}
	return nil
}

// notices reports whether a test fails, or takes much longer, with mutant n.
// The quick half goes first: it notices most.
func (s *suite) notices(n int) bool {
	tests := s.reach[n]
	for half := range slices.Chunk(tests, (len(tests)+1)/2) {
		var usual time.Duration
		for _, t := range half {
			usual += t.took
		}
		if _, _, err := s.run(half, 5*usual+10*time.Second, "MUTANT="+strconv.Itoa(n)); err != nil {
			return true
		}
	}
	return false
}

// run runs some tests until one fails.
func (s *suite) run(tests []test, timeout time.Duration, env string) (took time.Duration, out []byte, err error) {
	names := make([]string, len(tests))
	for i, t := range tests {
		names[i] = t.name
	}
	pattern := "^(" + strings.Join(names, "|") + ")$" + strings.TrimPrefix(s.options.run, s.top())
	args := []string{"-test.failfast", "-test.timeout", timeout.String(), "-test.run", pattern}
	if s.short {
		args = append(args, "-test.short")
	}
	cmd := s.command(args...)
	cmd.Env = append(os.Environ(), env)
	start := time.Now()
	out, err = cmd.CombinedOutput()
	return time.Since(start), out, err
}

func (s *suite) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.binary, args...)
	cmd.Dir = s.folder
	return cmd
}

// top is the part of -run that chooses tests, before that for their subtests.
func (s *suite) top() string {
	top, _, _ := strings.Cut(s.options.run, "/")
	return top
}

package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// suite is a package's tests, built with all its mutants.
type suite struct {
	binary, folder string
	options

	all   []test
	reach map[int][]test  // the tests that reach a mutant, quickest first
	kept  string          // the folder of servers that are used again
	fresh map[string]bool // the tests that need new ones
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
	s.reach, s.fresh = map[int][]test{}, map[string]bool{}
	var all []test
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
		all = append(all, test{name, took})
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
	s.all = all
	for _, name := range s.spoiled() {
		s.fresh[name] = true
	}
	return nil
}

// spoiled returns the tests that fail without a change on the servers that were left to them.
func (s *suite) spoiled() (names []string) {
	left, _ := filepath.Glob(filepath.Join(s.kept, "*", "ports"))
	if len(left) == 0 {
		return nil
	}
	tests := slices.DeleteFunc(slices.Clone(s.all), func(t test) bool { return s.fresh[t.name] })
	for len(tests) > 0 {
		_, out, err := s.run(tests, s.limit(tests), "MUTANT=")
		if err == nil {
			break
		}
		failed := tests // all of them unless it is said
		if m := regexp.MustCompile(`(?m)^--- FAIL: (\w+)`).FindSubmatch(out); m != nil {
			failed = []test{{name: string(m[1])}}
		}
		for _, t := range failed {
			names = append(names, t.name)
			tests = slices.DeleteFunc(tests, func(of test) bool { return of.name == t.name })
		}
	}
	return names
}

// notices reports whether a test fails, or takes much longer, with mutant n.
// The quick half goes first: it notices most.
func (s *suite) notices(n int) bool {
	tests := s.reach[n]
	for half := range slices.Chunk(tests, (len(tests)+1)/2) {
		for _, fresh := range []bool{false, true} {
			some := slices.DeleteFunc(slices.Clone(half), func(t test) bool { return s.fresh[t.name] != fresh })
			if len(some) == 0 {
				continue
			}
			if _, _, err := s.run(some, s.limit(some), "MUTANT="+strconv.Itoa(n)); err != nil {
				return true
			}
		}
	}
	return false
}

// limit is how long tests may take.
func (s *suite) limit(tests []test) time.Duration {
	var usual time.Duration
	for _, t := range tests {
		usual += t.took
	}
	return 5*usual + 10*time.Second
}

// run runs some tests until one fails, which all use servers again or none.
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
	if !s.fresh[tests[0].name] {
		cmd.Env = append(cmd.Env, "KEEP_SERVERS="+s.kept)
	}
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

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
)

// world is a shell in which every example of the help and of the page works: real
// servers, and what the examples take as given.
func world(t *testing.T) *shell {
	t.Helper()
	name := servertest.Namespace(t)
	redis := "redis://" + servertest.SharedRedis(t).Addr()
	s := newShell(t, "PLATFORM_KV="+redis, "PLATFORM_KV_NAMESPACE="+name)
	s.file("session.json", `{"user":42}`)
	s.steps([]step{{"platform kv put greeting hello && platform kv put session/1 x", "…", "", 0}})
	return s
}

func (s *shell) file(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

var exit = regexp.MustCompile(`\s+# exit (\d+)$`)

// example runs a line of the documentation: it has to end with 0, or as it says.
func (s *shell) example(line string) {
	s.t.Helper()
	code := 0
	if m := exit.FindStringSubmatch(line); m != nil {
		code, _ = strconv.Atoi(m[1])
		line = strings.TrimSuffix(line, m[0])
	}
	cmd, _, _ := find(tree(), strings.Fields(line)[1:])
	if cmd.follows {
		f := s.follow(line)
		for deadline := time.Now().Add(30 * time.Second); f.out.String()+f.err.String() == ""; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				s.t.Errorf("%s: got nothing", line)
				break
			}
		}
		f.interrupt()
		return
	}
	if r := s.run(line); r.code != code || code == 0 && strings.Contains(r.err, "platform:") || r.out+r.err == "" && !strings.HasPrefix(line, "source") {
		s.t.Errorf("%s: got %+v, want exit %d", line, r, code)
	}
}

func TestExamplesOfTheHelpWork(t *testing.T) {
	t.Parallel()
	s := world(t)
	n := 0
	verbs(tree(), nil, func(cmd *command, _ []string) {
		for _, line := range cmd.examples {
			if !strings.Contains(line, "zsh") && !strings.Contains(line, "fish") { // these shells are not among what the tests install
				s.example(line)
				n++
			}
		}
	})
	if n < 10 {
		t.Errorf("ran %d examples only", n)
	}
}

// TestPageIsTrue runs the lines of docs/command.md in their order.
func TestPageIsTrue(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/command.md")
	if err != nil {
		t.Fatal(err)
	}
	s := world(t)
	n, shell := 0, false
	for line := range strings.Lines(string(b)) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "```"):
			shell = line == "```sh"
		case shell && strings.HasPrefix(line, "platform "):
			s.example(line)
			n++
		}
	}
	if n < 5 {
		t.Errorf("ran %d lines only", n)
	}
	for _, topic := range []string{codesTopic} {
		for line := range strings.Lines(topic) {
			if f := strings.Fields(line); len(f) > 1 && !strings.Contains(string(b), fmt.Sprintf("| %s | %s |", f[0], strings.Join(f[1:], " "))) && f[0][0] <= '9' && f[0][0] >= '0' {
				t.Errorf("the page lacks the exit code %q", strings.TrimSpace(line))
			}
		}
	}
}

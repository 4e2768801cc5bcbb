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

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/servertest"
)

// world is a shell in which every example of the help and of the page works: real
// servers, and what the examples take as given.
func world(t *testing.T) *shell {
	t.Helper()
	all, ns := engines(t), servertest.Namespace(t)
	redis, zipkin := all["redis"], "http://"+servertest.SharedZipkin(t).Addr()
	s := newShell(t, "TOKEN=", "ORDERS=file:///dev/null")
	for noun, url := range map[string]string{
		"kv": redis, "config": redis, "discovery": redis, "event": redis, "sync": all["etcd"], "monitor": redis, "trace": zipkin, "auth": authorityServer(t),
	} {
		s.env = append(s.env, variable(noun)+"="+url, variable(noun)+"_NAMESPACE="+ns)
	}
	s.env = append(s.env, "PLATFORM_AUTH_CLIENT=shop", "PLATFORM_AUTH_SECRET=its secret", "PLATFORM_PAGE_TOKEN=secret")
	for name, content := range map[string]string{
		"session.json": `{"user":42}`, "order.json": `{"order":43}`, "password.txt": "hunter2", "test.json": `{"server":{"port":80}}`, "rules.json": rules,
	} {
		s.file(name, content)
	}
	s.steps([]step{
		{"platform event publish order.reminder '{}' -id reminder-42 -at 24h", "reminder-42\n", "", 0},
		{"platform kv put greeting hello && platform kv put session/1 x", "…", "", 0},
		{`platform config put shop/prod '{"server":{"port":80,"name":"shop"},"router":{"rules":` + rules + `}}' && platform config set shop/prod server.port 81`, "…", "", 0},
	})
	d := registry(t, ns, redis)
	register(t, d, discovery.Instance{ID: "orders-1", Service: "orders", Address: "10.0.0.1:80", Version: "v1"})
	register(t, d, discovery.Instance{ID: "orders-2", Service: "orders", Address: "10.0.0.2:80", Version: "v2", Labels: map[string]string{"tenant": "blue"}})
	fails(t, redis, ns, 1, func() {
		s.steps([]step{{"platform event publish order.created '{}' -subject order/42", "…", "", 0}})
	})
	leads(t, locks(t, ns, all["etcd"]), "scheduler", "orders-1")
	traced(t, zipkin, "orders")
	p := newProcess(t, redis, ns, "orders")
	if _, err := p.locks.Lock(t.Context(), "nightly"); err != nil {
		t.Fatal(err)
	}
	s.page = p.url
	for deadline := time.Now().Add(30 * time.Second); s.run("platform monitor status orders").code != 0; {
		if time.Now().After(deadline) {
			t.Fatal("no report came")
		}
	}
	if r := s.run("platform auth token"); r.code != 0 {
		t.Fatal(r)
	} else {
		s.env = append(s.env, "TOKEN="+strings.TrimSpace(r.out))
	}
	return s
}

const rules = `[{"name":"blue","service":"orders","match":{"tenant":"blue"},"branches":[{"variant":"new","version":"v2","weight":100}]}]`

func (s *shell) file(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

var exit = regexp.MustCompile(`\s+# exit (\d+)$`)

// quiet are the lines that print nothing: $ORDERS is an empty file here.
var quiet = regexp.MustCompile(`^source|\$ORDERS`)

// example runs a line of the documentation: it has to end with 0, or as it says.
func (s *shell) example(line string) {
	s.t.Helper()
	code := 0
	if m := exit.FindStringSubmatch(line); m != nil {
		code, _ = strconv.Atoi(m[1])
		line = strings.TrimSuffix(line, m[0])
	}
	line = strings.ReplaceAll(line, "http://127.0.0.1:8081", s.page)
	cmd, _, _ := find(tree(), strings.Fields(line)[1:])
	if cmd.follows && !strings.Contains(line, "-limit") && cmd.name != "lock" { // those end by themselves
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
	if r := s.run(line); r.code != code || code == 0 && strings.Contains(r.err, "platform:") || r.out+r.err == "" && !quiet.MatchString(line) {
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
	if n < 50 {
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

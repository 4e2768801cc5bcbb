package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
)

func TestBadUseSaysWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	newShell(t).steps([]step{
		{"platform nothing", "", "platform: unknown command \"nothing\", want one of: …\n", 2},
		{"platform kb", "", "platform: unknown command \"kb\"; did you mean \"kv\"?\n", 2},
		{"platform kv", "platform kv: …", "", 0},
		{"platform kv gut a", "", "platform: unknown command \"kv gut\"; did you mean \"get\"?\n", 2},
		{"platform help kv gut", "", "platform: unknown command \"kv gut\"; did you mean \"get\"?\n", 2},
		{"platform kv get", "", "platform: usage: platform kv get KEY\n", 2},
		{"platform kv get a b", "", "platform: usage: platform kv get KEY\n", 2},
		{"platform -o json kv get a", "", "platform: flags follow the command: platform … -o, not platform -o …\n", 2},
		{"platform -kv=redis://:hunter2@x kv get a", "", "platform: flags follow the command: platform … -kv, not platform -kv …\n", 2},
		{"platform kv get a -namespac x", "", "platform: unknown flag -namespac; did you mean -namespace?\n", 2},
		{"platform kv get a -quite", "", "platform: unknown flag -quite; \"platform kv get -h\" lists those that there are\n", 2},
		{"platform kv get a -o", "", "platform: -o wants a value\n", 2},
		{"platform kv get a -o yaml", "", "platform: -o \"yaml\": want table, tsv or json\n", 2},
		{"platform kv get a -timeout soon", "", "platform: -timeout \"soon\": want a duration such as 30s or 5m\n", 2},
		{"platform kv list -limit x", "", "platform: -limit \"x\": want a whole number\n", 2},
		{"platform kv list -kv sqlite:x.db -limit -1", "", "platform: -limit -1: want 0 or more\n", 2},
		{"platform event tail -event redis://127.0.0.1:1 -limit -1", "", "platform: -limit -1: want 0 or more\n", 2},
		{"platform kv put a b -if-revision -1", "", "platform: -if-revision \"-1\": want a whole number, 0 or more\n", 2},
		{"platform kv get a", "", "platform: no address: give -kv or set PLATFORM_KV; see \"platform help addresses\"\n", 2},
		{"platform kv get a -kv memory:", "", "platform: -kv memory: lives and ends in the process that has it; name a server\n", 2},
		{"platform kv get a -kv oracle://ann:secret@x", "", "platform: engine: options: invalid: address \"oracle://ann:xxxxx@x\", want a URL with a scheme of …redis, …\n", 2},
		{"platform sync lock a -try -wait 1s -- true", "", "platform: -try does not wait: give it or -wait\n", 2},
		{"platform kv delete a b -if-revision 1", "", "platform: -if-revision is of one key, not of 2\n", 2},
		{"platform kv put a b -ttl 1us -kv sqlite:x.db", "", "platform: kv/sqlite: put \"a\": invalid: TTL 1µs, want 1ms or more\n", 2},
	})
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	t.Parallel()
	newShell(t).steps([]step{
		{"platform kv put -kv sqlite:x.db a b && platform kv get --kv=sqlite:x.db a", "…b", "", 0},
		{"platform kv put a -kv sqlite:x.db -- -c && platform kv get a -kv sqlite:x.db", "…-c", "", 0},
		{"PLATFORM_KV=oracle: platform kv get a -kv sqlite:x.db", "-c", "", 0},
		{"platform kv list -keys=true -kv sqlite:x.db", "a\n", "", 0},
		{"echo in | platform kv put a -kv sqlite:x.db && platform kv get a -kv sqlite:x.db", "put a, 3 B, revision …\nin\n", "", 0},
	})
}

func TestExitCodesOfBackends(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := l.Addr().String() // it takes connections and never answers
	defer l.Close()
	redis := servertest.Redis(t, servertest.WithArgs("--requirepass", "secret"))
	newShell(t).steps([]step{
		{"platform kv get a -kv redis://127.0.0.1:1", "", "platform: kv/redis: …refused…\n", 3},
		{"platform kv get a -timeout 300ms -kv redis://" + silent, "", "platform: …no answer…\n", 3},
		{"platform kv get a -kv redis://" + redis.Addr(), "", "platform: kv/redis: …\n", 5},
		{"platform kv get a -kv redis://:secret@" + redis.Addr(), "", "platform: kv/redis: get \"a\": not found\n", 1},
		{"platform kv watch -kv redis://127.0.0.1:1", "", "platform: kv/redis: …refused…\n", 3},
	})
}

func TestTimeoutHidesNoUnknownOutcome(t *testing.T) {
	ended, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	for _, c := range []struct {
		err  error
		code int
	}{
		{context.DeadlineExceeded, exitUnavailable},
		{errors.Join(kv.ErrUnknownOutcome, context.DeadlineExceeded), exitUnknown},
		{kv.ErrNotFound, exitNo},
	} {
		if got := codeOf(timedOut(ended, c.err, time.Second)); got != c.code {
			t.Errorf("%v: got exit %d, want %d", c.err, got, c.code)
		}
	}
}

// slow is input of which each part takes an hour.
type slow struct{ io.Reader }

func (s slow) Read(b []byte) (int, error) {
	time.Sleep(time.Hour)
	return s.Reader.Read(b)
}

func TestTimeoutBeginsAfterTheInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := ""
		verb := &command{name: "take", args: "[TEXT]", max: 1, reads: true, setup: func(*flags) action {
			return func(ctx context.Context, c *call) error {
				got = string(c.data)
				return ctx.Err()
			}
		}}
		take := func(ctx context.Context) error {
			typed := streams{in: slow{strings.NewReader("late")}, out: io.Discard, err: io.Discard, env: os.Getenv}
			return execute(ctx, typed, verb, []string{"take"}, nil)
		}
		if err := take(t.Context()); err != nil || got != "late" {
			t.Errorf("got %q, %v", got, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		began := time.Now()
		if err := take(ctx); !errors.Is(err, context.Canceled) || time.Since(began) != time.Minute {
			t.Errorf("interrupted: got %v after %v", err, time.Since(began))
		}
		time.Sleep(5 * time.Hour) // until the reader ends, in the bubble
	})
}

func TestVersion(t *testing.T) {
	t.Parallel()
	newShell(t).steps([]step{
		{"platform version", "platform …, go1.…, …/…\n", "", 0},
		{"platform --version", "platform …, go1.…, …/…\n", "", 0},
		{"platform --versions", "", "platform: flags follow the command: …\n", 2},
		{"platform version -o json", `{"version":"…","go":"go1.…","platform":"…/…"}` + "\n", "", 0},
	})
}

// verbs calls visit for every verb.
func verbs(cmd *command, path []string, visit func(cmd *command, path []string)) {
	if cmd.setup != nil {
		visit(cmd, path)
	}
	for _, s := range cmd.subs {
		verbs(s, append(slices.Clone(path), s.name), visit)
	}
}

func TestHelpIsComplete(t *testing.T) {
	t.Parallel()
	s := newShell(t, "PLATFORM_KV=redis://:hunter2@10.0.0.1")
	root := s.run("platform")
	for _, noun := range tree().subs {
		if !strings.Contains(root.out, "\n  "+noun.name+" ") || noun.short == "" {
			t.Errorf("\"platform\" doesn't say what %s is", noun.name)
		}
	}
	for _, line := range []string{"platform help", "platform -h", "platform --help"} {
		if r := s.run(line); r != root {
			t.Errorf("%s: got %q, want the same as of \"platform\"", line, r.out)
		}
	}
	verbs(tree(), nil, func(cmd *command, path []string) {
		name := strings.Join(path, " ")
		if len(cmd.examples) == 0 || cmd.short == "" {
			t.Errorf("%s has no example or no description", name)
		}
		f := newFlags(&call{}, cmd)
		cmd.setup(f)
		r := s.run("platform " + name + " -h")
		if r.code != 0 || r.err != "" {
			t.Errorf("%s -h: got %+v", name, r)
		}
		for _, flag := range append(f.own, f.common...) {
			if !strings.Contains(r.out, "\n  -"+flag+" ") {
				t.Errorf("%s -h doesn't have -%s", name, flag)
			}
		}
		for line := range strings.Lines(r.out) {
			if n := len([]rune(line)); n > 121 {
				t.Errorf("%s -h: %d characters in %q", name, n, line)
			}
		}
		if strings.Contains(r.out, "hunter2") || strings.Contains(r.out, "\x1b") {
			t.Errorf("%s -h: got %q", name, r.out)
		}
	})
	for _, topic := range topics {
		for line := range strings.Lines(topic.text()) {
			if n := len([]rune(line)); n > 89 {
				t.Errorf("help %s: %d characters in %q", topic.name, n, line)
			}
		}
		if r := s.run("platform help " + topic.name); r.code != 0 || r.out != topic.text() || !strings.Contains(root.out, "platform help "+topic.name) {
			t.Errorf("help %s: got %+v", topic.name, r)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	for _, c := range []struct{ words, want string }{
		{"k", "kv"},
		{"kv ge", "get"},
		{"kv p", "put"},
		{"help ad", "addresses"},
		{"help kv ge", "get"},
		{"kv get -names", "-namespace"},
		{"kv get --names", "--namespace"},
		{"kv get x -o j", "json"},
		{"kv get x", ""},
		{"nothing x", ""},
	} {
		words := strings.Fields("platform " + c.words)
		script := fmt.Sprintf("source <(platform completion bash); COMP_WORDS=(%s); COMP_CWORD=%d; _platform; echo \"${COMPREPLY[*]}\"", strings.Join(words, " "), len(words)-1)
		if r := s.run(script); r.out != c.want+"\n" || r.err != "" {
			t.Errorf("%s: got %q, %q, want %q", c.words, r.out, r.err, c.want)
		}
	}
	s.steps([]step{{"source <(platform completion bash); COMP_WORDS=(platform kv ''); COMP_CWORD=2; _platform; echo ${COMPREPLY[*]}", "get put add delete list watch\n", "", 0}})
	for _, shell := range []string{"zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			if r := s.run("platform completion " + shell); r.code != 0 || !strings.Contains(r.out, "platform "+complete) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

//go:build unix

package servertest

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestKeptServersServeTheNextTest lets tests, each in a process of its own, have servers one after
// another and at the same time.
func TestKeptServersServeTheNextTest(t *testing.T) {
	if _, err := os.Readlink("/proc/self/cwd"); err != nil {
		t.Skip("no server is known again without /proc")
	}
	k := Child(t, "keeper")
	dir := k.Line()
	t.Setenv("KEEP_SERVERS", dir)
	begin := func(args ...string) (p *Process, server string) {
		t.Helper()
		p = Child(t, "tenant", args...)
		return p, p.Line()
	}
	tell := func(p *Process, what string) string {
		t.Helper()
		p.Send(what)
		return p.Line()
	}
	end := func(p *Process) {
		t.Helper()
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
	var all []string
	next := func(what string, p *Process, server, want string) *Process {
		t.Helper()
		if want == "" && slices.Contains(all, server) || want != "" && server != want {
			t.Errorf("%s: got the server %s, want %s of %v", what, server, cmp.Or(want, "none"), all)
		}
		all = append(all, server)
		return p
	}
	a, one := begin("own")
	next("the first", a, one, "")
	b, two := begin("own")
	next("at the same time", b, two, "")
	c, three := begin("own", "more")
	next("other arguments", c, three, "")
	end(c)
	d, four := begin("shared")
	next("shared", d, four, "")
	e, server := begin("shared")
	next("shared at the same time", e, server, four)
	end(a)
	a, server = begin("own")
	next("after a test has ended", a, server, one)
	b.Kill()
	b, server = begin("own")
	next("after a test was killed", b, server, two)
	tell(a, "pause")
	a.Kill()
	a, server = begin("own")
	next("after it was paused", a, server, one)
	eventually(t, "it goes on", func() bool {
		b, err := os.ReadFile("/proc/" + one + "/stat")
		return err == nil && !strings.Contains(string(b), ") T ")
	})
	one = tell(a, "restart")
	next("after a restart by who has not started it", a, one, "")
	end(a)
	a, server = begin("own")
	next("after a restart", a, server, one)
	tell(a, "kill")
	end(a)
	a, one = begin("own")
	next("after it was killed", a, one, "")

	f, never := begin("never")
	end(f)
	eventually(t, "a server that is not kept has ended", func() bool { return ended(t, never) })
	var unkept *Server
	outcome(func(t testing.TB) { unkept = start(t, options{}, shell("echo up; exec sleep 60")) })
	if unkept.Running() {
		t.Error("a server that is not kept has outlived its test")
	}
	for _, p := range []*Process{a, b, d, e} {
		end(p)
	}
	for _, server := range []string{one, two, three, four} {
		if ended(t, server) {
			t.Errorf("the server %s has ended with its test", server)
		}
	}
	// A number in the folder that has become a stranger's.
	stranger := start(t, options{}, shell("echo up; exec sleep 60"))
	if err := os.Mkdir(filepath.Join(dir, "died"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "died", "pid"), []byte(strconv.Itoa(stranger.PID())), 0o600); err != nil {
		t.Fatal(err)
	}
	k.Kill()
	for _, server := range []string{one, two, three, four} {
		eventually(t, "server "+server+" has ended", func() bool { return ended(t, server) })
	}
	eventually(t, "the folder is gone", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	})
	if !stranger.Running() {
		t.Error("a stranger has been killed")
	}
}

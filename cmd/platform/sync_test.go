package main

import (
	"context"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/sync"
	syncconsul "github.com/micro/go-platform/sync/consul"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	synckubernetes "github.com/micro/go-platform/sync/kubernetes"
	syncredis "github.com/micro/go-platform/sync/redis"
	syncsql "github.com/micro/go-platform/sync/sql"
)

func locks(t *testing.T, ns, url string) sync.Sync {
	t.Helper()
	opts := backend(t, url, syncredis.URL, syncetcd.URL, syncconsul.URL, synckubernetes.URL, syncsql.URL)
	s, err := sync.New(append(opts, sync.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// leads makes this process the leader of an election.
func leads(t *testing.T, s sync.Sync, id, owner string) sync.Elected {
	t.Helper()
	l, err := s.Leader(id, sync.Owner(owner))
	if err != nil {
		t.Fatal(err)
	}
	term, err := l.Elect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return term
}

func TestSync(t *testing.T) {
	all := engines(t)
	k := servertest.SharedKubernetes(t)
	space := k.Namespace(t)
	leases := servertest.KubeRule{Group: "coordination.k8s.io", Resources: []string{"leases"}, Verbs: []string{"get", "list", "watch", "create", "update", "delete"}}
	all["kubernetes"] = "kubeconfig:" + k.Kubeconfig(t, k.Addr(), k.Token(t, space, "locker", leases), space)
	for _, name := range []string{"redis", "etcd", "consul", "postgres", "mysql", "kubernetes"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := servertest.Namespace(t)
			mine := locks(t, ns, all[name])
			s := newShell(t, "PLATFORM_SYNC="+all[name], "PLATFORM_SYNC_NAMESPACE="+ns)
			s.steps([]step{
				{"platform sync leader job", "", "platform: sync/…\n", 1},
				{"platform sync lock job -- sh -c 'test -n \"$PLATFORM_LOCK_TOKEN\" && echo held; exit 9'", "held\n", "", 9},
				{"platform sync lock job -- sh -c 'kill -KILL $$'", "", "", 137},
				{"platform sync lock job -- no-such-program", "", "platform: …no-such-program…\n", 7},
				{"platform sync lock job", "", "platform: usage: platform sync lock ID -- COMMAND [ARGUMENT…]\n", 2},
				{"echo in | platform sync lock job -try -- cat", "in\n", "", 0},
			})
			s.steps([]step{{"platform sync holds", "", "", 0}, {"platform sync holds -o table", "", "nobody holds anything in namespace " + ns + "\n", 0}})
			lock, err := mine.Lock(t.Context(), "job", sync.Owner("me"))
			if err != nil {
				t.Fatal(err)
			}
			s.steps([]step{
				{"platform sync holds", "lock\tjob\theld\tme\t…\n", "", 0},
				{"platform sync holds -o json", `{"kind":"lock","id":"job","owner":"me",…"token":…}` + "\n", "", 0},
				{"platform sync holds -namespace elsewhere-" + ns, "", "", 0},
				{"platform sync lock job -try -- echo held", "", "platform: sync/…\n", 4},
				{"platform sync lock job -wait 50ms -- echo held", "", "platform: sync/…\n", 4},
				{"platform sync lock other -try -- echo held", "held\n", "", 0},
			})
			if err := lock.Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.steps([]step{{"platform sync lock job -try -- echo held", "held\n", "", 0}})

			f := s.follow("platform sync watch job")
			f.await("…\t(nobody)\n")
			term := leads(t, mine, "job", "me")
			f.await("…(nobody)\n…\tme\n")
			s.steps([]step{
				{"platform sync leader job", "me\n", "", 0},
				{"platform sync leader job -o json", `{"id":"job","owner":"me","token":…}` + "\n", "", 0},
			})
			if err := term.Resign(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
			f.await("…\tme\n…\t(nobody)\n")
			f.interrupt()
		})
	}
}

// family is a command whose child ends a while after it was asked to.
const family = `sh -c '(trap "sleep 0.3; echo child ended; exit" TERM; echo began; while :; do sleep 0.02; done) & wait'`

func TestInterruptedLockEndsTheWholeJobAndReleases(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, command, out string
		code               int
	}{
		{"the command", `sh -c 'trap "echo ended; exit 3" TERM; echo began; while :; do sleep 0.05; done'`, "began\nended\n", 3},
		{"what it has started", family, "began\nchild ended\n", 143},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShell(t, "PLATFORM_SYNC="+engines(t)["redis"], "PLATFORM_SYNC_NAMESPACE="+servertest.Namespace(t))
			signals := []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP}
			if signal.Ignored(syscall.SIGHUP) { // below nohup, as these tests and what they start then are
				signals = signals[:1]
			}
			for _, signal := range signals {
				f := s.follow("platform sync lock job -- " + c.command)
				f.await("began\n")
				if err := f.cmd.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
				if code := exitCode(t, f.cmd.Wait()); code != c.code || f.out.String() != c.out {
					t.Errorf("%v: got exit %d, %q, %q, want %d, %q", signal, code, f.out, f.err, c.code, c.out)
				}
				s.steps([]step{{"platform sync lock job -try -- echo free", "free\n", "", 0}})
			}
		})
	}
}

func TestLostLockEndsTheWholeJob(t *testing.T) {
	t.Parallel()
	redis := servertest.Redis(t)
	s := newShell(t, "PLATFORM_SYNC=redis://"+redis.Addr())
	f := s.follow("platform sync lock job -ttl 1s -- " + family)
	f.await("began\n")
	redis.Kill()
	if code := exitCode(t, f.cmd.Wait()); code != 4 || !strings.Contains(f.err.String(), "platform: sync/redis: ") || f.out.String() != "began\nchild ended\n" {
		t.Errorf("got exit %d, %q, %q, want 4 after the end of all", code, f.out, f.err)
	}
}

// await for standard error.
func (f *following) awaitErr(want string) {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !matches(f.err.String(), want); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("got %q, want %q", f.err, want)
		}
	}
}

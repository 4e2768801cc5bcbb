package servertest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	RunRole(map[string]Role{"echo": echo, "fail": fail, "slow": slow, "orphans": orphans, "keeper": keeper, "tenant": tenant})
	os.Exit(m.Run())
}

// echo prints its arguments, then each line that it is sent.
func echo(args []string) error {
	fmt.Println(strings.Join(args, " "))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(in.Text())
	}
	return nil
}

// slow prints a line in two parts, the second when it is told to.
func slow([]string) error {
	fmt.Print("first ")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	fmt.Println("second")
	return err
}

func fail([]string) error { return errors.New("on purpose") }

// orphans starts servers and prints their addresses, process ids and folder, then waits.
func orphans([]string) error {
	tb := &recorder{}
	a, b := SharedRedis(tb), Memcached(tb)
	b.Pause()
	tree := start(tb, options{}, shell("cd /; sleep 600 & echo $! > $1/child; echo up; wait"))
	base, _ := workdir()
	fmt.Println(a.PID(), b.PID(), tree.Lines("child")[0], base)
	select {}
}

// keeper prints the folder that it keeps, then waits.
func keeper([]string) error {
	dir, err := Keep()
	if err != nil {
		return err
	}
	fmt.Println(dir)
	select {}
}

// tenant starts a server, which is kept unless the first argument says so, with the others as its
// own, and prints its process id. It does what it is told to, and ends as a test does.
func tenant(args []string) error {
	tb := &recorder{}
	sp := shell("echo up; exec sleep 60")
	sp.kept = args[0] != "never"
	boot := func(t testing.TB, opts ...Option) *Server {
		return start(t, collect(append(opts, WithArgs(args[1:]...))), sp)
	}
	var s *Server
	if args[0] == "shared" {
		s = share(tb, "tenant", boot)
	} else {
		s = boot(tb)
	}
	fmt.Println(s.PID())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); fmt.Println(s.PID()) {
		switch in.Text() {
		case "pause":
			s.Pause()
		case "kill":
			s.Kill()
		case "restart":
			s.Restart()
		}
	}
	for _, end := range tb.cleanups {
		end()
	}
	if tb.failed {
		return errors.New(tb.message)
	}
	return nil
}

// A recorder is a testing.TB that notes how a test ended; [outcome] runs code under one.
type recorder struct {
	testing.TB
	cleanups []func()
	failed   bool
	skipped  bool
	message  string
}

func (r *recorder) Helper()             {}
func (r *recorder) Name() string        { return "recorded" }
func (r *recorder) Cleanup(f func())    { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool        { return r.failed }
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failed, r.message = true, fmt.Sprintf(format, args...)
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
func (r *recorder) Skipf(format string, args ...any) {
	r.skipped, r.message = true, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// outcome runs f as a test would be run.
func outcome(f func(testing.TB)) *recorder {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range r.cleanups {
				f()
			}
		}()
		f(r)
	}()
	<-done
	return r
}

// eventually fails the test unless done reports true in time.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	if !poll(time.Minute, done) {
		t.Fatalf("not within a minute: %s", what)
	}
}
